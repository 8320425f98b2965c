"""The Scene: everything a backend needs and nothing else, in SI units and radians.

`derive` makes it, the backends read it. Arrays are numpy (float64) or torch (float64, CPU), whichever namespace `derive`
was given. Vectors stand on the last axis; lattice matrices hold vectors as rows.

Loop order and indices
----------------------
pixel (in the order of `pixels`) -> layer -> sub-pixel slow -> sub-pixel fast -> source -> phi -> mosaic domain.
A *pass* is one (layer, sub slow, sub fast, source); within a pixel it has the index
``((layer * oversample + sub_slow) * oversample + sub_fast) * n_sources + source``. An *evaluation* is one term of the sum,
with index ``(pass * n_phi + phi) * n_domains + domain``.

The pixel value
---------------
With g = weight x (capture if PER_TERM) x (polarization if PER_TERM) x (solid angle if PER_TERM), in that order, for the pass,
times the weight of the domain where domains have weights,

    I    = SUM over evaluations of  F_cell * F_cell * F_latt * F_latt * g      (after each term I is multiplied by the factors
                                                                             that are CUMULATIVE: capture, polarization,
                                                                             solid angle, in that order)
    J    = r_e_sqr * fluence * I / steps, then multiplied by the factors that are CACHED: capture, polarization, solid angle

Background: let B be the mean over sub-pixels of the sum over layers (the mean over layers unless capture is PER_TERM) of
(solid angle if PER_TERM) x (capture if PER_TERM) x (weighted mean polarization over ALL sources if PER_TERM). ``background * B``
is added to I; when no factor is PER_TERM, B is 1 and ``background`` is the value that I starts from.

A CACHED factor is evaluated where it is still 0: the solid angle first at the first sub-pixel of the first layer, the capture
fraction first at the first sub-pixel of every layer (so the last layer's survives), the polarization first at the first source
that `d_min` does not skip. If `d_min` skips every pass of a pixel, a cached polarization is that of the first pass, except
under DMIN_ZEROES_WATER, where such a pixel is 0 (only if `polarized` and polarization is not CUMULATIVE).
"""

from __future__ import annotations

import enum
from dataclasses import field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import is_tensor
from nanobragg.config.crystal import Shape
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.lazy import dataclass


class FactorMode(enum.IntEnum):
    """How a factor (polarization, solid angle, capture fraction) enters the sum."""

    PER_TERM = 0
    """multiplied into its own term (the corrected model)"""
    CACHED = 1
    """evaluated once, multiplied at the end (POLAR_CACHED, OMEGA_CACHED, CAPTURE_LAST_LAYER)"""
    CUMULATIVE = 2
    """multiplied into the running sum after every term (OVERSAMPLE_CUMULATIVE)"""


