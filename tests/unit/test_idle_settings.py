"""Settings of real crystals and spectra that have no effect are told, by path and reason; those that have one are not."""

from __future__ import annotations

import numpy as np
import pytest
from small import small

import nanobragg as nb

MAP = {"map": np.ones((2, 2, 2))}


def notes(**parts):
    experiment = small()
    for path, value in parts.items():
        experiment = experiment.replace(path.replace("__", "."), value)
    return [str(note) for note in nb.explain(experiment).ineffective]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("crystal__damage", nb.Damage(b_per_mgy=1.0), "damage.b_per_mgy has no effect: there is no dose"),
        ("crystal__damage", nb.Damage(dose_mgy=1.0), "damage.dose_mgy has no effect: nothing says what it does"),
        ("crystal__damage", nb.Damage(dose_mgy=1.0, b_per_mgy=1.0, exponent=2.0), "it belongs to dose_1_mgy"),
        (
            "crystal__diffuse",
            nb.Diffuse(gamma_angstrom=20.0),
            "diffuse.gamma_angstrom has no effect: sigma_angstrom is 0",
        ),
        ("crystal__diffuse", nb.Diffuse(sigma_angstrom=0.2, grid=9), "diffuse.grid has no effect: method is 'stencil'"),
        ("crystal__diffuse", nb.Diffuse(**MAP, stencil=2), "diffuse.stencil has no effect: the map says it all"),
        ("crystal__sizes", nb.BlockSizes(distribution="gamma"), "sizes.distribution has no effect: width is 0"),
        (
            "beam",
            nb.Beam(wavelength_angstrom=1.2, spectrum=nb.Spectrum(kind="given", energy_ev=[9000.0, 9100.0])),
            "beam.wavelength_angstrom has no effect: the given spectrum decides",
        ),
    ],
)
def test_what_is_idle_is_told(path, value, words):
    told = notes(**{path: value})
    assert len(told) == 1 and words in told[0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("crystal__damage", nb.Damage(dose_mgy=1.0, dose_1_mgy=10.0, exponent=2.0)),
        ("crystal__damage", nb.Damage(frame_dose_mgy=1.0, decay_per_mgy=0.1)),
        ("crystal__diffuse", nb.Diffuse(sigma_angstrom=0.2, gamma_angstrom=20.0, stencil=2, n_orders=2)),
        ("crystal__diffuse", nb.Diffuse(**MAP, grid=2)),
        ("beam", nb.Beam(spectrum=nb.Spectrum(kind="given", energy_ev=[9000.0, 9100.0]))),
    ],
)
def test_what_acts_is_not(path, value):
    assert notes(**{path: value}) == []
    with pytest.warns(nb.IneffectiveWarning, match=r"crystal\.sizes\.distribution"):
        nb.simulate(small().replace("crystal.sizes", nb.BlockSizes(distribution="gamma")))
