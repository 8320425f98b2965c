"""For every quirk an experiment whose image it changes: options of `grid.build`, and single settings to replace."""

from __future__ import annotations

import grid

from nanobragg.config import Divergence
from nanobragg.config.quirks import Quirk

TRICLINIC = grid.OPTIONS["cell"][1]
SENSOR = {"thickness_um": 450.0, "attenuation_um": 234.0}
MOSAIC = {"spread_deg": 1.5, "n_domains": 3}
SOME_CENTER = {"center": {"beam_center_mm": (7.3, 4.6)}}
LEFT_HANDED = grid.MATRIX[[0, 2, 1]]

# options of grid.build, settings to replace, quirks that must be in force besides for this one to matter
TRIGGERS = {
    Quirk.TRICLINIC_CELL: ({"cell": TRICLINIC}, {}, ()),
    # mid-points of 2 degrees from -0.5: exactly 0 and 1 degree
    Quirk.STALE_PHI_ZERO: ({"phi": {"phi_start_deg": -0.5, "osc_deg": 2.0, "n_steps": 2}}, {}, ()),
    Quirk.PHI_LEFT_EDGE: ({"phi": {"phi_start_deg": 5.0, "osc_deg": 2.0, "n_steps": 3}}, {}, ()),
    Quirk.PHI_CEIL_ROUNDOFF: ({"phi": {"osc_deg": 1.1, "step_deg": 0.1}}, {}, ()),
    Quirk.MOSAIC_AFTER_PHI: ({"mosaic": MOSAIC, "phi": {"phi_start_deg": 20.0}}, {}, ()),
    Quirk.MOSAIC_F32: ({"mosaic": MOSAIC}, {}, ()),
    Quirk.MISSET_RANDOM_90_RAD: ({"misset": "random"}, {}, ()),
    Quirk.XTALSIZE_CEIL: ({"cells": {"size_mm": (1.7e-5, 2.6e-5, None), "n_cells": (1, 1, 4)}}, {}, ()),
    # a Gaussian much wider than a reciprocal cell: 20 000 cells without 20 000-fold rounding of the phase
    Quirk.CLIP_DEFAULT_BEAM: (
        {"cells": {"size_mm": (1e-4, 0.12, 0.13)}, "shape": "gauss", "fudge": 1e-9, "table": (3, 5.0)}, {}, ()),
    Quirk.SOURCE_WEIGHTS_IGNORED: ({"source": "list"}, {}, ()),
    Quirk.DIV_GRID_ASYMMETRIC: ({"source": "divergence"}, {}, ()),
    Quirk.ROUND_CUT_1D: ({}, {"beam.divergence": Divergence(h_mrad=20.0, v_mrad=10.0, n_h=4, n_v=4)}, ()),
    Quirk.DISPERSION_EDGES: ({"source": "dispersion"}, {}, ()),
    Quirk.NOPOLAR_DEFEATED: ({"polarization": {"polarized": False}, "switches": ("polar",)}, {}, ()),
    Quirk.POLAR_CACHED: ({"polarization": {"kahn_factor": 0.9}, "oversample": 2}, {}, ()),
    Quirk.DETSIZE_NOT_ROUNDED: ({}, {"detector.size_mm": (14.6, 9.1)}, ()),
    Quirk.DEFAULT_CENTRE_SHIFT: ({}, {}, ()),
    Quirk.XDS_BEAM_IGNORED: ({"convention": "xds", "center": {"beam_center_convention_mm": (5.7, 6.4)}}, {}, ()),
    Quirk.CUSTOM_CHANGES_CENTRE: (
        {"convention": "xds", "vectors": "spindle", "phi": {"phi_start_deg": 9.0}, "table": (9, 5.0)}, {}, ()),
    Quirk.PIVOT_FORCED: ({"pivot": "sample", "rotation": (0.0, 12.0, 0.0)}, {}, ()),
    Quirk.PIX0_IGNORED: ({"rotation": (3.0, -4.0, 5.0)}, {"detector.pix0_mm": (52.0, 4.0, -6.0)}, ()),
    Quirk.TWOTHETA_AXIS_NOT_UNIT: (
        {"twotheta": {"twotheta_deg": 20.0}}, {"detector.twotheta_axis": (0.0, 0.0, -2.0)}, ()),
    Quirk.TWOTHETA_DISTANCE: (
        {"twotheta": {"twotheta_deg": 20.0}, "curved": True, "pivot": "sample", "table": (9, 5.0)}, {}, ()),
    Quirk.CURVED_DET_AXES: ({"curved": True}, {}, ()),
    Quirk.POINT_PIXEL_AREA: ({"point_pixel": True}, {}, ()),
    Quirk.OMEGA_CACHED: ({"oversample": 2}, {}, ()),
    Quirk.THICK_STEP_OVERSHOOT: ({"sensor": SENSOR | {"n_layers": 3}}, {}, ()),
    Quirk.CAPTURE_LAST_LAYER: ({"sensor": SENSOR}, {}, ()),
    Quirk.OVERSAMPLE_CUMULATIVE: ({"switches": ("polar",), "oversample": 2}, {}, ()),
    Quirk.WATER_SCALE: ({"water": 0.05, "fluence": {"fluence_per_m2": 1e28}}, {}, ()),
    Quirk.DMIN_ZEROES_WATER: ({"water": 0.05, "d_min": 12.0}, {}, ()),
    Quirk.LATTICE_ZERO_SKIP: (
        {"shape": "tophat", "switches": ("polar",), "oversample": 2, "misset": (10, 20, 30), "fudge": 0.2}, {},
        (Quirk.OVERSAMPLE_CUMULATIVE,)),
    Quirk.GAUSS_TOPHAT_WIDTH: ({"shape": "gauss"}, {}, ()),
    Quirk.INTERP_SWITCHED_OFF: ({"interpolate": "tricubic", "table": (5, 5.0)}, {}, ()),
    Quirk.INTERP_LOW_EDGE: ({"interpolate": "tricubic", "table": (4, 5.0), "misset": (10, 20, 30)}, {}, ()),
    Quirk.INTERP_BEFORE_SIZE: ({"cells": {"size_mm": (1.7e-5, 2.6e-5, 3e-5)}}, {}, ()),
}  # fmt: skip

