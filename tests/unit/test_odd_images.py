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
