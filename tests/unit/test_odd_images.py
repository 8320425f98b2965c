"""Images of unusual types: what a format can hold is written, anything else is a ConfigError."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import small

import nanobragg as nb

COUNTS = np.arange(192, dtype=np.uint16).reshape(12, 16)
WRITERS = {"tif": nb.io.write_tiff, "edf": nb.io.write_edf, "nxs": nb.io.write_nxmx}


def written(path: Path, image: Any) -> Any:
    WRITERS[path.suffix[1:]](path, image, small())
    return nb.io.read_image(path)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("dtype", [">u2", ">f8", "f2", "i4", "f4"])
def test_numbers_of_any_type_and_byte_order(tmp_path: Path, suffix: str, dtype: str) -> None:
    assert np.array_equal(written(tmp_path / f"a.{suffix}", COUNTS.astype(dtype)), COUNTS)


@pytest.mark.parametrize("suffix", WRITERS)
def test_truth_values_are_0_and_1(tmp_path: Path, suffix: str) -> None:
    assert np.array_equal(written(tmp_path / f"a.{suffix}", COUNTS > 100), COUNTS > 100)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize(
    "image", [None, "abc", 5, COUNTS[0], COUNTS * 1j], ids=["None", "text", "number", "row", "complex"]
)
def test_what_is_no_image(tmp_path: Path, suffix: str, image: Any) -> None:
    with pytest.raises(nb.ConfigError, match="image"):
        written(tmp_path / f"a.{suffix}", image)
    assert list(tmp_path.iterdir()) == []


def test_counts_that_would_wrap(tmp_path: Path) -> None:
    with pytest.raises(nb.ConfigError, match="at most 2147483647"):
        written(tmp_path / "a.nxs", COUNTS.astype(np.int64) * 2**25)


def test_smv_goes_round_with_its_header(tmp_path: Path) -> None:
    nb.io.write_smv(tmp_path / "a.img", COUNTS, [("DISTANCE", 100.5)], experiment=small())
    counts, header = nb.io.read_smv(tmp_path / "a.img")
    nb.io.write_smv(tmp_path / "b.img", counts[:, :8], header)
    again, kept = nb.io.read_smv(tmp_path / "b.img")
    assert np.array_equal(again, COUNTS[:, :8]) and kept["SIZE1"] == "8"
    assert kept["DISTANCE"] == "100.5" and kept["NANOBRAGG_PROVENANCE"] == header["NANOBRAGG_PROVENANCE"]


def test_whole_numbers_of_any_type_are_indices(tmp_path: Path) -> None:
    nb.io.write_hkl(tmp_path / "a.hkl", np.array([[1.0, -2.0, 3.0]]), [5])
    assert (tmp_path / "a.hkl").read_text() == "1 -2 3 5.0\n"


RAGGED = [[1], [1, 2]]


@pytest.mark.parametrize(
    ("writer", "arguments", "text"),
    [
        ("write_float", [RAGGED], "image"),
        ("write_png", [RAGGED], "image"),
        ("write_hkl", [[[1.5, 2, 3]], [1]], "whole numbers"),
        ("write_hkl", [[[1, 2]], [1]], "whole numbers"),
        ("write_hkl", [[[1, 2, 3]], [1, 2]], "amplitude"),
        ("write_hkl", [[[1, 2, 3]], [np.nan]], "amplitude"),
        ("write_sourcefile", [[[1, 2]], [1], [1e-10]], "shapes"),
        ("write_sourcefile", [[[1, 2, 3]], [1, 2], [1e-10]], "shapes"),
        ("write_sourcefile", [[[1, 2, 3]], [1], [1.0]], "1e-10 means 1 Angstrom"),
        ("write_matrix", [np.eye(3), 0.0], "wavelength_angstrom=0.0"),
        ("write_matrix", [np.eye(3), "1"], "wavelength_angstrom='1'"),
        ("write_matrix", [RAGGED, 1.0], "a_star_matrix"),
        ("write_fdump", [3], "structure_factors=3"),
    ],
)
def test_writers_refuse_what_no_reader_would_take(tmp_path: Path, writer: str, arguments: list[Any], text: str) -> None:
    with pytest.raises((nb.ConfigError, nb.FileFormatError)) as error:
        getattr(nb.io, writer)(tmp_path / "a", *arguments)
    assert text in str(error.value) and list(tmp_path.iterdir()) == []


def test_smv_of_another_detector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(nb.ConfigError, match="must be the detector's"):
        nb.io.write_smv(tmp_path / "a.img", COUNTS[:5], experiment=small())


def test_region_in_fractions_is_refused() -> None:
    with pytest.raises(nb.ConfigError, match="whole numbers"):
        nb.add_noise(np.ones((5, 5)), roi=(slice(1.0, 3), slice(0, 3)))