# what the corrected model refuses, and the original renders
REFUSED = {
    Quirk.PHISTEPS_ALONE: [
        ({"phi": {"n_steps": 3}}, {}),
        ({"phi": {"step_deg": 0.7}}, {}),
    ],
    Quirk.DIV_STEPS_ALONE: [
        ({}, {"beam.divergence": Divergence(n_h=3)}),
        ({}, {"beam.divergence": Divergence(v_step_mrad=3.0)}),
    ],
    Quirk.LEFT_HANDED_MATRIX: [({"cell": {"a_star_matrix": LEFT_HANDED}}, {})],
    Quirk.N_CLAMP: [({"cells": {"n_cells": (0, 3, 4)}}, {})],
    Quirk.CLOSE_DISTANCE_WINS: [({"distance": {"distance_mm": 50.0, "close_distance_mm": 47.0}}, {})],
    Quirk.ODET_REPLACED: [({}, {"detector.normal_axis": (0.6, 0.8, 0.0)})],
    Quirk.NEGATIVE_SOLID_ANGLE: [
        ({"distance": {"close_distance_mm": -47.0}, "convention": "xds", "table": (9, 5.0)}, {}),
    ],
    Quirk.THICK_ABS_INTERPLAY: [({"sensor": {"thickness_um": 450.0}}, {})],
}  # fmt: skip

# quirks of the argument parser, of negative seeds and of rounding noise have tests of their own
ELSEWHERE = {
    Quirk.MISSET_SEED_SETS_MISSET, Quirk.TWOTHETA_AXIS_SETS_ANGLE, Quirk.NEGATIVE_SEED_NO_RESEED,
    Quirk.SINCG_ROUNDOFF, Quirk.SINC3_CANCELLATION,
}  # fmt: skip


def experiment(options, settings, quirks):
    """The experiment of one trigger with `quirks` in force."""
    result = grid.build(options)
    for path, value in settings.items():
        result = result.replace(path, value)
    return result.replace(quirks=frozenset(quirks))


def without_triggers():
    """An experiment that triggers no quirk: a still of an orthorhombic crystal on a flat panel with a typed center."""
    return grid.build(SOME_CENTER | {"interpolate": "nearest", "misset": (10, 20, 30)})
