"""A random orientation without a seed: one draw for each crystal, the same for every call, reported and recorded."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import small

import nanobragg as nb
from nanobragg.derivation import panels
from nanobragg.derivation.cell import unit_cell_vectors
from nanobragg.derivation.orientations import seeded
from nanobragg.derivation.resolve import resolve
from nanobragg.exchange.images.provenance import read_provenance


@pytest.fixture(params=["corrected", "reference"])
def drawn(request: pytest.FixtureRequest) -> nb.Experiment:
    """Each test draws an orientation of its own."""
    experiment: nb.Experiment = small().replace("crystal.misset_deg", "random").with_fidelity(request.param)
    assert experiment.crystal.misset_seed is None
    return experiment


def typed(experiment: nb.Experiment) -> nb.Experiment:
    """With the seed that was drawn, as a user types it."""
    given = small(quirks=experiment.quirks).replace("crystal.misset_seed", experiment.crystal.orientation_seed)
    return given.replace("crystal.misset_deg", "random")


def test_the_same_experiment_gives_the_same_image(drawn: nb.Experiment) -> None:
    image = nb.simulate(drawn)
    assert image.any() and np.array_equal(nb.simulate(drawn), image)
    assert np.array_equal(nb.simulate(typed(drawn)), image)
    assert np.array_equal(nb.simulate(resolve(drawn).experiment), image)
    assert np.array_equal(nb.prepare(drawn)(), image)
    assert np.array_equal(next(nb.simulate_scan(drawn, 1)), image)
    assert nb.trace(drawn, (5, 6)).steps[-1].value == nb.simulate(drawn, kernel="scalar")[5, 6]


def test_explain_reports_the_seed_that_is_rendered(drawn: nb.Experiment) -> None:
    (decision,) = (d for d in nb.explain(drawn).decisions if d.path == "crystal.misset_seed")
    assert decision.value == drawn.crystal.orientation_seed == resolve(drawn).experiment.crystal.misset_seed
    assert "entropy from the system" in decision.rule
    assert not any(d.path == "crystal.misset_seed" for d in nb.explain(typed(drawn)).decisions)


def test_an_image_file_records_the_seed(drawn: nb.Experiment, tmp_path: Path) -> None:
    image = nb.simulate(drawn)
    nb.io.write_smv(tmp_path / "a.img", nb.add_noise(image, seed=1), experiment=drawn)
    recorded = read_provenance(tmp_path / "a.img")["experiment"]["crystal"]
    assert recorded["misset_deg"] == "random"
    again = small().with_fidelity(drawn.fidelity).replace("crystal.misset_deg", "random")
    assert not np.array_equal(nb.simulate(again), image)
    assert np.array_equal(nb.simulate(again.replace("crystal.misset_seed", recorded["misset_seed"])), image)


def test_every_crystal_draws_for_itself() -> None:
    experiments = [small().replace("crystal.misset_deg", "random") for _ in range(20)]
    assert len({experiment.crystal.orientation_seed for experiment in experiments}) == 20
    assert not np.array_equal(nb.simulate(experiments[0]), nb.simulate(experiments[1]))


def test_what_leaves_the_crystal_alone_leaves_its_orientation(drawn: nb.Experiment) -> None:
    """Before it was used, too: processes that each receive a copy agree."""
    seed = drawn.crystal.orientation_seed
    others: list[Any] = [
        copy.deepcopy(drawn), pickle.loads(pickle.dumps(drawn)), drawn.replace("beam.wavelength_angstrom", 1.1),
        drawn.with_fidelity("corrected"), seeded(drawn), resolve(drawn).experiment,
    ]  # fmt: skip
    assert [other.crystal.orientation_seed for other in others] == [seed] * len(others)
    parts = panels.experiments(panels.split(drawn, 2, 2))
    assert {part.crystal.orientation_seed for part in parts} == {seed}


def test_without_resolve_it_is_that_orientation_too(drawn: nb.Experiment) -> None:
    assert np.array_equal(unit_cell_vectors(drawn), unit_cell_vectors(typed(drawn)))


def test_a_given_orientation_has_no_seed_and_a_typed_seed_stays() -> None:
    crystal = small().crystal
    assert crystal.orientation_seed is None
    assert small().replace("crystal.misset_seed", 5).crystal.orientation_seed is None
    for seed in (0, 5):
        experiment = small().replace("crystal.misset_seed", seed).replace("crystal.misset_deg", "random")
        assert experiment.crystal.orientation_seed == seed and seeded(experiment) is experiment


def test_both_engines_and_every_pass_of_a_module_have_it(drawn: nb.Experiment) -> None:
    pytest.importorskip("torch")
    image = nb.simulate(drawn, kernel="scalar")
    # measured over 200 orientations, of which every run of the test draws others: 1.7e-11 of the maximum with the scalar
    # kernel (sines of whole indices), 1.2e-13 with the default one; another orientation: of order 1
    assert np.abs(nb.simulate(drawn, backend="torch").numpy() - image).max() <= 1e-9 * image.max()
    panelled = panels.split(drawn.with_fidelity("corrected"), 2, 1)
    module = nb.ExperimentModule(panelled, ["crystal.unit_cell.a"])
    first, second = module().detach(), module().detach()
    assert bool((first == second).all()) and float(first.max()) > 0
    assert np.abs(first.numpy() - nb.simulate(panelled)).max() <= 1e-11 * float(first.max())
