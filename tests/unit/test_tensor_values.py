"""What stands in a tensor is checked as a plain number is, on both backends, before anything is rendered."""

from __future__ import annotations

import pytest
from small import small

import nanobragg as nb

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("backend", ["c", "torch"])
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("beam.wavelength_angstrom", -1.0),
        ("beam.wavelength_angstrom", float("nan")),
        ("beam.kahn_factor", 1.5),
        ("detector.pixel_size_mm", 0.0),
        ("detector.distance_mm", float("inf")),
        ("crystal.unit_cell.a", -40.0),
        ("crystal.fudge", float("nan")),
        ("crystal.mosaic.spread_deg", -0.1),
        ("background.water_um", -1.0),
    ],
)
def test_scalar(backend, path, value):
    with pytest.raises(nb.ConfigError, match=path.replace(".", r"\.")):
        nb.simulate(small().replace(path, torch.tensor(value)), backend=backend)


def test_element_of_a_vector():
    angles = torch.tensor([1.0, float("nan"), 3.0])
    with pytest.raises(nb.ConfigError, match=r"crystal\.misset_deg\[1\]=nan"):
        nb.simulate(small().replace("crystal.misset_deg", angles))
    with pytest.raises(nb.ConfigError, match=r"crystal\.misset_deg\[2\]=inf"):
        nb.simulate(small().replace("crystal.misset_deg[2]", torch.tensor(float("inf"))))


def test_angles_that_close_no_cell():
    with pytest.raises(nb.ConfigError, match="close no cell"):
        nb.simulate(small().replace("crystal.unit_cell", nb.UnitCell(40, 50, 60, torch.tensor(60.0), 60, 130)))


def test_a_list_of_tensors_is_no_array():
    wavelength = [torch.tensor(1.0, requires_grad=True)]
    with pytest.raises(nb.ConfigError, match="wavelength_angstrom"):
        nb.Sources(direction=[[-1.0, 0.0, 0.0]], wavelength_angstrom=wavelength)


def test_quirks_are_no_tensor():
    with pytest.raises(nb.ConfigError, match="quirks"):
        small(quirks=torch.tensor(1))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device here")
def test_device_that_is_not_there():
    with pytest.raises(nb.BackendUnavailableError, match="cuda"):
        nb.simulate(small(), backend="torch", device="cuda")
