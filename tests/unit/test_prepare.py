"""`prepare`: what it renders is what `simulate` renders; options are whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
from small import small

import nanobragg as nb
from nanobragg.derivation.panels import split


def test_renders_what_simulate_renders():
    experiment = small()
    render = nb.prepare(experiment, backend="c", n_threads=np.int64(1))
    image = nb.simulate(experiment)
    assert np.array_equal(render(), image)
    assert np.array_equal(render(), image)
    roi = (slice(2, 5), slice(1, 9))
    assert np.array_equal(render(roi=roi), nb.simulate(experiment, roi=roi))


def test_another_value_and_another_experiment():
    experiment = small()
    render = nb.prepare(experiment)
    turned = experiment.replace("crystal.misset_deg", (1.0, 2.0, 3.0))
    assert np.array_equal(render(values={"crystal.misset_deg": (1.0, 2.0, 3.0)}), nb.simulate(turned))
    assert np.array_equal(render(turned), nb.simulate(turned))
    assert np.array_equal(render(), nb.simulate(experiment))


@pytest.mark.parametrize("option", [{"n_threads": 0}, {"n_threads": True}, {"n_threads": 1.0}, {"memory_budget": -1}])
def test_options_that_are_no_whole_number(option):
    with pytest.raises(nb.ConfigError, match=next(iter(option))):
        nb.simulate(small(), **option)


def test_region_of_whole_numbers():
    with pytest.raises(nb.ConfigError, match="whole numbers"):
        nb.simulate(small(), roi=(slice(0.5, 3), slice(None)))


def test_another_experiment_of_several_panels():
    panels = split(small(), 2, 1)
    turned = panels.replace("crystal.misset_deg", (1.0, 2.0, 3.0))
    render = nb.prepare(panels)
    assert np.array_equal(render(turned), nb.simulate(turned))
    assert np.array_equal(render(small()), nb.simulate(small()))
    with pytest.raises(TypeError, match="color"):
        nb.prepare(panels, color="red")


def test_out_takes_the_image():
    experiment, roi = small(), (slice(2, 5), slice(1, 9))
    for options in ({}, {"roi": roi}):
        expected = nb.simulate(experiment, **options)
        full = np.full(expected.shape, 7.0)
        for out in (full, full.astype(np.float32), np.asfortranarray(full)):
            assert nb.simulate(experiment, out=out, **options) is out
            assert np.array_equal(out, expected.astype(out.dtype))
    panels = split(experiment, 2, 1)
    expected = nb.simulate(panels)
    out = np.empty(expected.shape)
    assert nb.simulate(panels, out=out) is out and np.array_equal(out, expected)


@pytest.mark.parametrize("out", [np.zeros((3, 4)), np.zeros((24, 24), int), [], "image"])
def test_out_of_another_kind_is_refused(out):
    with pytest.raises(nb.ConfigError, match="out="):
        nb.simulate(small(), out=out)


def test_values_of_one_part_are_checked_together() -> None:
    """Three angles on the way between which there is no cell; each alone is refused, and so is what does not exist."""
    experiment = small().replace("crystal.unit_cell", nb.UnitCell(30, 40, 50, 100, 100, 100))
    angles = {f"crystal.unit_cell.{name}": angle for name, angle in (("alpha", 30.0), ("beta", 40.0), ("gamma", 50.0))}
    image = nb.prepare(experiment)({**angles, "crystal.misset_deg": (1, 2, 3), "beam.wavelength_angstrom": 1.1})
    moved = experiment.replace("crystal.unit_cell", nb.UnitCell(30, 40, 50, 30, 40, 50))
    moved = moved.replace("crystal.misset_deg", (1, 2, 3)).replace("beam.wavelength_angstrom", 1.1)
    np.testing.assert_array_equal(image, nb.prepare(experiment)({"crystal": moved.crystal, "beam": moved.beam}))
    with pytest.raises(nb.ConfigError, match="unit_cell"):
        experiment.replace("crystal.unit_cell.alpha", 30.0).replace("crystal.unit_cell.beta", 40.0)
    with pytest.raises(nb.ConfigError, match=r"did you mean alpha\?"):
        nb.prepare(experiment)({"crystal.unit_cell.a": 31.0, "crystal.unit_cell.alpa": 90.0})
    with pytest.raises(nb.ConfigError, match="path"):
        nb.prepare(experiment)({1: 2.0})