def _field(unit: str = "", shape: tuple[int | str, ...] = (), *, continuous: bool = False) -> Any:
    """A field of the Scene.

    Parameters
    ----------
    unit : str
    shape : tuple
        Extents, numbers or names; () for a scalar.
    continuous : bool
        The corrected image is differentiable with respect to it: `Engine.pull_back` and `push_forward` take it.
    """
    return field(metadata={"unit": unit, "shape": shape, "continuous": continuous})


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """A fully decided and derived experiment.

    Scalars are floats (numpy) or 0-d tensors (torch) unless typed otherwise. The fields are declared once more, for C, in
    csrc/nanobragg.h, from where everything else there is made.
    """

    # detector
    n_fast: int = _field()
    n_slow: int = _field()
    pixel_size: Any = _field("m", (2,), continuous=True)
    """edges of a pixel along fast and slow"""
    pix0: Any = _field("m", (3,), continuous=True)
    """outer corner of pixel [0, 0]"""
    fast: Any = _field(shape=(3,), continuous=True)
    """along the fast axis"""
    slow: Any = _field(shape=(3,), continuous=True)
    """along the slow axis"""
    normal: Any = _field(shape=(3,), continuous=True)
    beam: Any = _field(shape=(3,), continuous=True)
    """unit vector along the beam, for the curved detector"""
    close_distance: Any = _field("m", continuous=True)
    """pix0 . normal of the front plane"""
    distance: Any = _field("m", continuous=True)
    """radius of the curved detector"""
    curved: bool = _field()
    point_pixel: bool = _field()
    """solid angle = pixel_area/R^2 instead of pixel_area close_distance/R^3"""
    pixel_area: Any = _field("m^2", continuous=True)
    """1 for a point pixel under POINT_PIXEL_AREA"""
    has_sensor: bool = _field()
    """False: capture fraction 1, one layer"""
    n_layers: int = _field()
    layer_thickness: Any = _field("m", continuous=True)
    attenuation: Any = _field("1/m", continuous=True)
    """mu"""
    pixels: NDArray[np.int64] = _field(shape=("n_pixels",))
    """flat indices slow * n_fast + fast of the rendered pixels, ascending (ROI and mask)"""

    # beam
    incident: Any = _field(shape=("n_sources", 3), continuous=True)
    """unit vectors along the incident rays (from the source to the sample)"""
    wavelength: Any = _field("m", ("n_sources",), continuous=True)
    weight: Any = _field(shape=("n_sources",), continuous=True)
    """all 1 under SOURCE_WEIGHTS_IGNORED"""
    polarized: bool = _field()
    kahn_factor: Any = _field(continuous=True)
    polarization_axis: Any = _field(shape=(3,), continuous=True)
    """unit vector"""
    r_e_sqr: float = _field("m^2")
    fluence: Any = _field("photons/m^2", continuous=True)

    # crystal
    orientations: Any = _field("m", ("n_phi", "n_domains", 3, 3), continuous=True)
    """rows a, b, c"""
    orientations_first_pass: Any = _field("m", ("n_phi", "n_domains", 3, 3))
    """of the pass `first_pass` (STALE_PHI_ZERO), or None"""
    domain_weight: NDArray[np.float64] | None = _field(shape=("n_domains",))
    """multiplies the terms of a domain, mean 1; None: all 1"""
    first_pass: tuple[int, int] = _field(shape=(2,))
    """(position in `pixels`, pass) of the first pass that d_min does not skip"""
    a_star: Any = _field("1/Angstrom", (3, 3))
    """rows a*, b*, c* at phi 0, used by GAUSS_TOPHAT_WIDTH alone"""
    n_cells: Any = _field(shape=(3,), continuous=True)
    has_block_matrix: bool = _field()
    """whether `block_matrix` stands in place of `n_cells` (not SQUARE)"""
    block_matrix: Any = _field(shape=(3, 3), continuous=True)
    """M: F_latt = height det M form(|M offset|^2); zeros without one"""
    shape: Shape = _field()
    fudge: Any = _field(continuous=True)
    n_tables: int = _field()
    """tables of structure factors, one behind the other along h in `f_table`; all have the same indices"""
    source_table: NDArray[np.int64] | None = _field(shape=("n_sources",))
    """which of them a source sees, from 0; None: there is one"""
    f_table: Any = _field("electrons", ("n_hkl[0]", "n_hkl[1]", "n_hkl[2]"), continuous=True)
    """structure factors, (n_tables n_h, n_k, n_l); n_hkl[0] = 0: no table"""
    hkl_min: tuple[int, int, int] = _field(shape=(3,))
    """indices of f_table[0, 0, 0]"""
    default_F: Any = _field("electrons", continuous=True)
    """of every index outside the table"""
    tricubic: bool = _field()
    """interpolate F (where the stencil fits) instead of taking the nearest integer index"""
    interpolation_off: tuple[int, int] = _field(shape=(2,))
    """(position in `pixels`, evaluation) from which on nothing is interpolated (INTERP_SWITCHED_OFF); (n_pixels, 0): never"""

    # sampling and scale
    oversample: int = _field()
    d_min: Any = _field("m")
    """0: off"""
    steps: Any = _field(continuous=True)
    """oversample^2 n_phi n_domains sum(weight) / scale, where scale is how many times the crystal counts (blocks, decay)"""
    background: Any = _field(continuous=True)
    """I_bg, in units of I"""
    capture_mode: FactorMode = _field()
    polar_mode: FactorMode = _field()
    omega_mode: FactorMode = _field()
    quirks: frozenset[Quirk] = _field()
    """Quirks that a kernel must look at: CURVED_DET_AXES, GAUSS_TOPHAT_WIDTH, SINC3_CANCELLATION, SINCG_ROUNDOFF,
    LATTICE_ZERO_SKIP, DMIN_ZEROES_WATER, INTERP_LOW_EDGE (all others are in the values above)"""

    @property
    def n_pixels(self) -> int:
        """Rendered pixels."""
        return len(self.pixels)

    @property
    def rectangle(self) -> tuple[slice, slice] | None:
        """Rows and columns of the rendered pixels, where these are all pixels of a rectangle."""
        if self.n_pixels == 0:
            return None
        (slow, fast), (last_slow, last_fast) = (divmod(int(self.pixels[i]), self.n_fast) for i in (0, -1))
        n_slow, n_fast = last_slow + 1 - slow, last_fast + 1 - fast
        if self.n_pixels != n_slow * n_fast:
            return None
        begins = self.pixels[::n_fast]
        ends = self.pixels[n_fast - 1 :: n_fast]  # they ascend: what lies between the two is a row
        if (begins != begins[0] + self.n_fast * np.arange(n_slow)).any() or (ends - begins != n_fast - 1).any():
            return None
        return slice(slow, last_slow + 1), slice(fast, last_fast + 1)

    @property
    def n_sources(self) -> int:
        """Sources."""
        return int(self.incident.shape[0])

    @property
    def table_shape(self) -> tuple[int, int, int]:
        """(n_h, n_k, n_l) of one table of structure factors; zeros without one."""
        n_h, n_k, n_l = (int(n) for n in self.f_table.shape)
        return n_h // self.n_tables, n_k, n_l

    @property
    def n_phi(self) -> int:
        """Phi steps."""
        return int(self.orientations.shape[0])

    @property
    def n_domains(self) -> int:
        """Mosaic domains."""
        return int(self.orientations.shape[1])

    @property
    def passes_per_pixel(self) -> int:
        """Layers x sub-pixels x sources."""
        return self.n_layers * self.oversample**2 * self.n_sources

    @property
    def evaluations_per_pixel(self) -> int:
        """Terms of the sum for one pixel."""
        return self.passes_per_pixel * self.n_phi * self.n_domains

    @property
    def evaluations(self) -> int:
        """Terms of the whole sum: pixels x sub-pixels x layers x sources x phi steps x domains."""
        return self.n_pixels * self.evaluations_per_pixel

    @property
    def steps_alone(self) -> Any:
        """oversample^2 n_phi n_domains sum(weight): `steps` of a crystal that counts once."""
        return float(self.oversample**2 * self.n_phi * self.n_domains) * self.weight.sum()

    def with_sources(self, some: Any) -> Scene:
        """The scene with some of its sources, as an index or slice chooses them."""
        table = None if self.source_table is None else self.source_table[some]
        return replace(
            self, incident=self.incident[some], wavelength=self.wavelength[some], weight=self.weight[some],
            source_table=table,
        )  # fmt: skip

    def plain(self) -> Scene:
        """The same scene in numbers and numpy arrays; gradients stay behind."""
        tensors = {name: FLOAT_OPS.lift(value) for name, value in self.values().items() if is_tensor(value)}
        return replace(self, **tensors) if tensors else self

    def parts(self) -> dict[str, Scene]:
        """Scenes whose images add up to this one's: "bragg", the spots, and "background", the term `background` alone."""
        bragg = replace(self, background=0.0 * self.background)
        empty = replace(self, f_table=self.f_table[:0, :0, :0], default_F=0.0 * self.default_F, tricubic=False,
                        interpolation_off=(self.n_pixels, 0))  # fmt: skip
        if FactorMode.CUMULATIVE not in (self.capture_mode, self.polar_mode, self.omega_mode):
            empty = replace(empty, orientations=self.orientations[:1, :1], orientations_first_pass=None,
                            domain_weight=None)  # fmt: skip
        return {"bragg": bragg, "background": empty}

    def values(self) -> dict[str, Any]:
        """The fields by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


KERNEL_QUIRKS = frozenset(
    {
        Quirk.CURVED_DET_AXES,
        Quirk.GAUSS_TOPHAT_WIDTH,
        Quirk.SINC3_CANCELLATION,
        Quirk.SINCG_ROUNDOFF,
        Quirk.LATTICE_ZERO_SKIP,
        Quirk.DMIN_ZEROES_WATER,
        Quirk.INTERP_LOW_EDGE,
    }
)
"""The quirks that a kernel looks at, one by one."""

CONTINUOUS = tuple(item.name for item in fields(Scene) if item.metadata["continuous"])
"""Names of the fields that have gradients and tangents."""
