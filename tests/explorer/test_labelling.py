"""The indices of predicted reflections, which a thread of their own finds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from explored import small_experiment

import nanobragg as nb
from nanobragg.explorer.drawing.layout import Layout
from nanobragg.explorer.rendering import Renderer
from nanobragg.explorer.serving import labelling
from nanobragg.explorer.session import Picture


def picture(of: nb.Experiment, number: int) -> Picture:
    renderer = Renderer()
    plan = renderer.plan(of)
    frame = renderer.exact(plan, lambda: False)
    return Picture(frame, plan, Layout(plan), frame.photons, "photons", number, 0)


def until(what: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("why", ["another picture", "labels are switched off"])
def test_a_prediction_ends_when_nobody_waits_for_it(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It went on before, for minutes and with all its memory, and labels of later pictures waited for it."""
    first, second = (picture(small_experiment().replace("crystal.misset_deg", (x, 20, 30)), x) for x in (1, 2))
    begun, ended = threading.Event(), threading.Event()

    def endless(of: nb.Experiment, *, d_min: float | None = None, progress: Any = None) -> Any:
        if of is not first.frame.experiment:
            return nb.predict(of, d_min=d_min, progress=progress)
        begun.set()
        try:
            while True:
                progress("reflections", 1, 2)
                time.sleep(0.001)
        finally:
            ended.set()

    monkeypatch.setattr(labelling, "predict", endless)
    told: list[dict[str, Any]] = []
    labels = labelling.Labelling()
    labels.switch(told.append, True)
    labels.take(first)
    assert begun.wait(60)
    if why == "another picture":
        labels.take(second)
        assert ended.wait(60)
        until(lambda: told[-1]["number"] == 2 and told[-1]["labels"])
    else:
        labels.switch(told.append, False)
        assert ended.wait(60)
        until(lambda: told[-1]["labels"] == [] and told[-1]["said"] == "")
        begun.clear()
        labels.switch(told.append, True)  # its labels are found after all
        assert begun.wait(60)
    labels.close()


def test_the_same_picture_is_predicted_once() -> None:
    told: list[dict[str, Any]] = []
    labels = labelling.Labelling()
    labels.switch(told.append, True)
    one = picture(small_experiment(), 5)
    labels.take(replace(one, frame=replace(one.frame, exact=False)))
    until(lambda: told and told[-1]["labels"])
    found = told[-1]
    labels.take(one)
    until(lambda: len(told) == 4)  # with what is told when they are switched on
    assert told[-1] == found
    labels.close()


def test_every_page_has_labels_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The box of one page switched the labels of all before."""
    predicted: list[nb.Experiment] = []

    def counted(of: nb.Experiment, **options: Any) -> Any:
        predicted.append(of)
        return nb.predict(of, **options)

    monkeypatch.setattr(labelling, "predict", counted)
    first, second = list[dict[str, Any]](), list[dict[str, Any]]()
    labels = labelling.Labelling()
    labels.take(picture(small_experiment(), 1))
    labels.switch(first.append, True)
    until(lambda: first[-1]["labels"])
    assert second == []
    labels.switch(second.append, True)
    assert second[-1] == first[-1]
    labels.switch(second.append, False)
    assert second[-1]["labels"] == []
    heard = len(second)
    labels.take(picture(small_experiment().replace("crystal.misset_deg", (11, 20, 30)), 2))
    until(lambda: first[-1]["number"] == 2 and first[-1]["labels"])
    assert len(second) == heard and len(predicted) == 2
    labels.close()
