"""What a page is told when it opens while others were told before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from explored import small_experiment

import nanobragg as nb
from nanobragg.explorer import rendering


class Page:
    """A page that opens, and what it hears."""

    def __init__(self, explorer: nb.Explorer) -> None:
        self.heard: list[dict[str, Any]] = []
        self._page = explorer._desk.opened(self._hear)

    def _hear(self, text: Any) -> None:
        if isinstance(text, str):
            self.heard.append(json.loads(text))

    def say(self, **message: Any) -> None:
        self._page.take(json.dumps(message))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.heard if one["kind"] == kind]


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def test_a_rendering_that_was_held_back_or_canceled_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("COARSE_SECONDS", 1e-4), ("_DIRECT_SECONDS", -1.0), ("ASKED_SECONDS", -1.0)):
        monkeypatch.setattr(rendering, name, seconds)
    with nb.explore(small_experiment().replace("crystal.mosaic", nb.Mosaic(spread_deg=0.5, n_domains=20))) as explorer:
        until(lambda: explorer._session.trouble)
        page = Page(explorer)
        held = page.of("message")[-1]
        assert held["level"] == "ask" and held["text"].startswith("the exact image takes about")
        page.say(do="cancel")
        canceled = {"kind": "message", "level": "ask", "text": "the rendering was canceled"}
        until(lambda: page.of("message")[-1] == canceled)
        assert Page(explorer).of("message") == [canceled]
        page.say(do="insist")
        until(lambda: page.of("message")[-1] == held)
        page.say(do="insist")
        explorer.image(60)
        assert not Page(explorer).of("message")


def test_an_experiment_that_cannot_be_rendered_says_why() -> None:
    outside = small_experiment().replace("sampling.roi", (slice(1000, 1100), slice(0, 5)))
    with nb.explore(outside) as explorer:
        until(lambda: explorer._session.trouble)
        told = Page(explorer).of("message")[-1]
        assert told["level"] == "error" and "sampling.roi" in told["text"]
        explorer.experiment = small_experiment()
        explorer.image(60)
        assert not Page(explorer).of("message")


def test_doubts_are_told() -> None:
    with nb.explore(small_experiment().replace("beam.wavelength_angstrom", 100.0)) as explorer:
        explorer.image(60)
        assert "100" in Page(explorer).of("doubts")[0]["texts"][0]


def test_the_outcome_of_a_refinement_is_told(recwarn: pytest.WarningsRecorder) -> None:
    """With its remarks, which do not go to the terminal of the server."""
    truth = small_experiment()
    start = truth.replace("crystal.misset_deg", (10.05, 20, 30))
    with nb.explore(start, measured=np.rint(nb.simulate(truth))) as explorer:
        page = Page(explorer)
        assert not page.of("refinement")
        page.say(do="refine", paths=["crystal.misset_deg"])
        last = until(lambda: [one for one in page.of("refinement") if not one["running"]])[0]
        assert last["report"] and len(last["rows"]) == 3 and "spots found, too few" in last["said"]
        assert Page(explorer).of("refinement") == [last]
        assert np.abs(np.subtract(explorer.experiment.crystal.misset_deg, (10, 20, 30))).max() < 0.01
    assert not [one for one in recwarn if "spots found" in str(one.message)]
