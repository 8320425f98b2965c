"""SMV headers from an experiment: in the original program's words, or as dxtbx understands them (ecosystem.md 3.1)."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from nanobragg.arrays import detached
from nanobragg.errors import ConfigError

if TYPE_CHECKING:
    from nanobragg.config import Experiment

DIALECTS = ("nanobragg", "dxtbx")


def smv_entries(
    experiment: Experiment, dialect: str, image: int = 1, adc_offset: float = 0.0, provenance: Any = None
) -> list[tuple[str, object]]:
    """Header entries after the mandatory ones.

    Parameters
    ----------
    experiment : Experiment
        Geometry of the first image of the scan, one panel.
    dialect : {"nanobragg", "dxtbx"}
        The original's words (dxtbx takes such a beam centre for another one), or those of an ADSC detector, which give
        dxtbx, XDS and MOSFLM the right geometry of a detector at right angles to the beam.
    image : int
        Number of this image in the scan, from 1.
    adc_offset : float
        Added to the counts.
    provenance : dict, optional
        Further values for the record.
    """
    from nanobragg.exchange.provenance import SMV_KEY, packed, provenance_json

    if dialect not in DIALECTS:
        raise ConfigError("dialect", dialect, f"must be one of {', '.join(map(repr, DIALECTS))}")
    entries = _original(experiment, image) if dialect == "nanobragg" else _adsc(experiment, image, adc_offset)
    record = provenance_json(experiment, **{"image": image, "adc_offset": adc_offset, **(provenance or {})})
    return [*entries, (SMV_KEY, packed(record))]


def _original(experiment: Experiment, image: int) -> list[tuple[str, object]]:
    from nanobragg.constants import RTD
    from nanobragg.derivation.derive import derivation
    from nanobragg.derivation.resolve import resolve
    from nanobragg.derivation.sources import wavelength_m
    from nanobragg.derivation.vectors import FLOAT_OPS
    from nanobragg.exchange.geometry import of_experiment
    from nanobragg.io.geometry.record import one_panel
    from nanobragg.io.images.smv_header import SmvGeometry

    one_panel(of_experiment(experiment), "an SMV header")
    d = derivation(resolve(experiment))
    p, det = d.placement, d.experiment.detector
    osc = d.rotation.osc * RTD
    entries = SmvGeometry(
        n_fast=det.n_fast, n_slow=det.n_slow, pixel_size=p.pixel_size, slow_size=p.size_slow, distance=p.distance,
        close_distance=p.close_distance, wavelength_angstrom=wavelength_m(d.experiment, FLOAT_OPS) * 1e10,
        beam_center=(p.xbeam, p.ybeam), beam_fast_slow=(p.fbeam, p.sbeam), dials_origin_mm=p.dials_origin_mm,
        org_px=(p.org_x, p.org_y), phi_deg=d.rotation.start * RTD + (image - 1) * osc, osc_deg=osc,
        twotheta_deg=detached(det.twotheta_deg),
    ).entries()  # fmt: skip
    return list(entries)


def _adsc(experiment: Experiment, image: int, adc_offset: float) -> list[tuple[str, object]]:
    from nanobragg.exchange.geometry import of_experiment
    from nanobragg.io.images.cbf import flat_beam_centre

    geometry = of_experiment(experiment).along_beam()
    fast, slow, distance = flat_beam_centre(geometry, "an SMV header")
    width = geometry.osc or 0.0
    start = (geometry.phi_start or 0.0) + (image - 1) * width
    return [
        ("PIXEL_SIZE", f"{geometry.panels[0].pixel_mm:.12g}"), ("DISTANCE", f"{distance:.12g}"),
        ("WAVELENGTH", f"{geometry.wavelength:.12g}"), ("BEAM_CENTER_X", f"{slow:.12g}"),
        ("BEAM_CENTER_Y", f"{fast:.12g}"), ("PHI", f"{start:.12g}"), ("OSC_START", f"{start:.12g}"),
        ("OSC_RANGE", f"{width:.12g}"), ("AXIS", "phi"), ("TWOTHETA", "0"), ("TIME", f"{geometry.exposure_s:g}"),
        ("DATE", datetime.datetime.now(datetime.UTC).strftime("%a %b %d %H:%M:%S %Y")),
        ("DETECTOR_SN", "000"), ("IMAGE_PEDESTAL", f"{adc_offset:g}"), ("ADC_OFFSET", f"{adc_offset:g}"),
        ("CCD_IMAGE_SATURATION", "65535"),
    ]  # fmt: skip
