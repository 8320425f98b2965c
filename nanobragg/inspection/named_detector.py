"""Detectors of the package's table that an experiment has: where their numbers come from, and what nobody states."""

from __future__ import annotations

from collections.abc import Iterator

from nanobragg.arrays import detached
from nanobragg.config import Detector
from nanobragg.config.image_chain.presets import alike_presets


def named_detectors(detector: Detector) -> Iterator[str]:
    """A line for each detector of the table that has these pixels, by name."""
    fast, slow = detector.pixel_edges_mm
    sensor = detector.sensor
    thickness = None if sensor is None or sensor.material is None else detached(sensor.thickness_um)
    for found in alike_presets(detector.n_fast, detector.n_slow, (detached(fast), detached(slow)), thickness):
        text = f"pixels of {found.name}, after {'; '.join(found.sources)}"
        if found.not_stated:
            text += f". Not stated there, and off in Readout.preset: {', '.join(found.not_stated)}"
        yield text + (f". Note: {found.note}" if found.note else "")
