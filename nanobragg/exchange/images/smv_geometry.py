"""The geometry of an experiment as the original program's SMV headers say it."""

from __future__ import annotations

from nanobragg.arrays import detached
from nanobragg.constants import RTD
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.derive import sampled_rotation
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.io.geometry.record import one_edge
from nanobragg.io.images.smv_header import SmvGeometry


def smv_geometry(decided: Decided) -> SmvGeometry:
    """What SMV headers record in the original's words."""
    p, experiment = decided.placement, decided.experiment
    detector, rotation = experiment.detector, sampled_rotation(experiment, FLOAT_OPS)
    pixel = one_edge(p.pixel_size, "an SMV header")
    wavelength = 1e10 * wavelength_m(experiment, FLOAT_OPS)
    return SmvGeometry(
        n_fast=detector.n_fast, n_slow=detector.n_slow, pixel_size=pixel, slow_size=p.size_slow, distance=p.distance,
        close_distance=p.close_distance, wavelength_angstrom=wavelength, beam_center=(p.xbeam, p.ybeam),
        beam_fast_slow=(p.fbeam, p.sbeam), dials_origin_mm=p.dials_origin_mm, org_px=(p.org_x, p.org_y),
        phi_deg=rotation.start * RTD, osc_deg=rotation.osc * RTD, twotheta_deg=detached(detector.twotheta_deg),
    )  # fmt: skip
