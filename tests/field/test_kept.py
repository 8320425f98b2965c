"""What is taken over from files and kept through them: names of panels, sensors, space groups that a format does not hold."""

import gemmi
import numpy as np
import pytest

import nanobragg as nb
from nanobragg import sensor_materials
from tests.field.field_inputs import FIELD, TEMPLATE, panels, warned

TWO = FIELD / "f05_write_geom" / "two_panels.expt"


def test_names_of_panels(tmp_path):
    found = nb.Experiment.from_dials(TWO, TEMPLATE)
    assert [panel.name for panel in panels(found)] == ["bad/upper", "D0 q1"]
    found.to_dials(tmp_path / "x.expt")
    assert [p.name for p in panels(nb.Experiment.from_dials(tmp_path / "x.expt", TEMPLATE))] == ["bad/upper", "D0 q1"]
    assert TEMPLATE.detector.name is None


@pytest.mark.parametrize("name", ["x.mat", "x.stream"])
def test_a_group_that_is_lost_is_told(tmp_path, name):
    with warned() as texts:
        nb.write_geometry(TEMPLATE.replace("crystal.space_group", "P 21 21 21"), tmp_path / name)
    assert any("the space group (P 21 21 21) is not part of the file" in text for text in texts)


def test_a_group_in_nxmx(tmp_path):
    grouped = TEMPLATE.replace("crystal.space_group", "P 21 21 21")
    nb.io.write_nxmx(tmp_path / "x.nxs", np.zeros((1024, 1024), np.int32), grouped)
    assert nb.Experiment.from_image(tmp_path / "x.nxs", TEMPLATE).crystal.space_group == "P 21 21 21"


@pytest.mark.parametrize(("energy", "mass"), [(8000, 64.68), (10000, 33.89), (20000, 4.464), (30000, 1.436)])
def test_attenuation_of_silicon(energy, mass):
    """Against the other table of NIST (XCOM) [cm^2/g], which differs by up to 3.3 % from the one used here."""
    assert 1e4 / sensor_materials.attenuation_um("Si", energy) / 2.329 == pytest.approx(mass, rel=0.05)


@pytest.mark.parametrize(("material", "elements", "density"), [
    ("Si", {"Si": 1}, 2.329), ("CdTe", {"Cd": 1, "Te": 1}, 5.85), ("GaAs", {"Ga": 1, "As": 1}, 5.318),
    ("Gd2O2S", {"Gd": 2, "O": 2, "S": 1}, 7.44),
])  # fmt: skip
def test_attenuation_against_anomalous_scattering(material, elements, density):
    """Photoelectric absorption is 2 r_e lambda f''; scattering, which the table has too, adds up to 3.4 % at 15 keV."""
    energy = 15000.0
    area = weight = 0.0
    for name, n in elements.items():
        element = gemmi.Element(name)
        imaginary = gemmi.cromer_liberman(z=element.atomic_number, energy=energy)[1]
        area += n * 2 * 2.8179403e-13 * (12398.42e-8 / energy) * imaginary
        weight += n * element.weight / 6.02214076e23
    found = 1e4 / sensor_materials.attenuation_um(material, energy) / density
    assert 1.0 < found / (area / weight) < 1.04


def test_the_material_decides_the_attenuation():
    named, given = (
        TEMPLATE.replace(detector=nb.Detector(n_fast=8, n_slow=8, sensor=nb.Sensor(thickness_um=450, n_layers=3, **values)),
                         beam=nb.Beam(energy_ev=12000.0))
        for values in ({"material": "Si"}, {"attenuation_um": sensor_materials.attenuation_um("Si", 12000.0)})
    )  # fmt: skip
    np.testing.assert_array_equal(nb.simulate(named), nb.simulate(given))
    with pytest.raises(nb.ConfigError, match=r"detector\.sensor\.material.*outside the table of Si, 5 to 100 keV"):
        nb.simulate(named.replace("beam.energy_ev", 1000.0))
