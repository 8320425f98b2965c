"""Spectra and structure factors by energy with everything else: both engines, every kernel, the whole laboratory turned."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from pairwise import pairwise
from scipy.spatial.transform import Rotation

import nanobragg as nb
from nanobragg import _core

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
ENERGIES = (9350.0, 9530.0, 9700.0)


def table(n: int) -> nb.StructureFactors:
    h, k, m = np.mgrid[-7:8, -6:9, -5:6]
    cubes = np.stack([10 + (7 * h + 11 * k + (13 + i) * m) % 97.0 for i in range(n)])
    return nb.StructureFactors(amplitude=cubes, hkl_min=(-7, -6, -5), default_F=20.0, energy_ev=ENERGIES[:n])


OPTIONS: dict[str, list[Any]] = {
    "spectrum": [
        None, {"kind": "tophat", "fwhm_percent": 2.0, "n_wavelengths": 4}, {"kind": "gaussian", "fwhm_ev": 150.0},
        {"kind": "gaussian", "fwhm_percent": 1.0, "n_wavelengths": 17},
        {"kind": "pink", "sigma_low_ev": 120.0, "sigma_high_ev": 40.0, "n_wavelengths": 6},
        {"kind": "two_color", "separation_ev": 250.0, "ratio": 2.0},
        {"kind": "two_color", "separation_ev": 200.0, "fwhm_ev": 40.0, "n_wavelengths": 6},
        {"kind": "sase", "fwhm_percent": 1.0, "duration_fs": 1.0, "n_wavelengths": 9, "shot": 3},
        {"kind": "given", "energy_ev": [9300.0, 9500.0, 9680.0, 9720.0], "weight": [1.0, 0.0, 3.0, 2.0]},
    ],
    "tables": [0, 1, 2, 3],
    "shape": ["gauss", "round", "tophat", "square"],
    "interpolate": ["nearest", "tricubic"],
    "divergence": [None, nb.Divergence(h_mrad=3.0, n_h=2, v_mrad=2.0, n_v=2, round=False)],
    "mosaic": [{}, {"model": "gaussian", "spread_deg": 0.4, "n_domains": 5}],
    "displacement": [{}, {"b_angstrom2": 8.0}],
    "detector": [{}, {"curved": True}, {"sensor": nb.Sensor(thickness_um=450.0, attenuation_um=234.0, n_layers=2)}],
    "d_min": [None, 2.5],
    "water": [0.0, 0.1],
    "fidelity": ["corrected", "reference"],
}  # fmt: skip


def build(v: dict[str, Any]) -> nb.Experiment:
    factors = table(v["tables"]) if v["tables"] else nb.StructureFactors.constant(30.0)
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(40, 50, 60, 90, 100, 95), misset_deg=(10, 20, 30), shape=v["shape"], n_cells=(5, 4, 6),
        fudge=0.1 if v["shape"] == "tophat" else 1.0,  # or its spots lie between the pixels
        mosaic=nb.Mosaic(**v["mosaic"]), displacement=nb.Displacement(**v["displacement"]), structure_factors=factors,
    )  # fmt: skip
    return nb.Experiment(
        crystal=crystal,
        beam=nb.Beam(wavelength_angstrom=1.3, kahn_factor=0.3, divergence=v["divergence"],
                     spectrum=None if v["spectrum"] is None else nb.Spectrum(**v["spectrum"])),
        detector=nb.Detector(n_fast=9, n_slow=7, pixel_size_mm=9.0, distance_mm=50.0, beam_center_mm=(41.3, 33.1),
                             **v["detector"]),
        sampling=nb.Sampling(oversample=1, interpolate=v["interpolate"], d_min_angstrom=v["d_min"]),
        background=nb.Background(water_um=v["water"]),
    ).with_fidelity(v["fidelity"])  # fmt: skip


ROWS = [build({name: OPTIONS[name][i] for name, i in row.items()}) for row in pairwise(OPTIONS, seed=3)]


@pytest.mark.parametrize("experiment", ROWS, ids=range(len(ROWS)))
def test_engines_and_kernels_agree(experiment: nb.Experiment) -> None:
    """To 1e-10 of the maximum; measured worst: 1.5e-13 (torch), 1.5e-13 (vectors)."""
    scalar = nb.simulate(experiment, kernel="scalar")
    eager = nb.simulate(experiment, backend="torch", kernel="eager", n_threads=1).numpy()
    assert np.abs(eager - scalar).max() <= 1e-10 * scalar.max() and scalar.max() > 0
    fast = [nb.simulate(experiment, kernel=name) for name in _core.available_kernels if name.startswith("simd-")]
    for image in fast:
        assert np.abs(image - scalar).max() <= 1e-10 * scalar.max()
    if len(fast) == 3:
        assert np.array_equal(fast[1], fast[2])


@pytest.mark.parametrize("experiment", [row for row in ROWS if row.fidelity == "corrected"][::4])
def test_a_pixel_of_the_image_is_that_of_its_trace(experiment: nb.Experiment) -> None:
    scalar = nb.simulate(experiment, kernel="scalar")
    for backend in ("c", "torch"):
        traced = nb.trace(experiment, (3, 4), backend=backend)
        assert traced.steps[-1].value == pytest.approx(scalar[3, 4], rel=1e-12)
    several = len(experiment.crystal.structure_factors.energy_ev or ()) > 1
    assert any(step.name == "source_table" for step in traced.steps) is several


@pytest.mark.parametrize("experiment", [row for row in ROWS if row.fidelity == "corrected"][1::5])
def test_the_whole_laboratory_can_be_turned(experiment: nb.Experiment) -> None:
    """Crystal, beam and detector turned together give the same image; measured worst: 2e-13 of the maximum."""
    turn = Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix()
    from nanobragg.derivation.resolve import resolve

    decided = resolve(experiment)
    place, cell = decided.placement, decided.cell
    star = np.array([cell.a_star, cell.b_star, cell.c_star])
    turned = dataclasses.replace(
        experiment,
        crystal=dataclasses.replace(
            experiment.crystal, a_star_matrix=star @ turn.T, unit_cell=None, misset_deg=(0.0, 0.0, 0.0)
        ),
        beam=dataclasses.replace(
            experiment.beam,
            direction=tuple(turn @ np.array(place.beam)),
            polarization_axis=tuple(turn @ np.array(place.polarization_axis)),
        ),
        detector=dataclasses.replace(
            experiment.detector, convention="custom",
            fast_axis=tuple(turn @ np.array(place.fast)), slow_axis=tuple(turn @ np.array(place.slow)),
            normal_axis=tuple(turn @ np.array(place.normal)), pix0_mm=tuple(1000 * turn @ np.array(place.pix0)),
            distance_mm=1000 * float(place.distance),
        ),
    )  # fmt: skip
    expected = nb.simulate(experiment)
    assert np.abs(nb.simulate(turned) - expected).max() <= 1e-9 * expected.max()
