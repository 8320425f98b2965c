"""The page of a small experiment in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Browser, executable
from explored import READY, small_experiment

import nanobragg as nb


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser whose page has the focus."""
    if executable() is None:
        pytest.skip("no browser of the Chromium family: apt install chromium, or brew install chromium")
    with Browser() as one:
        one.call("Emulation.setFocusEmulationEnabled", enabled=True)
        yield one


@pytest.fixture
def explorer(browser: Browser) -> Iterator[nb.Explorer]:
    """The page has opened; its console stays empty, and it loads nothing from elsewhere."""
    with nb.explore(small_experiment()) as one:
        browser.console.clear()
        browser.responses.clear()
        browser.open(one.url)
        browser.until(READY)
        yield one
        assert browser.console == []
        assert all(url.startswith((f"http://127.0.0.1:{one.port}/", "data:", "blob:")) for url in browser.responses)
