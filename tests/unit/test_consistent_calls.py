"""Calls that agree with one another: sources without directions, the arguments of the writers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small import small

import nanobragg as nb

WAVELENGTHS, WEIGHTS = np.array([0.9, 1.0, 1.2]), np.array([1.0, 3.0, 2.0])


@pytest.mark.parametrize("convention", ["mosflm", "xds"])
@pytest.mark.parametrize("tilt", [0.0, 0.03])
def test_sources_without_directions_lie_along_the_beam(convention: str, tilt: float) -> None:
    straight = np.array([1.0, 0, 0]) if convention == "mosflm" else np.array([0, 0, 1.0])
    beam = straight + np.array([0.0, tilt, 0.0])
    experiment = small().replace("detector.convention", convention).replace("beam.direction", tuple(beam))
    spectrum = nb.Sources(wavelength_angstrom=WAVELENGTHS, weight=WEIGHTS)
    typed = nb.Sources(direction=np.tile(-beam, (3, 1)), wavelength_angstrom=WAVELENGTHS, weight=WEIGHTS)
    image, same = (nb.simulate(experiment.replace("beam.sources", sources)) for sources in (spectrum, typed))
    assert image.any()
    # measured: the same bits; the unit vector is scaled and normalized again, which may round
    assert np.abs(image - same).max() < 1e-11 * same.max()


def test_sources_need_a_wavelength_and_agree_in_number() -> None:
    with pytest.raises(nb.ConfigError, match=r"beam.sources.weight=.*must have shape \(3,\)"):
        nb.Sources(wavelength_angstrom=WAVELENGTHS, weight=[1.0, 2.0])
    with pytest.raises(nb.ConfigError, match="holds no source"):
        nb.Sources(wavelength_angstrom=[])
    assert np.array_equal(nb.Sources(wavelength_angstrom=WAVELENGTHS).weight, np.ones(3))


def test_gradient_of_a_spectrum_reaches_the_direction_of_the_beam() -> None:
    torch = pytest.importorskip("torch")
    direction = torch.tensor([1.0, 0.01, 0.0], dtype=torch.float64, requires_grad=True)
    sources = nb.Sources(wavelength_angstrom=WAVELENGTHS, weight=WEIGHTS)
    experiment = small().replace("beam.direction", direction).replace("beam.sources", sources)
    nb.simulate(experiment, backend="torch", kernel="eager").sum().backward()
    assert direction.grad.abs().max() > 0


def test_the_third_argument_of_every_writer_may_be_the_experiment(tmp_path: Path) -> None:
    experiment = small()
    counts = nb.add_noise(nb.simulate(experiment), seed=1)
    nb.io.write_smv(tmp_path / "a.img", counts, experiment)
    nb.io.write_smv(tmp_path / "b.img", counts, experiment=experiment)
    assert (tmp_path / "a.img").read_bytes() == (tmp_path / "b.img").read_bytes()
    assert nb.Experiment.from_image(tmp_path / "a.img", experiment).beam.wavelength_angstrom == pytest.approx(1.0)
    with pytest.raises(nb.ConfigError, match="experiment= is given too"):
        nb.io.write_smv(tmp_path / "a.img", counts, experiment, experiment=experiment)
