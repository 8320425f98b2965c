"""The object that `nanobragg.explore` gives."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.explorer.session import Session, State


def experiment(**parts: Any) -> nb.Experiment:
    known = {
        "crystal": nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(9, 9, 9), misset_deg=(10, 20, 30),
                              structure_factors=nb.StructureFactors.constant(100.0)),
        "beam": nb.Beam(fluence_per_m2=1e26), "detector": nb.Detector(n_fast=80, n_slow=60, pixel_size_mm=1.0),
    }  # fmt: skip
    return nb.Experiment(**{**known, **parts})


def test_experiment_and_image_go_together() -> None:
    ours = experiment()
    with nb.explore(ours) as explorer:
        assert explorer.experiment is ours
        assert np.array_equal(explorer.image(60), nb.simulate(ours))
        other = ours.replace("detector.distance_mm", 70.0)
        explorer.experiment = other
        assert explorer.experiment is other
        assert np.array_equal(explorer.image(60), nb.simulate(other))
        assert explorer.refinement is None
        with pytest.raises(nb.ConfigError, match="Experiment"):
            explorer.experiment = 3  # type: ignore[assignment]
    assert repr(explorer) == "<Explorer, closed>"
    assert np.array_equal(explorer.image(), nb.simulate(other))  # the last one can still be asked for
    explorer.close()
    with pytest.raises(nb.ConfigError, match="open another one"):
        explorer.experiment = ours


def test_without_background_on_the_page_there_is_none_in_the_experiment() -> None:
    ours = experiment(background=nb.Background(water_um=5.0))
    with nb.explore(ours) as explorer:
        assert explorer.experiment is ours
        explorer._session.switch("background", False)
        assert np.array_equal(explorer.image(60), nb.simulate(explorer.experiment))
        assert explorer.image(60).sum() < nb.simulate(ours).sum()
        explorer.experiment = explorer.experiment.replace("detector.distance_mm", 70.0)
        assert np.array_equal(explorer.image(60), nb.simulate(explorer.experiment))
        explorer._session.switch("background", True)
        assert np.array_equal(explorer.image(60), nb.simulate(ours.replace("detector.distance_mm", 70.0)))
        explorer.experiment = ours.replace(background=nb.Background())
        assert explorer.image(60).sum() < nb.simulate(ours).sum()


def test_switches_go_with_undo_and_reset() -> None:
    """A box without anything that it could switch was ticked before."""
    session = Session(experiment())
    session.switch("spread", True)
    session.undo()
    assert not session.switches["spread"] and session.state.readout.psf.kind == "none"
    session.undo(-1)
    assert session.switches["spread"] and session.state.readout.psf.kind == "gauss"
    session.set("crystal.misset_deg", (1.0, 2.0, 3.0))
    session.switch("spread", False)
    session.undo()
    assert not session.switches["spread"]
    for name, on in (("spread", True), ("noise", True), ("background", False)):
        session.switch(name, on)
    session.reset()
    assert session.switches == {"background": True, "spread": False, "noise": False}


def test_two_at_once_and_within_a_running_loop() -> None:
    async def both() -> None:
        with nb.explore(experiment()) as one, nb.explore(experiment().replace("detector.n_fast", 50)) as two:
            assert one.url != two.url
            assert one.image(60).shape == (60, 80) and two.image(60).shape == (60, 50)

    asyncio.run(both())


def test_what_is_measured_must_be_an_image() -> None:
    wrong = ((np.zeros(5), "array"), ([[1, 2], [3]], "array"), (np.array([["a"]]), "array"),
             (np.zeros((3, 4)), "shape of the detector"), ("no_such_file.cbf", "no_such_file"))  # fmt: skip
    for given, said in wrong:
        before = threading.active_count()
        with pytest.raises((nb.ConfigError, nb.FileFormatError), match=said):
            nb.explore(experiment(), measured=given)
        assert threading.active_count() <= before + 2  # nothing goes on serving
    exposure = nb.expose(experiment(), seed=1)
    with nb.explore(experiment(), measured=exposure) as explorer:
        assert explorer._desk.comparing.measured.counts is exposure.counts
        explorer.compare(exposure.counts + 1)
        assert np.array_equal(explorer._desk.comparing.measured.counts, exposure.counts + 1)
        with pytest.raises(nb.ConfigError, match="shape of the detector"):
            explorer.compare(np.zeros((3, 4)))
        explorer.compare(None)
        assert explorer._desk.comparing.measured is None


def test_who_waits_for_an_image_that_is_ended_is_told() -> None:
    """The rendering takes seconds, and is ended as soon as it has begun."""
    slow = experiment(
        crystal=experiment().crystal.with_value("mosaic", nb.Mosaic(spread_deg=1.0, n_domains=20_000)),
        sampling=nb.Sampling(oversample=4),
    )
    session = Session(slow)
    session.tell = lambda message: session.cancel() if message.get("part") == 0.0 else None
    session.begin()
    with pytest.raises(nb.ConfigError, match="the rendering was canceled"):
        session.wait(120)
    session.take(State(experiment(), session.state.readout), "")
    assert np.array_equal(session.wait(60).frame.photons, nb.simulate(experiment()))
    session.close()
    session.take(State(slow, session.state.readout), "")
    with pytest.raises(nb.ConfigError, match="open another one"):
        session.wait(60)


LEFT_OPEN = """
import time, nanobragg as nb
explorer = nb.explore(nb.Experiment(
    crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(9, 9, 9),
                       mosaic=nb.Mosaic(spread_deg=1.0, n_domains=2000), structure_factors=nb.StructureFactors.constant(100.0)),
    detector=nb.Detector(n_fast=1000, n_slow=1000)))
del explorer
"""


def test_python_ends_while_one_is_open_and_renders() -> None:
    done = subprocess.run([sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


FORKED = """
import os, sys, nanobragg as nb
ours = nb.Experiment(crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(9, 9, 9),
                                        structure_factors=nb.StructureFactors.constant(100.0)),
                     detector=nb.Detector(n_fast=80, n_slow=60, pixel_size_mm=1.0))
with nb.explore(ours) as explorer:
    explorer.image(60)
    child = os.fork()
    if child == 0:
        try:
            explorer.image(60)
        except nb.ConfigError as error:
            print("forked" if "forked" in str(error) else error, flush=True)
        explorer.close()
        with nb.explore(ours) as other:
            print(other.image(60).shape, flush=True)
        sys.exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
    explorer.experiment = ours.replace("detector.distance_mm", 80.0)
    print(explorer.image(60).shape)  # the server of the parent goes on
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_is_told_and_leaves_the_server_alone() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["forked", "(60, 80)", "0", "(60, 80)"], done.stderr
