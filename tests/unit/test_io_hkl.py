"""Reflection files: the strict reader, and the one that behaves as the original program (docs/file_formats.md)."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import FileFormatError
from nanobragg.io import read_hkl, write_hkl
from nanobragg.io.reflections import hkl as hkl_module
from nanobragg.io.reflections.hkl import read_hkl_legacy

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "test.hkl"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize(
    "content",
    [
        "0 0 1 50\n1 -2 3 60.5\n",
        "0 0 1 50\r\n1 -2 3 60.5\r\n",
        "0 0 1 50\r1 -2 3 60.5",
        "0 0 1 50 2.5\n\n1 -2 3 60.5 1.25",
        "  0\t0 1.0 5e1\n+1 -2.0 3 60.5",
        "# h k l F\n0 0 1 50 ! strong\n; middle\n1 -2 3 60.5 2.0 ; with sigma\n",
        "\n0 0 1 50 7\n1 -2 3 60.5\n",
    ],
)
def test_accepted_spellings(written, content):
    hkl, amplitude = read_hkl(written(content))
    assert hkl.tolist() == [[0, 0, 1], [1, -2, 3]] and amplitude.tolist() == [50, 60.5]
    assert hkl.dtype == np.int64 and amplitude.dtype == np.float64


@pytest.mark.parametrize(
    "content, line, words",
    [
        ("", None, "empty"),
        ("  \n\n", None, "empty"),
        ("# nothing\n", None, "no reflection"),
        ("0 0 1 50\n0 0 1.5 50\n", 2, "index l is '1.5', must be an integer"),
        ("0 0 1 50\n0 0\n", 2, "2 columns"),
        ("0 0 1 50\n1 2 3", 2, "3 columns"),
        ("h k l F\n0 0 1 50\n", 1, "h is .h., not a number"),
        ("0 0 1 50\n0 0 2 abc\n", 2, "F is 'abc', not a number"),
        ("0 0 1 nan\n", 1, "finite"),
        ("0 0 1 50\n0 0 inf 50\n", 2, "finite"),
        ("0 0 1 5_0\n", 1, "not a number"),
        ("0 0 99999999999 50\n", 1, "too large"),
        (b"\x7fELF\x00\x01\x02\n1 2 3 4\n", 1, "binary"),
        ("0 0 1 50\n0 0 2 1-2\n", 2, "not a number"),
    ],
)
def test_strict_reader_names_the_line(written, content, line, words):
    path = written(content)
    with pytest.raises(FileFormatError, match=words) as caught:
        read_hkl(path)
    assert caught.value.line == line and str(path) in str(caught.value)


@pytest.mark.parametrize("reader", [read_hkl, read_hkl_legacy])
def test_missing_file_and_directory(tmp_path, reader):
    with pytest.raises(FileFormatError, match="No such file"):
        reader(tmp_path / "missing.hkl")
    with pytest.raises(FileFormatError, match="directory"):
        reader(tmp_path)


records = st.lists(
    st.tuples(*[st.integers(-50, 50)] * 3, st.floats(-1e6, 1e6, allow_subnormal=False)), min_size=1, max_size=30
)


@given(records)
def test_round_trip_and_both_ways_of_reading_agree(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("hkl") / "a.hkl"
    write_hkl(path, [row[:3] for row in rows], [row[3] for row in rows])
    clean = read_hkl(path)
    path.write_bytes(path.read_bytes() + b"# end\n")  # a comment sends the reader line by line
    for hkl, amplitude in (clean, read_hkl(path)):
        assert hkl.tolist() == [list(row[:3]) for row in rows] and amplitude.tolist() == [row[3] for row in rows]
    legacy = read_hkl_legacy(path)
    assert np.array_equal(legacy.hkl, clean[0]) and np.array_equal(legacy.amplitude, clean[1])
    assert legacy.stopped_at_line == len(rows) + 1


def test_clean_files_are_read_by_numpy_alone(monkeypatch):
    def too_slow(*args):
        raise AssertionError("read line by line")

    for name in ("_first_pass", "_second_pass"):
        monkeypatch.setattr(hkl_module, name, too_slow)
    monkeypatch.setattr(hkl_module.text, "strict_lines", too_slow)
    hkl, amplitude = read_hkl(DATA / "p1_asym.hkl")
    legacy = read_hkl_legacy(DATA / "p1_asym.hkl")
    assert (
        np.array_equal(hkl, legacy.hkl) and np.array_equal(amplitude, legacy.amplitude) and len(hkl) == legacy.n_records
    )


def test_legacy_stops_at_text():
    legacy = read_hkl_legacy(DATA / "p1_text.hkl")
    # the original printed "120 initialized hkls" for this file; its line 121 is a comment
    assert legacy.n_records == len(legacy.hkl) == 120 and legacy.stopped_at_line == 121


def test_legacy_counts_real_indices_but_stores_nothing_from_there():
    legacy = read_hkl_legacy(DATA / "real_index.hkl")
    # the original printed "4981 initialized hkls"; record 4376 is "1.0 2 1 100"
    assert legacy.n_records == 4981 and len(legacy.hkl) == 4375 and legacy.stopped_at_line == 4376
    assert legacy.non_integer == [] and legacy.hkl_min == (-12, -12, -6)


def test_legacy_five_columns_shift(written):
    legacy = read_hkl_legacy(written("0 0 1 50 2\n0 0 2 60 3\n0 0 3 70 4\n"))
    table = StructureFactors.from_arrays(
        legacy.hkl, legacy.amplitude, box=(legacy.hkl_min, legacy.hkl_max), n_reflections=legacy.n_records
    )
    # docs/file_formats.md, Reflections as text: a 61 x 4 x 2 box with 50 at (0, 0, 1) and 2 at (2, 0, 0)
    assert table.amplitude.shape == (61, 4, 2) and table.amplitude[0, 0, 1] == 50 and table.amplitude[2, 0, 0] == 2
    assert np.count_nonzero(table.amplitude) == 2


def test_legacy_box_truncates_and_warnings_count_records_from_0(written):
    legacy = read_hkl_legacy(written("0 0 0 1\n-1.5 2.9 0 7\n3 0 0 9\n"))
    assert legacy.hkl_min == (-1, 0, 0) and legacy.hkl_max == (3, 2, 0) and legacy.n_records == 3
    assert legacy.non_integer == [("h", -1.5, 1), ("k", 2.9, 1)]
    assert legacy.hkl.tolist() == [[0, 0, 0]] and legacy.stopped_at_line == 2


def test_legacy_numbers_are_never_split(written):
    legacy = read_hkl_legacy(written("1 2 3 4\n5 6 78"))
    assert legacy.n_records == 1 and legacy.stopped_at_line == 2


@pytest.mark.parametrize(
    "content, words",
    [
        ("h k l F\n1 2 3 4\n", "not enough HKL indices"),
        ("", "empty"),
        (b"\0\1\2\3", "not enough HKL indices"),
        ("1 2 3 nan\n", "finite"),
        ("1e999 2 3 4\n", "infinite"),
        ("0x1p99999 2 3 4\n", "infinite"),
        ("1" * 5000 + " 2 3 4\n", "infinite"),
        ("0 0 0.5 100\n9 9 9 1\n", "outside the box"),
    ],
)
def test_legacy_refuses_what_the_original_does_not_survive(written, content, words):
    with pytest.raises(FileFormatError, match=words):
        read_hkl_legacy(written(content))
