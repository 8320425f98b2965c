"""Orientation matrix files (docs/file_formats.md, Orientation matrix)."""

from pathlib import Path

import numpy as np
import pytest

from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io import read_matrix, write_matrix
from nanobragg.io.matrix import read_matrix_legacy

DATA = Path(__file__).parents[1] / "data"
NUMBERS = "1 0 0\n0 1 0\n0 0 1\n"


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "test.mat"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_rows_are_components_and_columns_are_reciprocal_vectors():
    matrix = read_matrix(DATA / "ortho_l1.mat")
    assert matrix[0, 1] == -0.01114694 and matrix[2, 0] == 0.00937227
    # the file's own cell is 70 85 98 at wavelength 1; its eight decimals leave 5e-9/0.01 = 5e-7 relative
    assert np.allclose(1 / np.linalg.norm(matrix, axis=0), [70, 85, 98], rtol=1e-6)


def test_round_trip_and_layout(tmp_path):
    rows = read_matrix(DATA / "ortho_l1.mat").T
    write_matrix(tmp_path / "a.mat", rows, 1.3)
    again = read_matrix(tmp_path / "a.mat").T / 1.3
    assert np.abs(again - rows).max() <= 0.5e-8 / 1.3 + 1e-12  # half a unit in the eighth decimal
    # everything that MOSFLM wrote itself for this crystal: U to 1e-7, cell to 1e-4; its own rounding moved the last digits
    ours = np.array((tmp_path / "a.mat").read_text().split(), float)
    theirs = np.array((DATA / "ortho_l1.mat").read_text().split(), float)
    assert len(ours) == len(theirs) == 30
    assert np.abs(ours[12:21] - theirs[12:21]).max() < 1e-6 and np.abs(ours[21:27] - theirs[21:27]).max() < 1e-3


def test_triclinic_orientation_is_a_rotation(tmp_path):
    rows = np.array([[0.013, 0.002, -0.001], [0.003, 0.011, 0.004], [-0.002, 0.001, 0.016]])
    write_matrix(tmp_path / "a.mat", rows, 1.0)
    values = np.array((tmp_path / "a.mat").read_text().split(), float)
    rotation, cell = values[12:21].reshape(3, 3), values[21:27]
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=3e-7) and np.linalg.det(rotation) > 0
    # a* lies along x of the crystal frame (MOSFLM's choice), so U's first column is the direction of a*
    assert np.allclose(rotation[:, 0], rows[0] / np.linalg.norm(rows[0]), atol=1e-7)
    a, b, c = np.linalg.inv(rows).T
    assert np.allclose(cell[:3], [np.linalg.norm(v) for v in (a, b, c)], atol=1e-4)
    gamma = np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
    assert cell[5] == pytest.approx(gamma, abs=1e-4)


@pytest.mark.parametrize(
    "content, line, words",
    [
        ("", None, "empty"),
        ("1 0 0\n0 1 0\n0 0\n", None, "holds 8 numbers"),
        ("1 0 0\n0 one 0\n0 0 1\n", 2, "element 5 is 'one'"),
        ("1 0 0\n0 1 0\n0 0 nan\n", 3, "finite"),
        ("1 2 3\n2 4 6\n0 0 1\n", None, "singular"),
        ("0 0 0\n0 0 0\n0 0 0\n", None, "singular"),
        (b"1 0 0\n\0\0", 2, "binary"),
    ],
)
def test_strict_reader_says_what_is_wrong(written, content, line, words):
    with pytest.raises(FileFormatError, match=words) as caught:
        read_matrix(written(content))
    assert caught.value.line == line


def test_comments_and_any_layout(written):
    assert np.array_equal(read_matrix(written("# mine\n1 0 0 0 1\r\n0 0 0 1 ! end\nrest is not read")), np.eye(3))


def test_missing():
    for reader in (read_matrix, read_matrix_legacy):
        with pytest.raises(FileFormatError, match="No such file"):
            reader("no/such.mat")


@pytest.mark.parametrize(
    "content, values, line",
    [
        (NUMBERS + "junk", (1, 0, 0, 0, 1, 0, 0, 0, 1), None),
        ("1 0 0\n0 x 0\n", (1, 0, 0, 0), 2),
        ("1 2", (1, 2), None),
        ("# no comments here\n" + NUMBERS, (), 1),
        ("", (), None),
        ("1-2 3.5.5", (1, -2, 3.5, 0.5), None),  # as C's scanf takes them apart
    ],
)
def test_legacy_reader_takes_what_it_gets(written, content, values, line):
    legacy = read_matrix_legacy(written(content))
    assert legacy.values == values and legacy.stopped_at_line == line and legacy.complete == (len(values) == 9)


def test_flat_matrix_is_not_written(tmp_path):
    with pytest.raises(ConfigError, match="plane"):
        write_matrix(tmp_path / "a.mat", [[1, 0, 0], [0, 1, 0], [1, 1, 0]], 1.0)
    assert not (tmp_path / "a.mat").exists()
