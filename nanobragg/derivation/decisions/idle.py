"""Settings of real crystals and spectra that have no effect, because the one that they belong to is off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nanobragg.arrays import is_tensor
from nanobragg.config import Beam, Crystal, Experiment
from nanobragg.derivation.decisions.notes import Notes

_MOTIONS = ("gamma_angstrom", "stencil", "n_orders", "laue_group", "method", "table")


def note_idle(experiment: Experiment, notes: Notes) -> None:
    """Record them."""
    for paths, reason in (*_of_beam(experiment.beam), *_of_crystal(experiment.crystal)):
        if paths:
            notes.without_effect(*paths, reason=reason)


def _of_beam(beam: Beam) -> Iterator[tuple[list[str], str]]:
    if beam.spectrum is not None and beam.spectrum.kind == "given":
        names = ("wavelength_angstrom", "energy_ev")
        yield [f"beam.{name}" for name in names if getattr(beam, name) is not None], "the given spectrum decides"


def _of_crystal(crystal: Crystal) -> Iterator[tuple[list[str], str]]:
    damage, diffuse, sizes = crystal.damage, crystal.diffuse, crystal.sizes
    laws = _changed("crystal.damage", damage, ("b_per_mgy", "decay_per_mgy", "dose_1_mgy"))
    if not damage.acts:
        yield laws, "there is no dose"
    elif not laws:
        doses = _changed("crystal.damage", damage, ("dose_mgy", "frame_dose_mgy"))
        yield doses, "nothing says what it does: give b_per_mgy, decay_per_mgy or dose_1_mgy"
    if damage.dose_1_mgy is None:
        yield _changed("crystal.damage", damage, ("exponent",)), "it belongs to dose_1_mgy"
    if not sizes.vary:
        yield _changed("crystal.sizes", sizes, ("distribution",)), "width is 0"
    path = "crystal.diffuse"
    if diffuse.map is not None:
        yield _changed(path, diffuse, _MOTIONS), "the map says it all"
    elif not diffuse.acts:
        yield _changed(path, diffuse, (*_MOTIONS, "grid")), "sigma_angstrom is 0"
    elif diffuse.method == "stencil":
        yield _changed(path, diffuse, ("grid",)), "method is 'stencil'"
    else:
        yield _changed(path, diffuse, ("stencil",)), "method is 'fft'"


def _changed(path: str, part: Any, names: tuple[str, ...]) -> list[str]:
    """The fields that are not at their default."""
    found = []
    for name in names:
        value = getattr(part, name)
        if is_tensor(value) or value != part.__dataclass_fields__[name].default:
            found.append(f"{path}.{name}")
    return found
