"""A small experiment, and what the page says when it shows it."""

from __future__ import annotations

import nanobragg as nb

READY = "window.NB && NB.last && NB.last.exact && NB.values && NB.histogram && NB.marks.borders.length"
"""The page has opened, with all that goes with its first picture."""
STILL = "NB.events.size === 0 && NB.last.exact"
"""Every change is shown, exactly."""


def small_experiment() -> nb.Experiment:
    """A still that renders in milliseconds."""
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(74, 74, 36, 90, 90, 90), n_cells=(12, 12, 12), misset_deg=(10, 20, 30),
                           structure_factors=nb.StructureFactors.constant(100.0)),
        beam=nb.Beam(wavelength_angstrom=1.0, fluence_per_m2=1e27),
        detector=nb.Detector(n_fast=300, n_slow=280, pixel_size_mm=0.3),
        background=nb.Background(water_um=2.0), sampling=nb.Sampling(oversample=1),
    )  # fmt: skip
