"""Arrays given to an experiment: it keeps its own, so what their owner does with them later does not change it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small import small

import nanobragg as nb

HKL = np.indices((4, 4, 4)).reshape(3, -1).T - 2


def with_table(table: nb.StructureFactors) -> nb.Experiment:
    return small().replace("crystal.structure_factors", table)


def test_writing_to_a_mask_does_not_change_the_experiment() -> None:
    mask = np.ones((12, 16), bool)
    mask[3:5] = False
    experiment = small().replace("detector.mask", mask)
    before, text = nb.simulate(experiment), experiment.to_json()
    mask[:] = False
    assert before.any() and not before[3:5].any()
    assert np.array_equal(nb.simulate(experiment), before) and experiment.to_json() == text


def test_writing_to_amplitudes_does_not_change_the_experiment() -> None:
    amplitude = np.full((4, 4, 4), 100.0)
    experiment = with_table(nb.StructureFactors(amplitude=amplitude, hkl_min=(-2, -2, -2), default_F=1.0))
    before = nb.simulate(experiment)
    amplitude[:] = 0
    assert before.any() and np.array_equal(nb.simulate(experiment), before)


def test_reflections_are_copied() -> None:
    hkl, amplitude = HKL.copy(), np.arange(1.0, 65.0)
    table = nb.StructureFactors.from_arrays(hkl, amplitude)
    hkl[:], amplitude[:] = 0, 0
    assert table.hkl_min == (-2, -2, -2) and table.amplitude.ravel().tolist() == list(range(1, 65))


@pytest.mark.parametrize("path", ["detector.mask", "crystal.structure_factors.amplitude"])
def test_what_the_experiment_holds_cannot_be_written_to(path: str) -> None:
    table = nb.StructureFactors.from_arrays(HKL, np.ones(64))
    held = with_table(table).replace("detector.mask", np.ones((12, 16), bool)).get(path)
    with pytest.raises(ValueError, match="read-only"):
        held[0] = 0


def test_a_view_that_is_read_only_is_copied_all_the_same() -> None:
    amplitude = np.ones((4, 4, 4))
    view = amplitude[:]
    view.setflags(write=False)
    table = nb.StructureFactors(amplitude=view, hkl_min=(0, 0, 0))
    amplitude[:] = 2
    assert (table.amplitude == 1).all()


def test_a_new_experiment_shares_what_did_not_change() -> None:
    """A table may have gigabytes."""
    first = with_table(nb.StructureFactors.from_arrays(HKL, np.ones(64)))
    first = first.replace("detector.mask", np.ones((12, 16), bool))
    second = first.replace("crystal.structure_factors.default_F", 2.0).replace("detector.distance_mm", 70.0)
    for path in ("detector.mask", "crystal.structure_factors.amplitude"):
        assert second.get(path) is first.get(path)


@pytest.mark.parametrize("backend", ["c", "torch"])
def test_a_tensor_is_kept_itself(backend: str) -> None:
    """It is what is refined: an optimizer writes to it, and its gradient must arrive there."""
    torch = pytest.importorskip("torch")
    amplitude = torch.full((4, 4, 4), 100.0, dtype=torch.float64, requires_grad=True)
    table = nb.StructureFactors(amplitude=amplitude, hkl_min=(-2, -2, -2))
    assert table.amplitude is amplitude
    experiment = with_table(table)

    def image() -> Any:
        return nb.simulate(experiment, backend=backend)

    before = image()
    if backend == "torch":
        before.sum().backward()
        assert amplitude.grad.count_nonzero() > 0
    with torch.no_grad():
        amplitude *= 2
    # I ~ F^2, and a power of 2 rounds nothing
    assert image().tolist() == (4 * before).tolist()


@pytest.mark.filterwarnings("error")  # torch warns of tensors that share read-only memory
def test_refining_a_table_leaves_the_one_it_started_from() -> None:
    torch = pytest.importorskip("torch")
    table = nb.StructureFactors.from_arrays(HKL, np.ones(64))
    module = nb.ExperimentModule(with_table(table), ["crystal.structure_factors.amplitude"])
    with torch.no_grad():
        next(module.parameters()).mul_(2)
    assert (table.amplitude == 1).all()
