"""Clumsy users and lost servers, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, executable
from wire import small

import nanobragg as nb
from nanobragg.explorer.serving.server import Server

pytestmark = pytest.mark.skipif(
    executable() is None, reason="no browser of the Chromium family: apt install chromium, or brew install chromium"
)
READY = "window.NB && NB.last && NB.last.exact && NB.values"
JUNK = (
    "abc",
    "nan",
    "inf",
    "1e400",
    "0x10",
    "\N{MINUS SIGN}",
    "--3",
    "9" * 400,
    "<img src=x onerror=alert(1)>",
    "\u202e1",
)
"""No numbers, or none that a computer knows."""


TYPE_EVERYWHERE = """new Promise((done) => {
  const told = [], boxes = [...document.querySelectorAll('#controls input.number')].map((box) => box.id);
  NB.hear('message', (message) => {
    if (message.text.includes('is nothing that can be done')) done([boxes, told]); else told.push(message.text);
  });
  for (const id of boxes) {
    const box = NB.id(id);
    box.value = JUNK;
    box.dispatchEvent(new Event('change', { bubbles: true }));
  }
  NB.say({ do: 'nothing' });
})"""
"""Types a text into every box; their names, and what is told."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(wait=25) as one:
        yield one


def opened(browser: Browser, explorer: nb.Explorer) -> None:
    browser.console.clear()
    browser.open(explorer.url)
    browser.until(READY)


@pytest.mark.parametrize("junk", JUNK)
def test_junk_in_every_control_is_told_and_changes_nothing(browser: Browser, junk: str) -> None:
    """Every box that takes numbers: a message names the field, the values and the picture stay."""
    with nb.explore(small()) as explorer:
        before = explorer._session.state
        opened(browser, explorer)
        number = browser.run("NB.last.number")
        told = browser.run(TYPE_EVERYWHERE.replace("JUNK", json.dumps(junk)))
        boxes, texts = told
        assert len(boxes) > 60
        assert len(texts) == len(boxes), [
            box for box in boxes if not any(box[2:].partition("[")[0] in t for t in texts)
        ]
        for box, text in zip(boxes, texts, strict=True):
            assert box.removeprefix("c-").partition("[")[0] in text, (box, text)
            assert len(text) < 3000
        assert explorer._session.state is before
        assert browser.run("NB.last.number") == number and browser.run("NB.tiles.length") == 1
        assert browser.run("document.querySelectorAll('#message img').length") == 0
        assert browser.console == []


def test_what_is_too_long_to_send_is_told(browser: Browser) -> None:
    with nb.explore(small()) as explorer:
        opened(browser, explorer)
        browser.run(
            "(() => { const box = NB.id('c-detector.distance_mm'); box.value = '1'.repeat(100000); box.onchange(); })()"
        )
        assert "too long" in browser.run("NB.id('message').textContent")
        assert browser.run("NB.socket.readyState") == 1 and browser.run("NB.events.size") == 0
        assert explorer.experiment.detector.distance_mm is None


def test_a_lost_server_is_told_and_found_again(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture stays, a value that is typed meanwhile is not taken for one that is there, and an export says why it fails."""
    with nb.explore(small()) as explorer:
        opened(browser, explorer)
        browser.run("NB.delay = 1")
        explorer._server.close()
        browser.until("NB.id('quality').textContent.includes('does not answer')")
        assert browser.run("NB.tiles.length") == 1
        browser.run("(() => { const box = NB.id('c-detector.distance_mm'); box.value = '55'; box.onchange(); })()")
        browser.run("NB.take('toml')")
        assert "does not answer" in browser.run("NB.id('message').textContent")
        monkeypatch.setattr("secrets.token_hex", lambda n: explorer._server.token)
        explorer._server = Server(explorer._desk, port=explorer.port)
        browser.until("NB.socket.readyState === 1 && NB.id('quality').textContent.startsWith('exact')")
        browser.until("NB.id('c-detector.distance_mm').value === ''")
        assert explorer.experiment.detector.distance_mm is None
        browser.run("(() => { const box = NB.id('c-detector.distance_mm'); box.value = '66'; box.onchange(); })()")
        browser.until("NB.events.size === 0 && NB.last.exact")
        assert np.array_equal(explorer.image(60), nb.simulate(small().replace("detector.distance_mm", 66.0)))
        said = [text for text in browser.console if "ERR_CONNECTION_REFUSED" not in text and "WebSocket" not in text]
        assert said == []  # the browser itself writes that nobody answers


def test_a_page_that_is_loaded_again_shows_what_is_there(browser: Browser) -> None:
    with nb.explore(small()) as explorer:
        opened(browser, explorer)
        browser.run("(() => { const box = NB.id('c-detector.distance_mm'); box.value = '77'; box.onchange(); })()")
        browser.until("NB.events.size === 0 && NB.last.exact")
        browser.run("NB.id('s-noise').click()")
        browser.until("NB.last.unit === 'counts'")
        browser.open("about:blank")
        opened(browser, explorer)
        assert browser.run("NB.id('c-detector.distance_mm').value") == "77"
        assert browser.run("NB.id('s-noise').checked") and browser.run("NB.last.unit") == "counts"
        assert browser.run("NB.state.undo") and len(explorer._desk.screens) == 1
        assert explorer.url.rpartition("=")[2] not in browser.run("document.title + document.body.textContent")
        assert browser.run("document.referrer") == ""


def test_a_file_that_is_none_is_told_on_the_page(browser: Browser, tmp_path: Path) -> None:
    with nb.explore(small()) as explorer:
        opened(browser, explorer)
        for name in ("/dev/zero", str(tmp_path), str(tmp_path / "none.cbf")):
            browser.run("NB.message('')")
            browser.run(f"NB.id('file').value = '{name}'; NB.id('load').click()")
            browser.until("!NB.id('message').hidden")
            assert name in browser.run("NB.id('message').textContent")
        assert browser.run("NB.id('with-measured').hidden") and browser.console == []
