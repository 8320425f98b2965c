"""Bad input through the API: a clear error that names the field, the value and the remedy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small import small

import nanobragg as nb

NAN = float("nan")
F = nb.StructureFactors.constant(1.0)


def cell(*values: float) -> nb.Crystal:
    return nb.Crystal(unit_cell=nb.UnitCell(*values), structure_factors=F)


def detector(**values: Any) -> nb.Experiment:
    return small(detector=nb.Detector(n_fast=16, n_slow=12, **values))


CASES: list[tuple[str, Callable[[], Any], str]] = [
    ("negative pixel size", lambda: detector(pixel_size_mm=-0.1), "detector.pixel_size_mm=-0.1: must be > 0"),
    ("zero pixel size", lambda: detector(pixel_size_mm=0), "detector.pixel_size_mm=0.0: must be > 0"),
    ("negative distance", lambda: detector(distance_mm=-100), "detector.distance_mm=-100.0: must be > 0"),
    ("zero distance", lambda: detector(distance_mm=0), "detector.distance_mm=0.0: must be > 0"),
    ("negative wavelength", lambda: nb.Beam(wavelength_angstrom=-1), "beam.wavelength_angstrom=-1.0: must be > 0"),
    ("zero wavelength", lambda: nb.Beam(wavelength_angstrom=0), "beam.wavelength_angstrom=0.0: must be > 0"),
    ("zero energy", lambda: nb.Beam(energy_ev=0), "beam.energy_ev=0.0: must be > 0"),
    ("both wavelength and energy", lambda: nb.Beam(energy_ev=1e4, wavelength_angstrom=1), "give one of them"),
    ("negative cell edge", lambda: cell(10, -10, 10, 90, 90, 90), "crystal.unit_cell.b=-10.0: must be > 0"),
    ("zero cell edge", lambda: cell(10, 10, 0, 90, 90, 90), "crystal.unit_cell.c=0.0: must be > 0"),
    ("cell angle of 180", lambda: cell(10, 10, 10, 90, 90, 180), "crystal.unit_cell.gamma=180.0: must be > 0 and < 180"),
    ("angles that close no cell", lambda: cell(10, 10, 10, 30, 30, 100), "these angles close no cell; each must be"),
    ("angles of 360 in all", lambda: cell(10, 10, 10, 120, 120, 120), "these angles close no cell"),
    ("NaN cell", lambda: cell(10, NAN, 10, 90, 90, 90), "crystal.unit_cell.b=nan: must be a finite number"),
    ("infinite fluence", lambda: nb.Beam(fluence_per_m2=math.inf), "beam.fluence_per_m2=inf: must be a finite number"),
    ("NaN in a vector", lambda: detector(fast_axis=(0, NAN, 1)), "detector.fast_axis[1]=nan: must be a finite number"),
    ("NaN in a matrix", lambda: nb.Crystal(a_star_matrix=np.full((3, 3), NAN), structure_factors=F), "must be finite"),
    ("a word for a number", lambda: nb.Beam(kahn_factor="abc"), "beam.kahn_factor='abc': must be a number"),
    ("a word for a vector", lambda: detector(rotation_deg="abc"), "detector.rotation_deg='abc': must have 3 elements"),
    ("a short vector", lambda: detector(rotation_deg=(1, 2)), "detector.rotation_deg=(1, 2): must have 3 elements"),
    ("a hole in a vector", lambda: detector(rotation_deg=(1, None, 2)), "must be 3 numbers"),
    ("a fractional count", lambda: nb.Sampling(oversample=1.5), "sampling.oversample=1.5: must be an integer"),
    ("a count of zero", lambda: nb.Sampling(oversample=0), "sampling.oversample=0: must be >= 1"),
    ("a Kahn factor beyond 1", lambda: nb.Beam(kahn_factor=1.5), "beam.kahn_factor=1.5: must be between -1 and 1"),
    ("an unknown shape", lambda: nb.Crystal(unit_cell=nb.UnitCell(9, 9, 9, 90, 90, 90), structure_factors=F, shape="cube"),
     "crystal.shape='cube': must be one of 'square'"),
    ("an unknown convention", lambda: detector(convention="hkl"), "detector.convention='hkl': must be one of 'mosflm'"),
    ("no cell", lambda: nb.Crystal(structure_factors=F), "give unit_cell or a_star_matrix"),
    ("no structure factors", lambda: nb.Crystal(unit_cell=nb.UnitCell(9, 9, 9, 90, 90, 90)),
     "use StructureFactors."),
    ("constant 0", lambda: nb.StructureFactors.constant(0.0), "crystal.structure_factors"),
    ("a fractional cell count", lambda: small().replace("crystal.n_cells", (2.5, 3, 3)), "must be a whole number"),
    ("a bad misset word", lambda: small().replace("crystal.misset_deg", "rand"), "must be a number or 'random'"),
    ("a mask of the wrong size", lambda: detector(mask=np.ones((16, 12))), "must have the detector's shape (12, 16)"),
    ("a ragged mask", lambda: detector(mask=[[1, 2], [3]]), "must be an array of True and False"),
    ("a part of the wrong kind", lambda: small(beam=nb.Background()), "beam=Background(): must be"),
    ("None for a required value", lambda: detector(pixel_size_mm=None), "detector.pixel_size_mm=None: must have a value"),
    ("no sources", lambda: nb.Sources(direction=np.zeros((0, 3)), wavelength_angstrom=[]), "holds no source"),
    ("sources of uneven length", lambda: nb.Sources(direction=[[1, 0, 0]], wavelength_angstrom=[1, 2]), "must have shape"),
    ("a ROI that is no ROI", lambda: nb.Sampling(roi=(1, 2)), "must be (slow slice, fast slice)"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_refused_when_built(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(nb.ConfigError) as error:
        make()
    assert text in str(error.value)


def sources(**values: Any) -> nb.Experiment:
    given = {"direction": [[-1, 0, 0], [-1, 0.1, 0]], "wavelength_angstrom": [1.0, 1.0], **values}
    return small(beam=nb.Beam(sources=nb.Sources(**given)))


RUNS: list[tuple[str, Callable[[], nb.Experiment], str]] = [
    ("a detector behind the sample", lambda: detector(normal_axis=(-1, 0, 0)), "the detector lies behind the sample"),
    ("a negative close distance", lambda: detector(close_distance_mm=-50), "the detector lies behind the sample"),
    ("two inconsistent distances", lambda: detector(close_distance_mm=50, distance_mm=70), "contradicts distance_mm=70"),
    ("a normal that is not normal", lambda: detector(normal_axis=(1, 0.1, 0)), "must be perpendicular"),
    ("parallel axes", lambda: detector(fast_axis=(0, 1, 0)), "must not be parallel"),
    ("a zero vector", lambda: small(beam=nb.Beam(direction=(0, 0, 0))), "beam.direction=(0.0, 0.0, 0.0): must not be"),
    ("a singular matrix", lambda: small(crystal=nb.Crystal(a_star_matrix=np.ones((3, 3)), structure_factors=F)),
     "the matrix or cell is singular"),
    ("a left-handed matrix", lambda: small(crystal=nb.Crystal(a_star_matrix=-np.eye(3), structure_factors=F)),
     "must be right-handed"),
    ("a cell count below 1", lambda: small().replace("crystal.n_cells", (0, 1, 1)), "crystal.n_cells[0]=0.0: must be >= 1"),
    ("ROI beyond the detector", lambda: small(sampling=nb.Sampling(roi=(slice(0, 13), slice(0, 4)))), "the 12 pixels"),
    ("negative ROI", lambda: small(sampling=nb.Sampling(roi=(slice(-3, 13), slice(0, 4)))), "reaches outside"),
    ("empty ROI", lambda: small(sampling=nb.Sampling(roi=(slice(3, 3), slice(0, 4)))), "holds no pixel"),
    ("a sensor without attenuation", lambda: detector(sensor=nb.Sensor(thickness_um=100)), "give the 1/e depth"),
    ("a phi count without a range", lambda: small(goniometer=nb.Goniometer(n_steps=5)), "give the range covered"),
    ("a phi step without a range", lambda: small(goniometer=nb.Goniometer(step_deg=1)), "give the range covered"),
    ("a divergence count without a range", lambda: small(beam=nb.Beam(divergence=nb.Divergence(n_h=3))), "full range in mrad"),
    ("wavelengths without a dispersion", lambda: small(beam=nb.Beam(n_wavelengths=3)), "give the full width"),
    ("a source in meters", lambda: sources(wavelength_angstrom=[1e-10, 0]), "the API takes Angstrom"),
    ("a negative weight", lambda: sources(weight=[1, -1]), "beam.sources.weight[1]"),
    ("weights that sum to 0", lambda: sources(weight=[0, 0]), "must have a sum > 0"),
    ("a NaN direction", lambda: sources(direction=[[-1, 0, 0], [NAN, 0, 0]]), "beam.sources.direction[1]"),
    ("too many sub-steps", lambda: small(sampling=nb.Sampling(oversample=50000)), "must stay below 2^31"),
    ("too many domains", lambda: small(sampling=nb.Sampling(oversample=1)).replace("crystal.mosaic.n_domains", 2 * 10**9),
     "GiB of memory"),
    ("a detector larger than memory", lambda: small(detector=nb.Detector(n_fast=10**6, n_slow=10**6)), "GiB of memory"),
    ("a flux through a beam of size 0", lambda: small(beam=nb.Beam(flux_per_s=1e12, size_mm=0)), "must be > 0 when flux"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "text"), [case[1:] for case in RUNS], ids=[case[0] for case in RUNS])
def test_refused_when_simulated(make: Callable[[], nb.Experiment], text: str) -> None:
    experiment = make()
    with pytest.raises(nb.ConfigError) as error:
        nb.simulate(experiment)
    assert text in str(error.value)


def test_index_box_beyond_the_limit() -> None:
    with pytest.raises(nb.NanoBraggError, match="GiB"):
        nb.StructureFactors.from_arrays([[0, 0, 0], [2000, 2000, 2000]], [1.0, 1.0])
    with pytest.raises(nb.NanoBraggError):
        nb.StructureFactors.from_arrays([[0, 0, 0], [20, 20, 20]], [1.0, 1.0], max_bytes=1000)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"backend": "cuda"}, "backend='cuda': must be one of 'c', 'torch'"),
        ({"n_threads": 0}, "n_threads=0: must be a whole number >= 1"),
        ({"kernel": "quick"}, "kernel='quick': must be one of"),
        ({"device": "cuda"}, "the C engine runs on the CPU"),
    ],
)
def test_bad_options(options: dict[str, Any], error: str) -> None:
    with pytest.raises(nb.ConfigError) as raised:
        nb.simulate(small(), **options)
    assert error in str(raised.value)


def test_simulate_wants_an_experiment() -> None:
    with pytest.raises(nb.ConfigError, match="must be an Experiment"):
        nb.simulate("-cell 50")  # type: ignore[arg-type]
