"""Values by name: crystals, detectors and beams, and the experiment that stands for one that is not given."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from nanobragg.api import decide
from nanobragg.arrays import detached
from nanobragg.config import Background, Beam, Crystal, Detector, Experiment, Mosaic, UnitCell
from nanobragg.config.image_chain.presets import presets
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import ConfigError
from nanobragg.explorer.changes import added
from nanobragg.lazy import dataclass

_SEED = 7
_ELECTRONS_SQR_PER_A3 = 1.5
"""Sum of f^2 over the cell by its volume [electrons^2/Angstrom^3]: atoms of 45 electrons^2, each in 30 Angstrom^3."""


@dataclass(frozen=True)
class _Sample:
    """A crystal by name."""

    cell: tuple[float, float, float, float, float, float]
    n_cells: tuple[int, int, int]
    mosaic_deg: float
    b_factor: float


CRYSTALS = {
    "lysozyme, tetragonal": _Sample((79.1, 79.1, 38.4, 90, 90, 90), (20, 20, 40), 0.0, 18.0),
    "lysozyme, mosaic": _Sample((79.1, 79.1, 38.4, 90, 90, 90), (20, 20, 40), 0.4, 18.0),
    "thaumatin": _Sample((58.6, 58.6, 151.5, 90, 90, 90), (24, 24, 10), 0.0, 16.0),
    "insulin, cubic": _Sample((78.9, 78.9, 78.9, 90, 90, 90), (20, 20, 20), 0.0, 20.0),
    "photosystem I, nanocrystal": _Sample((281, 281, 165.2, 90, 90, 120), (8, 8, 14), 0.0, 50.0),
    "monoclinic, small cell": _Sample((31.2, 27.5, 35.8, 90, 104.5, 90), (40, 45, 35), 0.1, 10.0),
}
BEAMS: dict[str, dict[str, Any]] = {
    "synchrotron, 1 Angstrom": {"wavelength_angstrom": 1.0, "kahn_factor": 0.98, "dispersion_percent": 0.0},
    "synchrotron, selenium edge": {"wavelength_angstrom": 0.9793, "kahn_factor": 0.98, "dispersion_percent": 0.0},
    "synchrotron, pink, 1 % wide": {
        "wavelength_angstrom": 1.0, "kahn_factor": 0.98, "dispersion_percent": 1.0, "n_wavelengths": 15,
    },
    "free-electron laser, 0.2 % wide": {
        "wavelength_angstrom": 1.3, "kahn_factor": 0.99, "dispersion_percent": 0.2, "n_wavelengths": 8,
    },
    "laboratory, copper K-alpha": {"wavelength_angstrom": 1.5418, "kahn_factor": 0.0, "dispersion_percent": 0.0},
}  # fmt: skip
_OTHER_SPECTRA: dict[str, Any] = {"energy_ev": None, "n_wavelengths": None, "spectrum": None, "sources": None}
"""What a beam had instead."""
_DETECTORS = (
    "pilatus_1m", "pilatus_6m", "eiger2_4m", "eiger2_16m", "rayonix_mx225_2x2", "rayonix_mx340hs_2x2",
)  # fmt: skip


def menu() -> dict[str, list[str]]:
    """The names, by what they set."""
    return {
        "crystal": list(CRYSTALS),
        "detector": [name for name in _DETECTORS if name in presets()],
        "beam": list(BEAMS),
    }


def with_preset(experiment: Experiment, group: str, name: str) -> Experiment:
    """The experiment with the values of a name; a detector stays as far away as it was, a crystal as it is turned.

    Raises
    ------
    ConfigError
        For another name.
    """
    if name not in menu().get(group, ()):
        raise ConfigError("preset", f"{group}/{name}", "is no preset")
    if group == "beam":
        beam = experiment.beam
        for field, value in {**_OTHER_SPECTRA, **BEAMS[name]}.items():
            beam = beam.with_value(field, value)
        return experiment.replace(beam=beam)
    old = getattr(experiment, group)
    first = old[0] if isinstance(old, tuple) else old
    if group == "crystal":
        return experiment.replace(crystal=_turned_as(experiment, crystal(name)))
    distance = first.distance_mm
    if distance is None:
        distance = round(1000 * float(detached(decide(experiment)[0][0].placement.distance_to_plane)), 6)
    new = _detector(name).with_value("distance_mm", abs(distance)).with_value("convention", first.convention)
    # pixels of the one before are not those of this one
    return experiment.replace(detector=new, detector_pose=None).replace("sampling.roi", None)


def _turned_as(experiment: Experiment, new: Crystal) -> Crystal:
    """A crystal with the orientation of the first one of an experiment: angles, what is random with its seed, or a matrix."""
    path = "crystal[0]" if isinstance(experiment.crystal, tuple) else "crystal"
    if experiment.get(path).a_star_matrix is not None:
        experiment = added(experiment, f"{path}.unit_cell")
    old = experiment.get(path)
    return new.with_value("misset_deg", old.misset_deg).with_value("misset_seed", old.orientation_seed)


@cache
def _detector(name: str) -> Detector:
    """Made once: the history may hold it many times, with its mask."""
    return Detector.preset(name)


def crystal(name: str) -> Crystal:
    """A crystal of the list, with synthetic structure factors.

    Raises
    ------
    ConfigError
        For another name.
    """
    if name not in CRYSTALS:
        raise ConfigError("preset", name, f"must be one of {', '.join(CRYSTALS)}")
    sample = CRYSTALS[name]
    spread = Mosaic() if sample.mosaic_deg == 0 else Mosaic(spread_deg=sample.mosaic_deg, n_domains=25)
    return Crystal(unit_cell=UnitCell(*sample.cell), n_cells=sample.n_cells, misset_deg=(17.0, 33.0, 52.0), mosaic=spread,
                   structure_factors=amplitudes(sample.cell, sample.b_factor))  # fmt: skip


@cache
def amplitudes(cell: tuple[float, ...], b_factor: float, d_min: float = 1.8) -> StructureFactors:
    """Amplitudes with Wilson's distribution of acentric intensities and Friedel's law, in P1; the same at every call.

    Parameters
    ----------
    cell : tuple of 6 float
        [Angstrom, degrees]
    b_factor : float
        Of the fall-off exp(-2 B sin^2(theta)/lambda^2) of the intensities [Angstrom^2].
    d_min : float
        Smallest spacing [Angstrom], but not of more than a million reflections.
    """
    cosines = np.cos(np.radians(cell[3:]))
    edges = np.array(cell[:3])
    metric = np.outer(edges, edges) * np.array(
        [[1, cosines[2], cosines[1]], [cosines[2], 1, cosines[0]], [cosines[1], cosines[0], 1]]
    )
    volume = float(np.sqrt(np.linalg.det(metric)))
    d_min = max(d_min, (volume / 1e6 * 4.2) ** (1 / 3))
    most = np.floor(edges / d_min).astype(int)
    axes = [np.arange(-n, n + 1) for n in most]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    s_sqr = np.einsum("...i,ij,...j->...", hkl, np.linalg.inv(metric), hkl)
    drawn = np.random.default_rng(_SEED).exponential(size=s_sqr.shape)
    drawn = np.where(_second_half(hkl), drawn[::-1, ::-1, ::-1], drawn)
    found = np.sqrt(_ELECTRONS_SQR_PER_A3 * volume * drawn * np.exp(-b_factor * s_sqr / 2))
    found[s_sqr > 1 / d_min**2] = 0.0
    found[tuple(most)] = 0.0
    kept = s_sqr <= 1 / d_min**2
    return StructureFactors.from_arrays(hkl[kept], np.round(found[kept], 2), default_F=0.0)


def _second_half(hkl: Any) -> Any:
    h, k, index = np.moveaxis(hkl, -1, 0)
    return (h < 0) | ((h == 0) & (k < 0)) | ((h == 0) & (k == 0) & (index < 0))


def example() -> Experiment:
    """What is explored when nothing is given: a still of a small protein crystal, with water."""
    detector = Detector.preset("pilatus_1m", distance_mm=170.0)
    return Experiment(
        crystal=crystal("lysozyme, tetragonal"),
        beam=Beam(wavelength_angstrom=1.0, fluence_per_m2=2e26), detector=detector, background=Background(water_um=0.5),
    )  # fmt: skip
