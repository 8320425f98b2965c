"""Values of unusual types: numbers of numpy work, anything else is a ConfigError that names the argument."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small import small

import nanobragg as nb
from nanobragg.exchange.toml import commented_toml, read_toml


def test_numbers_of_numpy_are_numbers() -> None:
    experiment = small().replace("detector.n_fast", np.float32(16)).replace("detector.distance_mm", np.float32(50))
    assert experiment.equals(small())
    assert nb.trace(small(), (np.int64(3), np.uint8(4))).pixel == (3, 4)


def test_region_in_whole_numbers_of_numpy_is_plain_data() -> None:
    roi = (slice(np.int64(2), np.int32(5)), slice(None, np.uint8(9)))
    text = small().replace("sampling.roi", roi).to_json()
    assert nb.Experiment.from_json(text).sampling.roi == (slice(2, 5), slice(None, 9))


@pytest.mark.parametrize("roi", ["nonsense", 3, (slice(0, 2),), (slice(0, 2), 5)])
def test_region_that_is_none_is_refused_when_built(roi: Any) -> None:
    with pytest.raises(nb.ConfigError, match=r"sampling\.roi.*must be \(slow slice, fast slice\)"):
        nb.Sampling(roi=roi)


def test_prepare_takes_the_backend_by_position() -> None:
    assert np.array_equal(nb.prepare(small(), "c")(), nb.simulate(small()))


def test_counts_of_either_byte_order(tmp_path: Any) -> None:
    counts = np.arange(12, dtype=">u2").reshape(3, 4)
    nb.io.write_smv(tmp_path / "a.img", counts)
    assert np.array_equal(nb.io.read_smv(tmp_path / "a.img")[0], counts)


def test_words_of_python_in_changes_of_an_experiment_file(tmp_path: Any) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(commented_toml())
    given = ("crystal.unit_cell.a=50", "crystal.structure_factors.default_F=1", "beam.polarized=False")
    for change in ("run.output=3", "run.seed=-5", "crystal.structure_factors.hkl=3"):
        with pytest.raises(nb.FileFormatError, match=change.replace("=", "='?")):
            read_toml(path, [*given, change])
    beam = read_toml(path, [*given, "beam.wavelength_angstrom=None", "beam.energy_ev=12000"]).experiment.beam
    assert beam.polarized is False and beam.wavelength_angstrom is None and beam.energy_ev == 12000


def plain(**changes: Any) -> dict[str, Any]:
    return {**json.loads(small().to_json()), **changes}


def table(amplitude: Any) -> dict[str, Any]:
    return {"structure_factors": {"amplitude": amplitude, "hkl_min": [0, 0, 0], "default_F": 1.0}}


NOT_A_NUMBER = small(beam=nb.Beam(sources=nb.Sources(direction=[[-1, 0, 0]], wavelength_angstrom=[np.nan])))
PACKED = {"array": "!!", "dtype": "bool", "shape": [12, 16]}
REFUSED: list[tuple[str, Callable[[], Any], str]] = [
    ("bytes for a number", lambda: nb.Detector(distance_mm=b"10"), "detector.distance_mm"),
    ("a set for a vector", lambda: nb.Pose(shift_mm={1, 2, 3}), "must have 3 elements"),
    ("one direction in place of a list", lambda: nb.Sources(direction=[-1, 0, 0], wavelength_angstrom=[1]), "(n, 3)"),
    ("a truth value for a number", lambda: nb.Detector(distance_mm=np.True_), "detector.distance_mm"),
    ("a complex number", lambda: nb.Detector(distance_mm=np.complex128(10)), "detector.distance_mm"),
    ("a complex matrix", lambda: nb.Crystal(a_star_matrix=np.eye(3) + 1j), "a_star_matrix"),
    ("a resolution in words", lambda: nb.StructureFactors.from_model("m.pdb", "a"), "d_min='a'"),  # type: ignore[arg-type]
    ("no resolution", lambda: nb.StructureFactors.from_model("m.pdb", None), "d_min=None"),  # type: ignore[arg-type]
    ("a resolution without end", lambda: nb.StructureFactors.from_model("m.pdb", np.inf), "d_min=inf"),
    ("a list of solvents", lambda: nb.StructureFactors.from_model("m.pdb", 2, k_sol=[1, 2]), "k_sol=[1, 2]"),  # type: ignore[arg-type]
    ("a negative solvent", lambda: nb.StructureFactors.from_model("m.pdb", 2, b_sol=-1), "b_sol=-1: must be "),
    ("an energy in words", lambda: nb.StructureFactors.from_model("m.pdb", 2, energy_ev="Cu"), "energy_ev='Cu'"),  # type: ignore[arg-type]
    ("a path that is no text", lambda: small().replace(3, 1), "path=3"),
    ("an element beyond the vector", lambda: small().get("crystal.misset_deg[3]"), "index below 3"),
    ("an element of a field that is not set", lambda: small().get("beam.direction[0]"), "beam.direction=None"),
    ("an element of a number", lambda: small().replace("detector.distance_mm[0]", 5.0), "has no elements"),
    ("a version that is no number", lambda: nb.Experiment.from_dict(plain(model_version="1")), "model_version"),
    ("a packed array that is none", lambda: nb.Experiment.from_dict(plain(detector={"mask": PACKED})), "packed array"),
    ("a slice that is none", lambda: nb.Experiment.from_dict(plain(sampling={"roi": [{"slice": 3}] * 2})), "slice=3"),
    ("a table that is none", lambda: nb.Experiment.from_dict(plain(crystal=table([["a"]]))), "factors.amplitude="),
    ("a flat table", lambda: nb.Experiment.from_dict(plain(crystal=table([1.0]))), "structure_factors.amplitude="),
    ("NaN in JSON", lambda: NOT_A_NUMBER.to_json(), "NaN"),
    ("JSON that is no text", lambda: nb.Experiment.from_json(None), "experiment=None"),  # type: ignore[arg-type]
    ("a pixel in fractions", lambda: nb.trace(small(), (1.5, 2)), "pixel"),  # type: ignore[arg-type]
    ("a pixel in words", lambda: nb.trace(small(), "ab"), "pixel"),  # type: ignore[arg-type]
    ("a pixel in one number", lambda: nb.trace(small(), 3), "pixel"),  # type: ignore[arg-type]
    ("panels of several shapes", lambda: nb.compare([np.ones((2, 3)), np.ones((3, 2))], np.ones((2, 3))), "one by one"),
    ("a trace that is none", lambda: nb.compare_traces(3, nb.trace(small(), (1, 2))), "a=3: must be a Trace"),  # type: ignore[arg-type]
    ("JSON that is no trace", lambda: type(nb.trace(small(), (1, 2))).from_json("{}"), "JSON of a trace"),
    ("a trace of no experiment", lambda: nb.trace(3, (1, 2)), "experiment=3"),  # type: ignore[arg-type]
    ("an explanation of no experiment", lambda: nb.explain(3), "experiment=3"),  # type: ignore[arg-type]
    ("an offset in words", lambda: nb.add_noise(np.ones((2, 2)), adc_offset="40"), "adc_offset"),  # type: ignore[arg-type]
    (
        "a seed beyond 32 bits",
        lambda: nb.add_noise(np.ones((2, 2)), seed=2**40, generator="nanobragg"),
        "seed=10995116",
    ),
    (
        "a seed of domains",
        lambda: nb.simulate(small().replace("crystal.mosaic.seed", 2**40)),
        "crystal.mosaic.seed=109",
    ),
    ("a shape of one number", lambda: nb.io.read_float(__file__, 5), "shape=5"),  # type: ignore[arg-type]
    ("an unknown dialect", lambda: nb.io.write_smv("a.img", np.ones((2, 2), np.uint16), dialect="x"), "dialect='x'"),
]


@pytest.mark.parametrize(("make", "text"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_by_name(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(nb.ConfigError) as error:
        make()
    assert text in str(error.value)
