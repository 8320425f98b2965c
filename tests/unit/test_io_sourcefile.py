"""Source files (docs/file_formats.md, Source file)."""

from pathlib import Path

import numpy as np
import pytest

from nanobragg.errors import FileFormatError
from nanobragg.io import read_sourcefile, write_sourcefile
from nanobragg.io.sourcefile import read_sourcefile_legacy

DATA = Path(__file__).parents[1] / "data"
NAN = np.nan


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "sources.txt"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def rows(table):
    return np.column_stack([table.position, table.weight, table.wavelength_m]).tolist()


@pytest.mark.parametrize("reader", [read_sourcefile, read_sourcefile_legacy])
def test_golden_files(reader):
    full = reader(DATA / "sources_full.txt")
    assert full.position.shape == (6, 3) and full.wavelength_m[0] == 1.00861416e-10 and full.weight[5] == 0.739
    partial = reader(DATA / "sources_partial.txt")
    expected = [
        [-10, 0.02, -0.01, NAN, NAN],
        [-9.5, -0.03, 0.015, 2.5, NAN],
        [-10, 0, 0.04, 0.7, 1.01e-10],
        [-10, 0.01, NAN, NAN, NAN],
    ]
    np.testing.assert_array_equal(rows(partial), expected)
    assert partial.line.tolist() == [1, 3, 4, 6]


@pytest.mark.parametrize(
    "content",
    [
        "-10 0 0.5\n-10 1 0 2\n",
        "-10 0 0.5\r\n\r\n-10 1 0 2\r\n",
        "-10,0;0.5\r-10:1!0\t2",
        "# sources\n-10 0 0.5 # first\n\n-10 1 0 2",
    ],
)
def test_strict_reader_takes_any_line_end_and_comments(written, content):
    np.testing.assert_array_equal(
        rows(read_sourcefile(written(content))), [[-10, 0, 0.5, NAN, NAN], [-10, 1, 0, 2, NAN]]
    )


@pytest.mark.parametrize(
    "content, line, words",
    [
        ("", None, "empty"),
        ("# nothing\n", None, "no source"),
        ("-10 0 0\n-10 0 zero\n", 2, "z is 'zero'"),
        ("-10 0 0 1 1.0\n", 1, "meters: 1e-10 means 1 Angstrom"),
        ("-10 0 0 1 1e-13\n", 1, "0.01 and 100 Angstrom"),
        ("-10 0 0 -1\n", 1, "weight is -1"),
        ("0 0 0 1\n", 1, "position is 0 0 0"),
        ("-10 0 0 inf\n", 1, "finite"),
        ("-10 0 0 1 1e-10 9\n", 1, "6 columns"),
        (b"-10 0 0\0\n", 1, "binary"),
    ],
)
def test_strict_reader_says_what_is_wrong(written, content, line, words):
    with pytest.raises(FileFormatError, match=words) as caught:
        read_sourcefile(written(content))
    assert caught.value.line == line


@pytest.mark.parametrize(
    "content, expected",
    [
        ("-10 0 1\n", [[-10, 0, 1, NAN, NAN]]),
        ("-10 0 1 ,; \n", [[-10, 0, 1, NAN, NAN]]),  # trailing delimiters are allowed
        (" ;,\n\n-10 0 1\n", [[-10, 0, 1, NAN, NAN]]),
        ("-10 0 1 2 1e-10", [[-10, 0, 1, 2, 1e-10]]),  # all five present: the end of the line does not matter
        ("-10 0 1 2 1e-10\r\n", [[-10, 0, 1, 2, 1e-10]]),
        ("-10 0 1.5x 2y 1e-10 rest\n", [[-10, 0, 1.5, 2, 1e-10]]),  # atof reads the number at the start of a column
        ("-10 abc 1 2 1e-10\n", [[-10, 0, 1, 2, 1e-10]]),  # junk is 0
    ],
)
def test_legacy_columns(written, content, expected):
    np.testing.assert_array_equal(rows(read_sourcefile_legacy(written(content))), expected)


@pytest.mark.parametrize(
    "content, line, words",
    [
        ("-10 0 1 1 1e-10\n-10 0 1", 2, "wavelength is 0"),  # no line feed: the missing columns are 0
        ("-10 0 1\r\n", 1, "wavelength is 0"),
        ("# comment\n-10 0 0\n", 1, "0 0 0"),
        ("\r\n", 1, "0 0 0"),
        ("-10 0 nan 1 1e-10\n", 1, "finite"),
        ("", None, "no source"),
        ("\n\n", None, "no source"),
    ],
)
def test_legacy_traps_that_make_nan(written, content, line, words):
    with pytest.raises(FileFormatError, match=words) as caught:
        read_sourcefile_legacy(written(content))
    assert caught.value.line == line


def test_legacy_reads_long_lines_in_pieces(written):
    # 10239 bytes at a time: the rest of the line is a line of its own
    content = "-10 0 1 1 1e-10" + " " * 10240 + "-10 5 0 1 2e-10\n"
    assert rows(read_sourcefile_legacy(written(content))) == [[-10, 0, 1, 1, 1e-10], [-10, 5, 0, 1, 2e-10]]


def test_round_trip(tmp_path):
    random = np.random.default_rng(1)
    position, weight, wavelength = random.normal(size=(20, 3)), random.random(20), random.uniform(0.9e-10, 1.1e-10, 20)
    write_sourcefile(tmp_path / "s", position, weight, wavelength)
    for reader in (read_sourcefile, read_sourcefile_legacy):
        table = reader(tmp_path / "s")
        assert np.array_equal(table.position, position)
        assert np.array_equal(table.weight, weight) and np.array_equal(table.wavelength_m, wavelength)
