"""Structure factors from several stills together: they come closer to the truth, by symmetry, and the prior holds the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_shared import SIZE, still

import nanobragg as nb
from nanobragg.errors import ConfigError
from nanobragg.refinement.data.pixels import as_image, boxes
from nanobragg.refinement.solving.adjoint import AdjointModel
from nanobragg.refinement.variables.parameters import Parameters

pytest.importorskip("gemmi", reason="needs gemmi: pip install 'nanobragg[io]'")
GROUP = "P 4"


def symmetric() -> nb.StructureFactors:
    """Wilson's statistics in the Laue group 4/m."""
    rng = np.random.default_rng(1)
    h, k, index = (np.arange(-n, n + 1) for n in (40, 40, 27))
    whole = rng.exponential(size=(len(h), len(k), len(index)))
    mates = [whole, whole[::-1, ::-1, :], np.swapaxes(whole, 0, 1)[::-1], np.swapaxes(whole, 0, 1)[:, ::-1]]
    even = sum(mates) / 4
    amplitude = 300 * np.sqrt((even + even[::-1, ::-1, ::-1]) / 2)
    return nb.StructureFactors(amplitude=amplitude, hkl_min=(-40, -40, -27))


TABLE = symmetric()


def truths(n: int) -> list[nb.Experiment]:
    found = [still(seed).replace("crystal.structure_factors", TABLE) for seed in range(n)]
    return [one.replace("crystal.space_group", GROUP).replace("beam.fluence_per_m2", 2e26) for one in found]


def counts_of(experiment: nb.Experiment, seed: int) -> Any:
    return np.random.default_rng(seed).poisson(nb.simulate(experiment) + 1.0)


def test_the_gradient_is_that_of_the_cost() -> None:
    """Of the variables and of one factor, to 1e-6 of differences."""
    exact = truths(1)[0]
    parameters = Parameters(exact, ["crystal.misset_deg", "crystal.n_cells"], priors={"crystal.n_cells[0]": (8.1, 0.2)})
    model = AdjointModel(
        parameters, boxes(as_image(counts_of(exact, 1), exact), nb.predict(exact)[:20], exact, 2, "plane")
    )
    x = np.full(parameters.size, 0.3)
    model.weigh(model.expected(x), 0.0)
    factors = np.full(TABLE.amplitude.shape, 1.1)
    _, gradient, by_factor = model.cost(x, factors)
    for k, step in enumerate(np.eye(len(x)) * 1e-3):
        slope = (model.cost(x + step, factors)[0] - model.cost(x - step, factors)[0]) / 2e-3
        assert abs(slope - gradient[k]) < 1e-5 * np.abs(gradient).max(), parameters.names[k]
    place = tuple(np.subtract(model.boxes.spots["hkl"][0], TABLE.hkl_min))
    values = []
    for sign in (1, -1):
        other = factors.copy()
        other[place] *= np.exp(sign * 1e-4)
        values.append(model.cost(x, other)[0])
    assert abs((values[0] - values[1]) / 2e-4 / by_factor[place] - 1) < 1e-5


def test_structure_factors_of_several_stills() -> None:
    """From all alike to the truth, 309 amplitudes: their scatter of 20 % falls to 4 %, chi-squared from 1.8 to 0.99 (seen).

    The errors are those with the orientations held: the deviations are 1.7 of them.
    """
    exact = truths(4)
    counts = [counts_of(one, i) for i, one in enumerate(exact)]
    plain = nb.StructureFactors.constant(250.0)
    starts = []
    for one in exact:
        x, y, z = one.crystal.misset_deg
        starts.append(
            one.replace("crystal.structure_factors", plain).replace("crystal.misset_deg", (x + 0.05, y - 0.05, z))
        )
    found = nb.refine_amplitudes(counts, starts, refine=["crystal.misset_deg", "beam.fluence_per_m2"], sigma=0.7, max_boxes=80,
                                 max_steps=60)  # fmt: skip
    true = TABLE.amplitude[tuple((found.hkl - TABLE.hkl_min).T)]
    ratio = np.log(250.0 * found.factor / true)
    ratio -= np.average(ratio, weights=found.error**-2.0)  # the fluence takes the mean
    well = found.error < 0.1
    print(len(found.hkl), well.sum(), np.std(ratio[well]), np.std(np.log(true[well])), found.chi2_start, found.chi2, found.steps,
          np.sqrt(np.mean((ratio[well] / found.error[well]) ** 2)))  # fmt: skip
    assert well.sum() > 100 and np.std(ratio[well]) < 0.3 * np.std(np.log(true[well]))
    assert found.chi2 < 1.15 < found.chi2_start
    table = found.structure_factors
    mates = [
        table.amplitude[tuple(np.subtract(hkl, table.hkl_min))]
        for hkl in ((3, 5, 2), (-5, 3, 2), (-3, -5, -2), (5, -3, -2))
    ]
    assert len(set(mates)) == 1
    assert all(one.crystal.structure_factors is table for one in found.experiments)
    off = [
        np.subtract(a.crystal.misset_deg, b.crystal.misset_deg) for a, b in zip(found.experiments, exact, strict=True)
    ]
    print(np.sqrt(np.mean(np.square(off))), np.abs(off).max())
    assert np.sqrt(np.mean(np.square(off))) < 0.015  # from 0.041


def test_what_cannot_be_refined_together() -> None:
    one, other = truths(2)
    image = np.ones((SIZE, SIZE))
    for change, text in (
        ({"sigma": 0.0}, "sigma"), ({"experiments": [one]}, "as many as"),
        ({"experiments": [one, other.replace("crystal.structure_factors", nb.StructureFactors.constant(1.0))]}, "not the same"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=text):
            nb.refine_amplitudes(
                [image] * 2, **{"experiments": [one, other], "refine": ["crystal.misset_deg"], **change}
            )
