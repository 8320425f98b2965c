"""The binary dump of structure factors (docs/file_formats.md, Fdump.bin)."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import FileFormatError
from nanobragg.io import read_fdump, write_fdump
from nanobragg.io.reflections.hkl import read_hkl_legacy

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize(
    "name, default_F, digest",
    [
        # SHA-256 of the dumps that the original wrote for these files (first 20 digits)
        ("p1_asym.hkl", 0.0, "b82cd2d7754671fbc199"),
        ("p1_small.hkl", 0.0, "1cef28d48c7880d52d8f"),
        ("p1_text.hkl", 0.0, "5417dd9d19ccd0528a64"),
    ],
)
def test_dump_is_the_original_s_byte_for_byte(tmp_path, name, default_F, digest):
    legacy = read_hkl_legacy(DATA / name)
    table = StructureFactors.from_arrays(
        legacy.hkl, legacy.amplitude, default_F=default_F, box=(legacy.hkl_min, legacy.hkl_max)
    )
    write_fdump(tmp_path / "Fdump.bin", table)
    assert hashlib.sha256((tmp_path / "Fdump.bin").read_bytes()).hexdigest().startswith(digest)


def test_layout(tmp_path):
    # docs/file_formats.md, Fdump.bin: -1..1, 0..1, 2..3 gives 36 doubles, F(-1,0,2) first, F(0,0,2) at 9, F(1,1,3) at 22
    table = StructureFactors.from_arrays([[-1, 0, 2], [0, 0, 2], [1, 1, 3]], [1.0, 2.0, 3.0], default_F=0.5)
    write_fdump(tmp_path / "d", table)
    header, data = (tmp_path / "d").read_bytes().split(b"\f", 1)
    values = np.frombuffer(data)
    assert header == b"-1 1 0 1 2 3\n" and len(values) == 36
    assert values[[0, 9, 22]].tolist() == [1, 2, 3] and np.count_nonzero(values == 0.5) == 9
    amplitude, hkl_min = read_fdump(tmp_path / "d")
    assert np.array_equal(amplitude, table.amplitude) and hkl_min == (-1, 0, 2)


@pytest.mark.parametrize("low_byte", [0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x20])
def test_first_value_may_begin_with_white_space(tmp_path, low_byte):
    # FDUMP_WHITESPACE: the original skips such bytes and misreads everything
    first = np.frombuffer(bytes([low_byte, 0, 0, 0, 0, 0, 0x59, 0x40]))[0]
    write_fdump(tmp_path / "d", StructureFactors.from_arrays([[0, 0, 0], [0, 0, 1]], [first, 7.0]))
    assert read_fdump(tmp_path / "d")[0].ravel().tolist() == [first, 7]


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "not a dump"),
        (b"1 2 3 4 5\n\f", "not a dump"),
        (b"0 0 0 0 0 0\n" + bytes(64), "not a dump"),
        (b"2 1 0 0 0 0\n\f" + bytes(32), "indices from"),
        (b"0 0 0 0 0 0\n\f" + bytes(56), "56 bytes of data, expected 64"),
        (b"0 0 0 0 0 0\n\f" + bytes(65), "65 bytes"),
        (b"0 0 0 0 0 0\n\f" + np.array([np.nan] * 8).tobytes(), "not finite"),
    ],
)
def test_corrupt_dump(tmp_path, content, words):
    (tmp_path / "d").write_bytes(content)
    with pytest.raises(FileFormatError, match=words):
        read_fdump(tmp_path / "d")


def test_no_table_no_dump(tmp_path):
    with pytest.raises(FileFormatError, match="no table"):
        write_fdump(tmp_path / "d", StructureFactors.constant(3.0))
    assert not (tmp_path / "d").exists()
