"""Inputs that fuzzing found, as tests: each was an exception other than a NanoBraggError."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nanobragg as nb
from nanobragg import io
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.io.images.smv import load_smv

CRYSTAL: dict[str, Any] = {
    "unit_cell": nb.UnitCell(40, 50, 60, 90, 90, 90),
    "structure_factors": nb.StructureFactors.constant(10.0),
}
ONE = {"direction": [(1, 0, 0)], "wavelength_angstrom": [1.0]}


@pytest.mark.parametrize(
    ("kind", "values", "path"),
    [
        (nb.Crystal, {**CRYSTAL, "size_mm": np.array(2.0)}, "crystal.size_mm"),
        (nb.Crystal, {**CRYSTAL, "a_star_matrix": "random"}, "crystal.a_star_matrix"),
        (nb.Crystal, {**CRYSTAL, "a_star_matrix": [[1, 2], [3]]}, "crystal.a_star_matrix"),
        (nb.Crystal, {**CRYSTAL, "shape": np.array(["a", "b"])}, "crystal.shape"),
        (nb.Detector, {"distance_mm": 10**400}, "detector.distance_mm"),
        (nb.Detector, {"distance_mm": [[1, 2], [3]]}, "detector.distance_mm"),
        (nb.Crystal, {**CRYSTAL, "shape": "round", "fudge": -1.0}, "crystal.fudge"),
        (nb.Crystal, {**CRYSTAL, "n_blocks": 0.0}, "crystal.n_blocks"),
        (nb.Sources, {**ONE, "direction": 2.0}, "beam.sources"),
        (nb.Sources, {**ONE, "wavelength_angstrom": "abc"}, "beam.sources.wavelength_angstrom"),
    ],
)
def test_a_value_of_the_wrong_type_is_a_config_error(kind: type, values: dict[str, Any], path: str) -> None:
    with pytest.raises(nb.ConfigError, match=f"^{re.escape(path)}="):
        kind(**values)


@pytest.mark.parametrize("dtype", [-1, "x", "int32", "complex128"])
def test_a_dtype_that_is_not_floating(dtype: Any) -> None:
    experiment = nb.Experiment(crystal=nb.Crystal(**CRYSTAL), detector=nb.Detector(n_fast=2, n_slow=2))
    with pytest.raises(nb.ConfigError, match=r"^dtype="):
        nb.simulate(experiment, dtype=dtype)


@pytest.mark.filterwarnings("error")
def test_a_matrix_whose_volume_leaves_the_range_of_float64(tmp_path: Path) -> None:
    path = tmp_path / "absurd.mat"
    rows = "{0} 0.1 0.2\n{0} 0.3 0.1\n{0} 0.1 0.7\n"
    path.write_text(rows.format("9" * 300))  # the square of its length overflows
    with np.errstate(all="raise"), pytest.raises(nb.FileFormatError, match="singular"):
        io.read_matrix(path)
    path.write_text(rows.format("1e-300"))  # underflows; the three vectors still span space
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(io.read_matrix(path)[:, 0], 1e-300)


def test_a_header_that_promises_more_pixels_than_memory_has(tmp_path: Path) -> None:
    path = tmp_path / "absurd.img"
    io.write_smv(path, np.ones((2, 3), np.uint16))
    path.write_bytes(path.read_bytes().replace(b"SIZE2=2;", b"SIZE2=2e9;"))
    with pytest.raises(nb.FileFormatError, match="promises 3 x 2000000000 pixels"):
        load_smv(path, strict=False)


def test_a_pixel_of_many_sub_steps_is_scanned_in_pieces() -> None:
    corners = list(itertools.product((-60, 60), repeat=3))
    experiment = nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=CRYSTAL["unit_cell"],
            structure_factors=nb.StructureFactors.from_arrays(corners, [1.0] * 8),
            mosaic=nb.Mosaic(spread_deg=1.0, n_domains=10),
        ),
        detector=nb.Detector(n_fast=1, n_slow=1, pixel_size_mm=40.0, distance_mm=50.0),
        sampling=nb.Sampling(oversample=1000, interpolate="tricubic"),
        quirks="reference",
    )
    decided = resolve(experiment)
    tracemalloc.start()
    scene = derive(decided)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scene.interpolation_off == (1, 0)  # all 1e7 lookups are within the table, and all are looked at
    assert peak < 200e6  # [bytes]; measured: 115e6, and 565e6 for the whole pixel at once


@pytest.mark.parametrize("part", [nb.Displacement(b_angstrom2=5.0), nb.Diffuse(sigma_angstrom=0.3)])
@pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
def test_a_source_of_wavelength_zero_beside_displacements(part: nb.Displacement | nb.Diffuse) -> None:
    name = "displacement" if isinstance(part, nb.Displacement) else "diffuse"
    experiment = nb.Experiment(
        crystal=nb.Crystal(**CRYSTAL, n_cells=(3, 3, 3), **{name: part}),  # type: ignore[arg-type]
        beam=nb.Beam(dispersion_percent=200.0, n_wavelengths=3),
        detector=nb.Detector(n_fast=2, n_slow=2),
        quirks="reference",
    )
    with pytest.raises(nb.ConfigError, match=r"^beam\.wavelength_angstrom="):
        nb.simulate(experiment)


@pytest.mark.parametrize("fidelity", ["reference", "corrected"])
def test_a_region_whose_pixels_are_all_masked(fidelity: str) -> None:
    """An image of zeros, nothing to explain the time of."""
    mask = np.ones((7, 8), bool)
    mask[3, 0:2] = False
    experiment = nb.Experiment(
        quirks=fidelity,
        crystal=nb.Crystal(**CRYSTAL, n_cells=(5, 5, 5)),
        detector=nb.Detector(n_fast=8, n_slow=7, mask=mask),
        sampling=nb.Sampling(roi=(slice(3, 4), slice(0, 2))),
    )
    assert not nb.simulate(experiment).any()
    explained = nb.explain(experiment, measure=True)
    assert (explained.evaluations, explained.costs) == (0, [])
    assert "rendered pixels: 0" in str(explained)


def test_a_ragged_structure_factor() -> None:
    with pytest.raises(nb.ConfigError, match=r"^crystal\.structure_factors\.default_F="):
        nb.StructureFactors.constant([[1, 2], [3]])  # type: ignore[arg-type]


def test_a_spectrum_beside_round_crystals_without_edges() -> None:
    """fudge = 0: the form is the same everywhere, and no spectrum is too coarse for it."""
    experiment = nb.Experiment(
        crystal=nb.Crystal(**CRYSTAL, n_cells=(5, 5, 5), shape="round", fudge=0.0),
        beam=nb.Beam(spectrum=nb.Spectrum(kind="gaussian", fwhm_percent=0.5)),
        detector=nb.Detector(n_fast=4, n_slow=4),
        sampling=nb.Sampling(oversample=1),
    )
    assert (nb.simulate(experiment) > 0).all()
