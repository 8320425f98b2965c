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
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config.quirks import Quirk


class FactorMode(enum.IntEnum):
    """How a factor (polarization, solid angle, capture fraction) enters the sum."""

    PER_TERM = 0
    """multiplied into its own term (the corrected model)"""
    CACHED = 1
    """evaluated once, multiplied at the end (POLAR_CACHED, OMEGA_CACHED, CAPTURE_LAST_LAYER)"""
    CUMULATIVE = 2
    """multiplied into the running sum after every term (OVERSAMPLE_CUMULATIVE)"""


class Shape(enum.IntEnum):
    """Crystal shape, which decides the lattice factor F_latt."""

    SQUARE = 0
    ROUND = 1
    GAUSS = 2
    TOPHAT = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """A fully decided and derived experiment.

    Scalars are floats (numpy) or 0-d tensors (torch) unless typed otherwise.
    """

    # detector
    n_fast: int
    n_slow: int
    pixel_size: Any
    """[m]"""
    pix0: Any
    """(3,) outer corner of pixel [0, 0] [m]"""
    fast: Any
    """(3,) along the fast axis"""
    slow: Any
    """(3,) along the slow axis"""
    normal: Any
    """(3,)"""
    beam: Any
    """(3,) unit vector along the beam, for the curved detector"""
    close_distance: Any
    """pix0 . normal of the front plane [m]"""
    distance: Any
    """radius of the curved detector [m]"""
    curved: bool
    point_pixel: bool
    """solid angle = pixel_area/R^2 instead of pixel_area close_distance/R^3"""
    pixel_area: Any
    """[m^2]; 1 for a point pixel under POINT_PIXEL_AREA"""
    has_sensor: bool
    """False: capture fraction 1, one layer"""
    n_layers: int
    layer_thickness: Any
    """[m]"""
    attenuation: Any
    """mu [1/m]"""
    pixels: NDArray[np.int64]
    """(n_pixels,) flat indices slow * n_fast + fast of the rendered pixels, ascending (ROI and mask)"""

    # beam
    incident: Any
    """(n_sources, 3) unit vectors along the incident rays (from the source to the sample)"""
    wavelength: Any
    """(n_sources,) [m]"""
    weight: Any
    """(n_sources,); all 1 under SOURCE_WEIGHTS_IGNORED"""
    polarized: bool
    kahn_factor: Any
    polarization_axis: Any
    """(3,) unit vector"""
    r_e_sqr: float
    """[m^2]"""
    fluence: Any
    """[photons/m^2]"""

    # crystal
    orientations: Any
    """(n_phi, n_domains, 3, 3) rows a, b, c [m]"""
    orientations_first_pass: Any
    """(n_phi, n_domains, 3, 3) of the pass `first_pass` (STALE_PHI_ZERO), or None"""
    first_pass: tuple[int, int]
    """(position in `pixels`, pass) of the first pass that d_min does not skip"""
    a_star: Any
    """(3, 3) rows a*, b*, c* [1/Angstrom] at phi 0, used by GAUSS_TOPHAT_WIDTH alone"""
    n_cells: Any
    """(3,)"""
    shape: Shape
    fudge: Any
    f_table: Any
    """(n_h, n_k, n_l) structure factors [electrons]; n_h = 0: no table"""
    hkl_min: tuple[int, int, int]
    """indices of f_table[0, 0, 0]"""
    default_F: Any
    """of every index outside the table"""
    tricubic: bool
    """interpolate F (where the stencil fits) instead of taking the nearest integer index"""
    interpolation_off: tuple[int, int]
    """(position in `pixels`, evaluation) from which on nothing is interpolated (INTERP_SWITCHED_OFF); (n_pixels, 0): never"""

    # sampling and scale
    oversample: int
    d_min: Any
    """[m]; 0: off"""
    steps: Any
    """oversample^2 n_phi n_domains sum(weight)"""
    background: Any
    """I_bg, in units of I"""
    capture_mode: FactorMode
    polar_mode: FactorMode
    omega_mode: FactorMode
    quirks: frozenset[Quirk]
    """Quirks that a kernel must look at: CURVED_DET_AXES, GAUSS_TOPHAT_WIDTH, SINC3_CANCELLATION, SINCG_ROUNDOFF,
    LATTICE_ZERO_SKIP, DMIN_ZEROES_WATER, INTERP_LOW_EDGE (all others are in the values above)"""

    @property
    def n_pixels(self) -> int:
        """Rendered pixels."""
        return len(self.pixels)

    @property
    def n_sources(self) -> int:
        """Sources."""
        return int(self.incident.shape[0])

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

    def values(self) -> dict[str, Any]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


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
