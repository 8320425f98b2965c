"""Changes of an experiment that are more than a value: a rotation by hand, a part that was not there."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.api import decide
from nanobragg.arrays import detached, elements
from nanobragg.config import Crystal, Detector, Experiment, Pose, Spectrum, UnitCell
from nanobragg.config.fields import Config
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.orientations import uniform_rotation
from nanobragg.errors import ConfigError
from nanobragg.io.geometry.axes import rotation
from nanobragg.refinement.variables.crystals import angles_of, parameters_of, rotation_between

Array = NDArray[np.float64]
_REPLACES = {
    "beam.energy_ev": "beam.wavelength_angstrom", "beam.wavelength_angstrom": "beam.energy_ev",
    "beam.fluence_per_m2": "beam.flux_per_s",
    "detector.beam_center_mm": "detector.beam_center_convention_mm",
    "detector.beam_center_convention_mm": "detector.beam_center_mm",
    "detector.distance_mm": "detector.close_distance_mm", "detector.close_distance_mm": "detector.distance_mm",
}  # fmt: skip
"""Fields that say the same as another one, or that another one makes idle: that one is left open when they are given."""
_SPECTRA: dict[str, dict[str, Any]] = {
    "mono": {}, "tophat": {"fwhm_percent": 1.0}, "gaussian": {"fwhm_percent": 1.0}, "sase": {},
    "pink": {"sigma_low_ev": 200.0, "sigma_high_ev": 60.0}, "two_color": {"separation_ev": 100.0},
}  # fmt: skip
"""Of each kind what it cannot be without, which could not be given before the kind either."""
_PLACES = r"(detector(?:\[\d+\])?)\.(distance_mm|beam_center_mm)(?:\[([01])\])?"


def turned(experiment: Experiment, across: float, down: float, about: float) -> Experiment:
    """The experiment with its crystals rotated.

    Parameters
    ----------
    experiment : Experiment
    across, down : float
        Angles [degrees] about the slow and the fast axis of the first panel: an axis of the crystal along the beam comes to
        meet the detector further along fast, and along slow, and the circles of spots about it with it.
    about : float
        Angle about the beam [degrees].
    """
    placement = decide(experiment)[0][0].placement
    fast, slow, beam = (np.array(v, np.float64) for v in (placement.fast, placement.slow, placement.beam))
    turn = rotation(np.cross(beam, fast), across) @ rotation(np.cross(beam, slow), down) @ rotation(beam, about)
    several = isinstance(experiment.crystal, tuple)
    crystals = experiment.crystal if several else (experiment.crystal,)
    new = tuple(_turned(one, turn) for one in crystals)
    return experiment.replace(crystal=new if several else new[0])


def fixed(experiment: Experiment) -> Experiment:
    """The experiment with the seeds of its random orientations written down, or every change would draw others."""
    several = isinstance(experiment.crystal, tuple)
    crystals = experiment.crystal if several else (experiment.crystal,)
    if all(one.misset_seed == one.orientation_seed or one.orientation_seed is None for one in crystals):
        return experiment
    new = tuple(
        one if one.orientation_seed is None else one.with_value("misset_seed", one.orientation_seed) for one in crystals
    )
    return experiment.replace(crystal=new if several else new[0])


def _turned(crystal: Crystal, turn: Array) -> Crystal:
    if isinstance(crystal.misset_deg, str):
        before = uniform_rotation(crystal.orientation_seed)
    else:
        x, y, z = (float(detached(angle)) for angle in elements(crystal.misset_deg))
        before = (
            rotation(np.array([0, 0, 1.0]), z) @ rotation(np.array([0, 1.0, 0]), y) @ rotation(np.array([1.0, 0, 0]), x)
        )
    return crystal.with_value("misset_deg", tuple(round(angle, 6) for angle in angles_of(turn @ before)))


def replaced(experiment: Experiment, path: str, value: Any) -> Experiment:
    """The experiment with a value at a path; another field that says the same is left open.

    Distance and beam center also move a panel whose corner is given, as those of geometry files are; those of a detector
    of several panels, which are measured at the first one, move all of them.

    Raises
    ------
    ConfigError
        As of `Experiment.replace`; of several panels or crystals it says which one.
    """
    try:
        return _replaced(experiment, path, value)
    except ConfigError as error:
        part, (first, *rest) = path.partition(".")[0], error.path.partition(".")
        named = "".join((part if first == part.partition("[")[0] else first, *rest))
        some = isinstance(value, tuple) and None in value
        hint = "type all of them into one box, with commas" if some and not error.hint else error.hint
        raise ConfigError(named, error.value, error.requirement, hint) from None


def _replaced(experiment: Experiment, path: str, value: Any) -> Experiment:
    if value is None:
        return experiment.replace(path, None)
    if (found := re.fullmatch(_PLACES, path)) is not None:
        if found[1] == "detector" and isinstance(experiment.detector, tuple):
            return _all_moved(experiment, found[2], found[3], value)
        panel = experiment.get(found[1])
        if isinstance(panel, Detector) and panel.pix0_mm is not None and Quirk.PIX0_IGNORED not in experiment.quirks:
            return _moved(experiment, found[1], found[2], found[3], value)
    if path == "beam.spectrum.kind" and value in _SPECTRA and isinstance(experiment.beam.spectrum, Spectrum):
        return experiment.replace("beam.spectrum", _of_kind(experiment.beam.spectrum, value))
    if re.fullmatch(r"crystal(\[\d+\])?\.mosaic\.model", path) and value != "given":
        path = path.removesuffix(".model")
        return experiment.replace(
            path, experiment.get(path).with_values({"model": value, "rotations": None, "weights": None})
        )
    above, _, name = path.partition(".")
    other = _REPLACES.get(f"{above.partition('[')[0]}.{name.partition('[')[0]}", "").rpartition(".")[2]
    if other and getattr(experiment.get(above), other, None) is not None:
        experiment = experiment.replace(f"{above}.{other}", None)
    return experiment.replace(path, value)


def _shift(now: Any, name: str, axis: str | None, value: Any, path: str = "detector") -> Array:
    """What brings a panel from its placement to a distance or beam center [mm, laboratory]."""
    center = [1000 * float(now.fbeam), 1000 * float(now.sbeam)]
    if axis is not None:
        center[int(axis)] = value
    try:
        wanted = getattr(Detector().with_value(name, value if axis is None else tuple(center)), name)
    except ConfigError as error:
        raise ConfigError(f"{path}.{name}", error.value, error.requirement, error.hint) from None
    if name == "distance_mm":
        return (float(wanted) - 1000 * float(now.distance_to_plane)) * np.array(now.beam, np.float64)
    along = [float(new) - 1000 * float(old) for new, old in zip(wanted, (now.fbeam, now.sbeam), strict=True)]
    return -along[0] * np.array(now.fast, np.float64) - along[1] * np.array(now.slow, np.float64)


def _all_moved(experiment: Experiment, name: str, axis: str | None, value: Any) -> Experiment:
    """The experiment with all panels moved alike, by the pose."""
    shift = _shift(decide(experiment)[0][0].placement, name, axis, value)
    pose = experiment.detector_pose or Pose()
    before = [float(detached(x)) for x in elements(pose.shift_mm)]
    moved = tuple(round(old + float(more), 9) for old, more in zip(before, shift, strict=True))
    return experiment.replace(detector_pose=pose.with_value("shift_mm", moved))


def _of_kind(spectrum: Spectrum, kind: str) -> Spectrum:
    """A spectrum of another kind, as wide as before where both have that width."""
    fields = dict(_SPECTRA[kind])
    for name in fields:
        if getattr(spectrum, name) is not None:
            fields[name] = getattr(spectrum, name)
    if kind != "mono" and spectrum.n_wavelengths is not None:
        fields["n_wavelengths"] = spectrum.n_wavelengths
    return Spectrum(kind=kind, **fields)


def _moved(experiment: Experiment, panel: str, name: str, axis: str | None, value: Any) -> Experiment:
    """The experiment with the corner of a panel moved along the beam, or in the plane of the panel."""
    number = int(panel.partition("[")[2][:-1] or 0)

    def placement(at: Experiment) -> Any:
        return decide(at)[number][0].placement

    shift = _shift(placement(experiment), name, axis, value, path=panel)
    corner = np.array([float(detached(x)) for x in elements(experiment.get(f"{panel}.pix0_mm"))])
    # the panel's own rotations act on the given corner: what they make of one more mm along each axis
    places = [1000 * np.array(placement(experiment.replace(f"{panel}.pix0_mm", tuple(corner + step))).pix0, np.float64)
              for step in (*np.eye(3), np.zeros(3))]  # fmt: skip
    effect = np.stack([place - places[3] for place in places[:3]], axis=1)
    new = corner + np.linalg.solve(effect, shift)
    return experiment.replace(f"{panel}.pix0_mm", tuple(round(float(x), 9) for x in new))


def added(experiment: Experiment, path: str) -> Experiment:
    """The experiment with a part where there was none: a cell that says what the matrix said, else one with its defaults.

    Raises
    ------
    ConfigError
        For a path of no part.
    """
    above, _, name = path.rpartition(".")
    crystal = experiment.get(above) if name == "unit_cell" else None
    if crystal is None or crystal.a_star_matrix is None:
        return experiment.replace(path, _made(experiment, path))
    a_star = _matrix(experiment, crystal)
    cell = parameters_of(a_star)
    named = crystal.with_value("unit_cell", UnitCell(*(round(x, 7) for x in cell))).with_value("a_star_matrix", None)
    base = _matrix(experiment, named.with_value("misset_deg", (0.0, 0.0, 0.0)))
    turn = rotation_between(base, a_star)
    named = named.with_value("misset_deg", tuple(round(angle, 7) for angle in angles_of(turn)))
    return experiment.replace(above, named) if "[" in above else experiment.replace(crystal=named)


def _matrix(experiment: Experiment, crystal: Crystal) -> Array:
    """Rows a*, b*, c* of a crystal in the experiment, turned by its angles [1/Angstrom]."""
    cell = decide(experiment.replace(crystal=crystal))[0][0].cell
    return np.array([cell.a_star, cell.b_star, cell.c_star], np.float64)


def _made(experiment: Experiment, path: str) -> Config:
    """A part with its defaults, for a path at which there is none.

    Raises
    ------
    ConfigError
        For a path of no part.
    """
    above, _, name = path.rpartition(".")
    owner: Any = experiment.get(above) if above else experiment
    field = {f.name: f for f in dataclasses.fields(owner)}.get(name) if dataclasses.is_dataclass(owner) else None
    kind = None if field is None else field.metadata["part"]
    if kind is None:
        raise ConfigError(path, None, "is no part that can be added")
    return kind()


def emptied(whole: Any, path: str) -> Any:
    """What an empty box stands for: the default of its field; None: it is decided, or has to be given.

    Parameters
    ----------
    whole : Experiment or Readout
    path : str
        In it; what is no path is None.
    """
    above, _, last = path.rpartition(".")
    name, _, index = last.partition("[")
    owner = whole
    for part in filter(None, re.split(r"[.\[\]]+", above)):
        owner = owner[int(part)] if part.isdigit() and isinstance(owner, tuple) else getattr(owner, part, None)
    field = getattr(owner, "__dataclass_fields__", {}).get(name)
    if field is None:
        return None
    default = None if field.default is dataclasses.MISSING else field.default
    if index and isinstance(default, tuple):
        number = int(index.rstrip("]"))
        return default[number] if number < len(default) else None
    return default
