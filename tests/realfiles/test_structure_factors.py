"""Structure factors of real entries: from data and from models, against direct summation."""

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.errors import NanoBraggWarning
from nanobragg.io.reflections.model import read_model

gemmi = pytest.importorskip("gemmi", reason="needs gemmi: pip install 'nanobragg[io]'")


def simulated(table, **crystal):
    return nb.simulate(
        nb.Experiment(
            crystal=nb.Crystal(structure_factors=table, n_cells=(5, 5, 5), misset_deg=(10, 20, 30), **crystal),
            detector=nb.Detector(n_fast=100, n_slow=100, pixel_size_mm=1.0, distance_mm=100),
            sampling=nb.Sampling(oversample=1),
        )
    )


@pytest.mark.parametrize(("name", "group", "n"), [("5e5z.mtz", "P 1 21 1", 403), ("r5wkdsf.ent", "C 1 2 1", 406)])
def test_data(real, name, group, n):
    read = nb.StructureFactors.from_mtz if name.endswith("mtz") else nb.StructureFactors.from_cif
    with pytest.warns(NanoBraggWarning, match="structure factors are taken from F"):
        table = read(real / name)
    assert table.space_group == group
    # a monoclinic list: every unique reflection stands for at most 4 (2 rotations, 2 Friedel mates)
    assert 3 * n < table.n_reflections <= 4 * n
    center = -np.array(table.hkl_min)
    assert (table.amplitude == table.amplitude[::-1, ::-1, ::-1]).all(), "no anomalous columns: Friedel's law holds"
    assert (np.array(table.amplitude.shape) == 2 * center + 1).all()
    assert simulated(table).max() > 0


@pytest.mark.parametrize(("name", "cell_a"), [("5e5z.pdb", 9.643), ("1orc.pdb", 34.77), ("1pfe.cif.gz", 39.374)])
def test_models_agree_with_direct_summation(real, name, cell_a):
    listed = read_model(real / name, 2.0, k_sol=0)
    structure = gemmi.read_structure(str(real / name))
    direct = gemmi.StructureFactorCalculatorX(structure.cell)
    chosen = np.linspace(0, len(listed.hkl) - 1, 200).astype(int)
    exact = np.array([abs(direct.calculate_sf_from_model(structure[0], listed.hkl[i].tolist())) for i in chosen])
    error = np.sqrt(((listed.plus[chosen] - exact) ** 2).sum() / (exact**2).sum())
    assert error < 1e-4  # measured: 4e-6 to 1.6e-5
    table = nb.StructureFactors.from_model(real / name, 2.0)
    assert table.unit_cell[0] == cell_a
    image = simulated(table)
    assert np.isfinite(image).all() and image.max() > 0


def test_bulk_solvent_matters_at_low_resolution_only(real):
    with_solvent, without = (read_model(real / "1orc.pdb", 2.0, k_sol=k) for k in (0.35, 0.0))
    cell = gemmi.UnitCell(*with_solvent.cell)
    d = np.array([cell.calculate_d(h.tolist()) for h in with_solvent.hkl])
    change = np.abs(with_solvent.plus - without.plus)
    low, high = d > 8, d < 2.1
    assert change[low].mean() / without.plus[low].mean() > 0.2  # measured 0.53
    assert change[high].mean() / without.plus[high].mean() < 0.02  # measured 0.011


def test_anomalous_scattering_parts_friedel_mates(real):
    listed = read_model(real / "1orc.pdb", 3.0, k_sol=0, energy_ev=7200.0)
    structure = gemmi.read_structure(str(real / "1orc.pdb"))
    direct = gemmi.StructureFactorCalculatorX(structure.cell)
    names = {site.atom.element.name: site.atom.element for site in structure[0].all()}
    factors = {name: gemmi.cromer_liberman(z=e.atomic_number, energy=7200.0) for name, e in names.items()}

    def amplitude(h):
        parts = []
        for use in (lambda f: f[0], lambda f: f[0] + f[1]):
            for name, element in names.items():
                direct.addends.set(element, use(factors[name]))
            parts.append(complex(direct.calculate_sf_from_model(structure[0], h)))
        a, b = parts[0], parts[1] - parts[0]
        return abs(a + 1j * b)

    chosen = np.linspace(0, len(listed.hkl) - 1, 40).astype(int)
    plus = np.array([amplitude(listed.hkl[i].tolist()) for i in chosen])
    minus = np.array([amplitude((-listed.hkl[i]).tolist()) for i in chosen])
    assert np.abs(plus - minus).max() > 1.0, "sulfur at 7.2 keV is seen"
    np.testing.assert_allclose(listed.plus[chosen], plus, atol=1e-4 * plus.max())
    np.testing.assert_allclose(listed.minus[chosen], minus, atol=1e-4 * plus.max())
