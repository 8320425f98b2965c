"""The measured image: scale, mask, agreement, and a refinement whose steps are seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.explorer.comparison.measured import Measured, agreement, fitted
from nanobragg.explorer.comparison.refining import Refining
from nanobragg.explorer.session import Session


def truth() -> nb.Experiment:
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(12, 12, 12), shape="gauss",
                           misset_deg=(10, 20, 30), structure_factors=nb.StructureFactors.constant(300.0)),
        beam=nb.Beam(fluence_per_m2=1e26), detector=nb.Detector(n_fast=300, n_slow=300, distance_mm=60.0),
        sampling=nb.Sampling(oversample=1),
    )  # fmt: skip


def test_the_fit_finds_scale_and_offset() -> None:
    """Of 90000 Poisson counts: within 3 of the standard deviations of weighted least squares."""
    session = Session(truth())
    session.begin()
    picture = session.wait(60)
    session.close()
    photons = picture.values
    counts = np.random.default_rng(2).poisson(3.5 * photons + 20.0).astype(float)
    counts[:20] = -1  # not measured
    measured = Measured("counts", counts)
    factor, offset = fitted(measured, picture.layout, photons)
    fine = counts >= 0
    weight = 1 / (3.5 * photons + 20.0)[fine]
    x = photons[fine]
    spread = weight @ (x - weight @ x / weight.sum()) ** 2
    assert factor == pytest.approx(3.5, abs=3 / np.sqrt(spread))
    assert offset == pytest.approx(20.0, abs=3 * np.sqrt(1 / weight.sum() + (weight @ x / weight.sum()) ** 2 / spread))
    said = agreement(Measured("counts", counts, factor, offset), picture.layout, photons)
    assert said.startswith(f"{fine.sum()} pixels count")
    # chi-squared of 84000 pixels is 1 within 3 sqrt(2/84000) = 0.015
    assert float(said.rpartition(" ")[2]) == pytest.approx(1.0, abs=0.015)
    with pytest.raises(nb.ConfigError, match="pixels that count"):
        fitted(Measured("counts", counts, low=1e9), picture.layout, photons)
    with pytest.raises(nb.ConfigError, match="nothing in common"):
        fitted(Measured("counts", 1000 - counts / counts.max() * 900), picture.layout, photons)


def test_an_image_of_another_detector_is_refused() -> None:
    with pytest.raises(nb.ConfigError, match=r"shape of the detector, \[\(300, 300\)\]"):
        nb.explore(truth(), measured=np.zeros((20, 30)))
    with pytest.raises(nb.FileFormatError):
        nb.explore(truth(), measured="no_such_file.cbf")


def test_a_refinement_moves_the_experiment_and_can_be_undone() -> None:
    counts = np.random.default_rng(1).poisson(nb.simulate(truth()) + 1.0)
    start = truth().replace("crystal.misset_deg", (10.2, 19.9, 30.1))
    session = Session(start)
    session.begin()
    heard: list[dict[str, Any]] = []
    refining = Refining(session, heard.append)
    refining.start(Measured("counts", counts), ["crystal.misset_deg"])
    with pytest.raises(nb.ConfigError, match="waits until the first has ended"):
        refining.start(Measured("counts", counts), ["crystal.misset_deg"])
    assert refining._thread is not None
    refining._thread.join(120)
    assert np.abs(np.subtract(session.state.experiment.crystal.misset_deg, (10, 20, 30))).max() < 0.01
    last = heard[-1]
    assert not last["running"] and len(last["costs"]) >= 3
    assert [row[0] for row in last["rows"]] == [f"crystal.misset_deg[{i}]" for i in range(3)]
    assert refining.found is not None and all(float(row[2]) > 0 for row in last["rows"])
    while_running = [one for one in heard if one["running"] and one["rows"]]
    assert len(while_running) > 3  # its steps were seen
    assert session.undo()  # all of them are one step of the history
    assert session.state.experiment is start
    refining.start(Measured("counts", np.ones((300, 300))), ["crystal.misset_deg"])
    refining._thread.join(120)
    assert "no spots where they are predicted" in heard[-1]["said"] and not heard[-1]["running"]
    session.close()
