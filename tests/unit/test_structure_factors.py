"""The dense table of structure factors: filling, duplicates, limits and gradients."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nanobragg.arrays import MAX_TABLE_BYTES
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import ConfigError, FileFormatError

DATA = Path(__file__).parents[1] / "data"


def test_table_holds_what_is_listed_and_default_elsewhere():
    table = StructureFactors.from_arrays([[-1, 0, 2], [0, 1, 3]], [5.0, 7.0], default_F=2.0)
    assert table.amplitude.shape == (2, 2, 2) and table.hkl_min == (-1, 0, 2) and table.hkl_max == (0, 1, 3)
    assert table.amplitude[0, 0, 0] == 5 and table.amplitude[1, 1, 1] == 7
    assert sorted(table.amplitude.ravel()) == [2] * 6 + [5, 7]
    assert table.n_reflections == 2 and table.has_table and table.default_F == 2


def test_last_duplicate_wins_and_all_are_counted():
    table = StructureFactors.from_arrays([[0, 0, 0], [0, 0, 1], [0, 0, 0]], [1.0, 2.0, 3.0])
    assert table.amplitude.ravel().tolist() == [3, 2] and table.n_reflections == 3


def test_constant_has_no_table():
    table = StructureFactors.constant(10)
    assert not table.has_table and table.amplitude.shape == (0, 0, 0) and table.n_reflections == 0


def test_from_hkl_and_dump_agree():
    text = StructureFactors.from_hkl(DATA / "p1_asym.hkl")
    dump = StructureFactors.from_fdump(DATA / "Fdump_asym.bin")
    assert np.array_equal(text.amplitude, dump.amplitude) and text.hkl_min == dump.hkl_min
    assert dump.n_reflections == np.prod(dump.amplitude.shape)


def listed(**of_the_file):
    return StructureFactors(amplitude=np.ones((2, 2, 2)), hkl_min=(0, 0, 0), **of_the_file)


@pytest.mark.parametrize(
    "make, path",
    [
        (lambda: StructureFactors.constant(0.0), "default_F"),
        (lambda: StructureFactors.constant(float("nan")), "default_F"),
        (lambda: StructureFactors.constant("ten"), "default_F"),
        (lambda: StructureFactors.constant("3"), "default_F"),
        (lambda: StructureFactors.constant(True), "default_F"),
        (lambda: StructureFactors.constant(np.True_), "default_F"),
        (lambda: StructureFactors.constant(np.ones(1)), "default_F"),
        (lambda: StructureFactors.constant(3 + 4j), "default_F"),
        (lambda: StructureFactors.constant(np.complex64(3)), "default_F"),
        (lambda: StructureFactors.from_arrays([[0, 0, 0]], ["3"]), "amplitude"),
        (lambda: StructureFactors.from_arrays([[0, 0, 0]], [True]), "amplitude"),
        (lambda: StructureFactors.from_arrays([[0, 0, 0]], [None]), "amplitude[0]"),
        (lambda: StructureFactors.from_arrays([[0, 0, 0], [0, 0]], [1.0, 2.0]), "hkl"),
        (lambda: listed(n_reflections="many"), "n_reflections"),
        (lambda: listed(n_reflections=1.5), "n_reflections"),
        (lambda: listed(n_reflections=-1), "n_reflections"),
        (lambda: listed(n_reflections=np.arange(3)), "n_reflections"),
        (lambda: StructureFactors.from_arrays([[0, 0, 0]], [1.0], n_reflections="1"), "n_reflections"),
        (lambda: listed(unit_cell=40.0), "unit_cell"),
        (lambda: listed(unit_cell=(40.0, 50.0, 60.0)), "unit_cell"),
        (lambda: listed(unit_cell="404040"), "unit_cell"),
        (lambda: listed(unit_cell=(40.0, 50.0, 60.0, 90.0, 90.0, "90")), "unit_cell[5]"),
        (lambda: listed(space_group=19), "space_group"),
        (lambda: listed(d_min_angstrom="2"), "d_min_angstrom"),
        (lambda: listed(d_min_angstrom=0.0), "d_min_angstrom"),
        (lambda: StructureFactors.from_arrays([[0, 0, 0]], [float("inf")]), "amplitude[0]"),
        (lambda: StructureFactors.from_arrays([[0, 0, 0], [0, 0, 0.5]], [1.0, 1.0]), "hkl[1]"),
        (lambda: StructureFactors.from_arrays([[0, 0]], [1.0]), "hkl"),
        (lambda: StructureFactors.from_arrays([[0, 0, 0]], [1.0, 2.0]), "amplitude"),
        (lambda: StructureFactors.from_arrays(np.zeros((0, 3), int), []), "hkl"),
        (lambda: StructureFactors(amplitude=np.ones((2, 2)), hkl_min=(0, 0, 0)), "amplitude"),
        (lambda: StructureFactors(amplitude=np.ones((2, 2, 2)), hkl_min=(0, 0)), "hkl_min"),
    ],
)
def test_bad_input_names_the_field(make, path):
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.path == f"crystal.structure_factors.{path}"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["array", "list", "single", "tensor"])
def test_complex_structure_factors_are_refused_with_the_remedy(kind):
    """Their real parts would give an image that looks right and is wrong."""
    hkl, factors = [[0, 0, 0], [0, 0, 1]], np.array([3 + 4j, -5j])
    if kind == "tensor":
        factors = pytest.importorskip("torch").as_tensor(factors)
    given = factors.tolist() if kind == "list" else factors.astype(np.complex64) if kind == "single" else factors
    with pytest.raises(ConfigError, match=r"crystal\.structure_factors\.amplitude=.*imaginary part.*abs\(F\)"):
        StructureFactors.from_arrays(hkl, given)
    with pytest.raises(ConfigError, match=r"abs\(F\)"):
        StructureFactors(amplitude=factors.reshape(1, 1, 2), hkl_min=(0, 0, 0))
    assert StructureFactors.from_arrays(hkl, abs(factors)).amplitude.ravel().tolist() == [5, 5]


def test_what_is_known_of_the_file_may_come_from_numpy():
    table = listed(
        n_reflections=np.int64(8), unit_cell=np.array([40, 50, 60, 90, 90, 90]), d_min_angstrom=np.float32(2)
    )
    assert table.n_reflections == 8 and table.unit_cell == (40, 50, 60, 90, 90, 90) and table.d_min_angstrom == 2
    assert [type(x) for x in (table.n_reflections, table.unit_cell, table.unit_cell[0])] == [int, tuple, float]


def test_table_over_the_limit_is_refused_before_it_is_allocated(tmp_path):
    hkl = [[0, 0, 0], [1000, 1000, 1000]]  # 1001^3 float64 = 7.47 GiB
    with pytest.raises(ConfigError, match=r"needs 7\.47 GiB.*limit of 4 GiB.*max_bytes"):
        StructureFactors.from_arrays(hkl, [1.0, 1.0])
    path = tmp_path / "wide.hkl"
    path.write_text("0 0 0 1\n1000 1000 1000 1\n")
    with pytest.raises(FileFormatError, match=r"wide\.hkl.*7\.47 GiB.*max_bytes"):
        StructureFactors.from_hkl(path)
    with pytest.raises(ConfigError, match="limit of"):
        StructureFactors.from_arrays([[0, 0, 0], [9, 9, 9]], [1.0, 1.0], max_bytes=7999)
    assert StructureFactors.from_arrays([[0, 0, 0], [9, 9, 9]], [1.0, 1.0], max_bytes=8000).has_table
    assert MAX_TABLE_BYTES == 4 * 2**30


def test_limit_holds_for_dumps(tmp_path):
    path = tmp_path / "Fdump.bin"
    path.write_bytes(b"0 999999 0 999999 0 999999\n\f")
    with pytest.raises(FileFormatError, match="GiB"):
        StructureFactors.from_fdump(path)


def test_gradient_reaches_amplitudes_and_fill():
    torch = pytest.importorskip("torch")
    amplitude = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    fill = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    table = StructureFactors.from_arrays([[0, 0, 0], [1, 1, 1], [0, 0, 0]], amplitude, default_F=fill)
    (table.amplitude**2).sum().backward()
    # the overwritten first record has no part in the table; six of eight cells hold the fill
    assert amplitude.grad.tolist() == [0, 4, 6] and float(fill.grad) == 6 * 2 * 4
    again = StructureFactors.from_arrays([[0, 0, 0], [1, 1, 1], [0, 0, 0]], [1.0, 2.0, 3.0], default_F=4.0)
    assert np.array_equal(table.amplitude.detach().numpy(), again.amplitude)


def test_fill_is_differentiable_for_numpy_amplitudes_and_dtype_is_kept():
    torch = pytest.importorskip("torch")
    fill = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    table = StructureFactors.from_arrays([[0, 0, 0], [0, 0, 2]], [1.0, 2.0], default_F=fill)
    table.amplitude.sum().backward()
    assert float(fill.grad) == 1
    single = StructureFactors.from_arrays([[0, 0, 0]], torch.ones(1, dtype=torch.float32))
    assert single.amplitude.dtype == torch.float32
    with pytest.raises(ConfigError):
        StructureFactors.from_arrays([[0, 0, 0]], torch.tensor([float("nan")]))


def test_import_is_light():
    code = (
        "import sys, nanobragg.config.structure_factors\n"
        "print([m for m in sys.modules if m == 'torch' or m.startswith('nanobragg.io.reflections.')])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout.strip()
        == "[]"
    )
