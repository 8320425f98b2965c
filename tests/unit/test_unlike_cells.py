"""Cells of crystals that differ: moments, symmetry, streams."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nanobragg as nb
from nanobragg import drawn_cell


def experiment(*cell):
    crystal = nb.Crystal(unit_cell=nb.UnitCell(*cell), structure_factors=nb.StructureFactors.constant(1.0))
    return nb.Experiment(crystal=crystal)


def sample(of, spread, n=4000):
    drawn = [drawn_cell(of, spread, 7, shot) for shot in range(n)]
    return np.array([[c.a, c.b, c.c, c.alpha, c.beta, c.gamma] for c in drawn])


TETRAGONAL = experiment(78, 78, 37, 90, 90, 90)
TRICLINIC = experiment(40, 50, 60, 85, 95, 105)


def test_widths_and_ties_of_a_tetragonal_cell():
    cells = sample(TETRAGONAL, nb.CellSpread(a=0.002, b=0.002, c=0.004))
    assert np.array_equal(cells[:, 0], cells[:, 1]) and (cells[:, 3:] == 90).all()
    assert cells.mean(0)[:3] == pytest.approx([78, 78, 37], rel=5 * 0.004 / math.sqrt(4000))
    assert cells.std(0)[[0, 2]] == pytest.approx([78 * 0.002, 37 * 0.004], rel=5 / math.sqrt(2 * 4000))
    assert abs(np.corrcoef(cells[:, 0], cells[:, 2])[0, 1]) < 5 / math.sqrt(4000)


def test_covariance_of_a_triclinic_cell():
    root = np.random.default_rng(3).standard_normal((6, 6)) * 0.1
    covariance = root @ root.T
    cells = sample(TRICLINIC, nb.CellSpread(covariance=covariance))
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert np.abs((np.cov(cells.T) - covariance) / scale).max() < 5 * math.sqrt(2 / 4000)


def test_a_crystal_is_drawn_alone():
    spread = nb.CellSpread(a=0.01, b=0.01, c=0.01)
    third = [drawn_cell(TETRAGONAL, spread, 7, shot) for shot in range(4)][3]
    assert drawn_cell(TETRAGONAL, spread, 7, 3).a == third.a
    assert drawn_cell(TETRAGONAL, spread, 8, 3).a != third.a
    assert drawn_cell(TETRAGONAL, nb.CellSpread(), 7, 3).a == 78.0


@pytest.mark.parametrize(
    ("of", "spread", "words"),
    [
        (TETRAGONAL, nb.CellSpread(a=0.01), r"cell_spread\.b=0.0: breaks.*tetragonal.*write that of a, 0.01"),
        (
            TETRAGONAL,
            nb.CellSpread(a=0.01, b=0.01, beta=0.1),
            r"cell_spread\.beta=0.1:.*fixed in a tetragonal cell; write 0",
        ),
        (TETRAGONAL, nb.CellSpread(covariance=np.eye(6)), r"covariance\[1\].*tetragonal"),
    ],
)
def test_distributions_that_break_the_symmetry_are_refused(of, spread, words):
    with pytest.raises(nb.ConfigError, match=words):
        drawn_cell(of, spread, 1, 0)


def test_edges_that_a_file_has_not_quite_equal_are_tied_by_the_group():
    """As of a refinement in a lower symmetry: equal relative widths are those of the symmetry, and the edges move together."""
    pytest.importorskip("gemmi", reason="space groups need gemmi: pip install 'nanobragg[io]'")
    of = experiment(78.0, 78.01, 37, 90, 90, 90).replace("crystal.space_group", "P 43 21 2")
    cells = sample(of, nb.CellSpread(a=0.002, b=0.002, c=0.004), 50)
    np.testing.assert_allclose(cells[:, 1] - cells[:, 0], 0.01, rtol=1e-9)


def test_one_crystal_is_asked_for():
    both = TRICLINIC.replace(crystal=(TRICLINIC.crystal, TRICLINIC.crystal))
    with pytest.raises(nb.ConfigError, match="crystal='2 crystals': must be one"):
        drawn_cell(both, nb.CellSpread(), 1, 0)
    with pytest.raises(nb.ConfigError, match="must be a CellSpread"):
        drawn_cell(TRICLINIC, 0.01, 1, 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nb.CellSpread(a=-0.01), "cell_spread.a.*>= 0"),
        (lambda: nb.CellSpread(covariance=np.eye(3)), "shape"),
        (lambda: nb.CellSpread(covariance=-np.eye(6)), "semidefinite"),
        (lambda: nb.CellSpread(covariance=np.eye(6), a=0.1), "place of the six"),
    ],
)
def test_bad_input_names_field_and_remedy(make, words):
    with pytest.raises(nb.ConfigError, match=words):
        make()
