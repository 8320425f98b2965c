"""A session with a measured image, and crystals of which there are some."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import nanobragg as nb
from nanobragg.explorer.comparison.comparing import Comparing
from nanobragg.explorer.session import Session


def truth() -> nb.Experiment:
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(12, 12, 12), shape="gauss",
                           misset_deg=(10, 20, 30), structure_factors=nb.StructureFactors.constant(300.0)),
        beam=nb.Beam(fluence_per_m2=1e26), detector=nb.Detector(n_fast=300, n_slow=300, distance_mm=60.0),
        sampling=nb.Sampling(oversample=1),
    )  # fmt: skip


def panels() -> nb.Experiment:
    """Two panels, one above the other."""
    place = {"n_fast": 120, "n_slow": 80, "pixel_size_mm": 0.2}
    both = [nb.Detector(**place, pix0_mm=(60.0, -12.0, z), name=name) for z, name in ((18.0, "up"), (-2.0, "down"))]
    return truth().replace(detector=tuple(both))


def poisson(experiment: nb.Experiment, background: float = 1.0, seed: int = 1) -> Any:
    """Counts of every panel."""
    photons = nb.simulate(experiment)
    return np.random.default_rng(seed).poisson(photons + background).astype(np.int32)


@contextmanager
def compared(
    experiment: nb.Experiment, readout: nb.Readout | None = None
) -> Iterator[tuple[Session, Comparing, list[Any]]]:
    """A session with what pages ask of the measured image, and what they were told."""
    session, heard = Session(experiment, readout), []
    comparing = Comparing(session, heard.append, lambda: None)
    session.begin()
    session.wait(60)
    yield session, comparing, heard
    comparing.refining.stop()
    comparing.refining.join(60)
    session.close()
