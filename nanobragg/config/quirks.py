"""What the original program does that a physicist would call a defect, each switchable on its own.

``fidelity="reference"`` is the full set, ``"corrected"`` the empty one. Every member carries its text: `original`
(what the original does), `corrected` (what we do without the quirk) and `when` (what triggers it).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class QuirkText:
    """The documentation of one quirk."""

    original: str
    corrected: str
    when: str


_TEXTS: dict[int, QuirkText] = {}


def _quirk(original: str, corrected: str, when: str) -> int:
    value = 1 << len(_TEXTS)
    _TEXTS[value] = QuirkText(original, corrected, when)
    return value


class Quirk(enum.Flag):
    """The registry: one member per reproduced defect that changes pixels."""

    __hash__ = object.__hash__  # members are compared by identity; that of Enum takes ten times as long

    # crystal, rotation, mosaic
    TRICLINIC_CELL = _quirk(
        "c*_z = |c*| V/(a b c sin(gamma*)): wrong angles when two or more cell angles differ from 90 degrees",
        "c*_z = 1/c, the exact cell",
        "a -cell with two or more oblique angles",
    )
    STALE_PHI_ZERO = _quirk(
        "a phi step of exactly 0 keeps the orientation of the step evaluated before it",
        "phi = 0 uses the unrotated cell",
        "one of several phi steps is exactly 0",
    )
    PHI_LEFT_EDGE = _quirk("phi is sampled at the left edges of the intervals", "at the mid-points", "a phi range")
    PHISTEPS_ALONE = _quirk(
        "a count without a range means 1 degree, a step without a range two steps, and with count, range and step all "
        "given the range covered is count x step",
        "a count above 1 or a step without a range is refused; range and count win over the step",
        "n_steps or step_deg without osc_deg, or all three",
    )
    PHI_CEIL_ROUNDOFF = _quirk(
        "n = ceil(osc/step) on radians, so that rounding may add a step",
        "n = ceil(osc/step - 1e-6)",
        "osc_deg and step_deg without n_steps",
    )
    MOSAIC_AFTER_PHI = _quirk(
        "domains are misoriented after the spindle rotation, in the laboratory frame",
        "the domain turns with the crystal: R_spindle(phi) U_d a0",
        "mosaic spread and a spindle rotation",
    )
    MOSAIC_F32 = _quirk("spread, power and angle of a mosaic domain are float32", "float64", "mosaic spread")
    NEGATIVE_SEED_NO_RESEED = _quirk(
        "a negative seed continues the stream used before it",
        "every stream is seeded by its own number",
        "a negative mosaic or misset seed",
    )
    MISSET_RANDOM_90_RAD = _quirk(
        "the random orientation is a rotation by up to 90 radians, not uniform",
        "uniform on the rotation group",
        "misset_deg = 'random'",
    )
    MISSET_SEED_SETS_MISSET = _quirk(
        "-misset_seed is read as -misset too", "it sets the seed only", "-misset_seed followed by three tokens"
    )
    LEFT_HANDED_MATRIX = _quirk(
        "a left-handed matrix is accepted", "refused", "a_star_matrix with a negative determinant"
    )
    XTALSIZE_CEIL = _quirk(
        "cells = ceil(size/edge), one too many for many exact multiples",
        "cells = max(1, floor(size/edge + 1/2))",
        "crystal.size_mm",
    )
    N_CLAMP = _quirk("a cell count below 1 becomes 1", "refused", "n_cells below 1")
    CLIP_DEFAULT_BEAM = _quirk(
        "sizes along b and c are clipped to 0.1 mm even when no beam size is given",
        "clipped only by a given beam size",
        "crystal.size_mm above 0.1 mm without beam.size_mm",
    )
    # beam and sources
    SOURCE_WEIGHTS_IGNORED = _quirk(
        "source weights are ignored", "weighted mean: sum(w I)/sum(w)", "sources of unequal weight"
    )
    DIV_STEPS_ALONE = _quirk(
        "a divergence count without a range means 1 radian, a step without a range two steps; a negative dispersion with "
        "a count means 100 %",
        "refused",
        "a divergence count or step without a range",
    )
    DIV_GRID_ASYMMETRIC = _quirk(
        "divergence angles start at -range/2 and go up by the step, at least two of them",
        "n mid-points of n equal intervals, symmetric",
        "a divergence range",
    )
    ROUND_CUT_1D = _quirk(
        "the round cut keeps 4 tau <= 1.1 with a half-step correction for even counts",
        "keeps (2h/R_h)^2 + (2v/R_v)^2 <= 1",
        "both divergence ranges positive and round=True",
    )
    DISPERSION_EDGES = _quirk(
        "wavelengths start at the lower edge, at least two of them",
        "mid-points of n equal intervals",
        "a dispersion range",
    )
    NOPOLAR_DEFEATED = _quirk(
        "polarized=False with oversample_polar computes the polarization factor anyway",
        "no polarization means none",
        "polarized=False with oversample_polar",
    )
    POLAR_CACHED = _quirk(
        "the polarization factor of the first source and sub-pixel serves the whole pixel",
        "per source and sub-pixel",
        "polarization with several sources or sub-pixels",
    )
    # detector
    DETSIZE_NOT_ROUNDED = _quirk(
        "default beam centers use the typed size, not the whole number of pixels",
        "the size is pixels x pixel size",
        "-detsize that is not a multiple of -pixel",
    )
    DEFAULT_CENTRE_SHIFT = _quirk(
        "the default beam center is off the middle by half a pixel or one pixel, depending on the convention",
        "the middle of the detector",
        "no beam center given, conventions mosflm, denzo, adxv",
    )
    XDS_BEAM_IGNORED = _quirk(
        "under xds and dials beam_center_convention_mm and close_point_mm do nothing, only org_px moves the detector; "
        "under mosflm, denzo, adxv close_point_mm and org_px do nothing",
        "every way to give the center works in every convention",
        "a beam center given in another convention's way",
    )
    CUSTOM_CHANGES_CENTRE = _quirk(
        "any vector switches to the custom convention: other vectors, center rule and pivot change",
        "a vector changes only itself",
        "a vector given under a named convention",
    )
    PIVOT_FORCED = _quirk(
        "named conventions force their pivot; under custom several flags move it",
        "only detector.pivot sets the pivot",
        "detector.pivot under a named convention",
    )
    CLOSE_DISTANCE_WINS = _quirk(
        "of two inconsistent distances the close distance wins", "refused", "distance_mm and close_distance_mm"
    )
    ODET_REPLACED = _quirk(
        "a normal whose computed length is not exactly 1 is replaced by fast x slow; any other is used unchecked, and a "
        "normal not given keeps the custom value; fast and slow count as perpendicular in the area of a pixel",
        "normalized, and checked to be perpendicular; when not given it follows fast and slow, whose angle counts",
        "a vector of the detector",
    )
    NEGATIVE_SOLID_ANGLE = _quirk(
        "a detector behind the sample gives negative intensities", "refused", "pix0 . normal below 0"
    )
    PIX0_IGNORED = _quirk("pix0 is ignored", "honored", "detector.pix0_mm")
    TWOTHETA_AXIS_SETS_ANGLE = _quirk(
        "-twotheta_axis is read as -twotheta too", "it sets the axis only", "-twotheta_axis"
    )
    TWOTHETA_AXIS_NOT_UNIT = _quirk(
        "the two-theta axis is not normalized and deforms the detector",
        "normalized",
        "an axis that is not a unit vector",
    )
    TWOTHETA_DISTANCE = _quirk(
        "the reported distance and beam center ignore the two-theta swing, and with them automatic oversampling and the "
        "curved detector",
        "the true distance",
        "two-theta",
    )
    CURVED_DET_AXES = _quirk(
        "the curved detector turns by lab y about slow and lab z about fast",
        "by the slow and fast offsets from the beam, in every convention",
        "curved",
    )
    POINT_PIXEL_AREA = _quirk("point_pixel gives 1/R^2", "p^2/R^2", "point_pixel")
    OMEGA_CACHED = _quirk(
        "the solid angle of the first sub-pixel serves the whole pixel", "per sub-pixel", "several sub-pixels or layers"
    )
    THICK_STEP_OVERSHOOT = _quirk(
        "n sensor layers are T/(n-1) thick each, at least two of them", "n layers of T/n", "a sensor"
    )
    THICK_ABS_INTERPLAY = _quirk(
        "a thickness without attenuation means mu = 1/thickness; an infinite attenuation depth gives an empty image",
        "the first is refused, the second means no sensor",
        "a sensor thickness without a finite attenuation",
    )
    CAPTURE_LAST_LAYER = _quirk(
        "the layers are summed and the sum multiplied by the last layer's capture fraction",
        "each layer has its own capture fraction",
        "a sensor",
    )
    # sampling and the sum
    OVERSAMPLE_CUMULATIVE = _quirk(
        "oversample_thick, _polar, _omega multiply the running sum after every term",
        "the switches have no effect: every term has its own factor",
        "one of the three switches",
    )
    WATER_SCALE = _quirk(
        "the water background is multiplied by r_e^2 fluence twice and divided by the number of steps",
        "added once on the absolute scale",
        "background.water_um",
    )
    DMIN_ZEROES_WATER = _quirk(
        "a pixel whose sources are all cut by d_min is 0, its background too",
        "d_min removes Bragg terms only",
        "d_min and water with polarization",
    )
    LATTICE_ZERO_SKIP = _quirk(
        "a lattice factor of exactly 0 skips the range test and the running factors unless there is water",
        "every term is treated alike",
        "a zero lattice factor with interpolation or an oversample switch",
    )
    GAUSS_TOPHAT_WIDTH = _quirk(
        "the radius of gauss and tophat spots is |ds|^2 (Na Nb Nc)^2",
        "(dh Na)^2 + (dk Nb)^2 + (dl Nc)^2",
        "shapes gauss and tophat",
    )
    SINC3_CANCELLATION = _quirk(
        "the round form factor is evaluated by a formula that cancels near 0", "series near 0", "shape round"
    )
    SINCG_ROUNDOFF = _quirk(
        "sin(pi N h)/sin(pi h) is rounding noise at non-zero integers h",
        "evaluated from the offset to the integer",
        "shape square, an index within 1e-9 of a non-zero integer",
    )
    INTERP_SWITCHED_OFF = _quirk(
        "the first lookup out of range switches interpolation off for the rest of the image",
        "decided per lookup",
        "tricubic interpolation beyond the table",
    )
    INTERP_LOW_EDGE = _quirk(
        "interpolation wants h_min + 2 <= h <= h_max - 2", "the four-point stencil must fit", "tricubic interpolation"
    )
    INTERP_BEFORE_SIZE = _quirk(
        "the automatic choice of interpolation looks at n_cells before the size is turned into cells",
        "after the number of cells is known",
        "crystal.size_mm with sampling.interpolate=None",
    )

    @property
    def text(self) -> QuirkText:
        """Documentation of a single member."""
        return _TEXTS[self.value]


REFERENCE: frozenset[Quirk] = frozenset(Quirk)
"""fidelity = "reference": the original as it runs on one thread."""
CORRECTED: frozenset[Quirk] = frozenset()
"""fidelity = "corrected": the right physics."""
FIDELITIES: dict[str, frozenset[Quirk]] = {"corrected": CORRECTED, "reference": REFERENCE}


def as_quirks(value: object) -> frozenset[Quirk]:
    """Return the set of quirks meant by a fidelity name, a member, a combined flag, or an iterable of members and names.

    Raises
    ------
    ConfigError
        For a name that is not in the registry.
    """
    if isinstance(value, Quirk):
        return frozenset(value)
    if isinstance(value, str):
        if value in FIDELITIES:
            return FIDELITIES[value]
        value = [name for name in value.replace(",", " ").split() if name]
    if not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:  # a 0-d tensor or array
        raise ConfigError("quirks", value, "must be a set of Quirk members or their names")
    members: set[Quirk] = set()
    for item in value:
        if isinstance(item, Quirk):
            members.update(item)
        elif isinstance(item, str) and item in Quirk.__members__:
            members.add(Quirk[item])
        else:
            import difflib

            near = difflib.get_close_matches(str(item), Quirk.__members__, n=1)
            raise ConfigError(
                "quirks", item, "no such quirk", f"did you mean {near[0]}?" if near else "see nanobragg.Quirk"
            )
    return frozenset(members)


def fidelity_name(quirks: frozenset[Quirk]) -> str:
    """Return ``corrected``, ``reference`` or ``custom``."""
    return next((name for name, members in FIDELITIES.items() if members == quirks), "custom")
