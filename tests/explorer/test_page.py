"""The page in a real browser: what it shows is what the engine computes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from browser import Browser, executable

import nanobragg as nb

pytestmark = pytest.mark.skipif(
    executable() is None, reason="no browser of the Chromium family: apt install chromium, or brew install chromium"
)


def small_experiment() -> nb.Experiment:
    """A still that renders in milliseconds."""
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(74, 74, 36, 90, 90, 90), n_cells=(12, 12, 12), misset_deg=(10, 20, 30),
                           structure_factors=nb.StructureFactors.constant(100.0)),
        beam=nb.Beam(wavelength_angstrom=1.0, fluence_per_m2=1e27),
        detector=nb.Detector(n_fast=300, n_slow=280, pixel_size_mm=0.3),
        background=nb.Background(water_um=2.0), sampling=nb.Sampling(oversample=1),
    )  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as one:
        yield one


@pytest.fixture
def explorer(browser: Browser) -> Iterator[nb.Explorer]:
    with nb.explore(small_experiment()) as one:
        browser.console.clear()
        browser.responses.clear()
        browser.open(one.url)
        browser.until("window.NB && NB.last && NB.last.exact && NB.values")
        yield one
        assert browser.console == []
        assert all(url.startswith((f"http://127.0.0.1:{one.port}/", "data:", "blob:")) for url in browser.responses)


def typed(browser: Browser, path: str, text: str) -> None:
    """Type a value into a control, and wait for its exact picture."""
    browser.run(f"(() => {{ const box = NB.id('c-{path}'); box.value = '{text}'; box.onchange(); }})()")
    browser.until("NB.events.size === 0 && NB.last.exact")


def same(explorer: nb.Explorer) -> bool:
    """Whether the server holds the image of the C engine, bit for bit."""
    return np.array_equal(explorer.image(60), nb.simulate(explorer.experiment))


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("crystal.misset_deg[1]", "27.5", 27.5),
        ("detector.distance_mm", "80", 80.0),
        ("beam.wavelength_angstrom", "1.3", 1.3),
        ("crystal.mosaic.spread_deg", "0.4", 0.4),
        ("crystal.unit_cell.a", "81.25", 81.25),
    ],
)
def test_typed_values_change_the_picture_as_the_engine_says(
    browser: Browser, explorer: nb.Explorer, path: str, text: str, value: float
) -> None:
    before = np.array(explorer.image(60))
    typed(browser, path, text)
    assert explorer.experiment.get(path) == value
    assert same(explorer)
    assert np.abs(explorer.image(60) - before).max() > 0.01 * before.max()


def test_the_picture_on_the_screen_is_that_image(browser: Browser, explorer: nb.Explorer) -> None:
    """Of every pixel of the tile the shade follows from the photons, on the logarithmic scale that the page shows."""
    browser.until("NB.tiles[0].columns === 300")  # magnified: every pixel is sent
    found = browser.run(
        "(() => { const t = NB.tiles[0]; return [t.rows, t.columns, t.low, t.high, Array.from(t.shades)]; })()"
    )
    rows, columns, low, high, shades = found
    image = explorer.image(60)
    assert (rows, columns) == image.shape
    expected = np.clip(254 * np.log(np.maximum(image, low) / low) / np.log(high / low), 0, 254)
    # single precision and cut to a whole number: at most one shade off
    assert np.abs(np.reshape(shades, image.shape) - np.floor(expected)).max() <= 1
    assert len(np.unique(shades)) > 20


def test_dragging_turns_the_crystal(browser: Browser, explorer: nb.Explorer) -> None:
    """To the right by 100 screen pixels is 5 degrees: the axis along the beam moves by that angle along the fast axis."""
    before = explorer.experiment.crystal.misset_deg
    browser.drag((600, 400), (700, 400), steps=5)
    browser.until("NB.events.size === 0 && NB.last.exact")
    after = explorer.experiment.crystal.misset_deg
    turn = matrix(after) @ matrix(before).T
    angle = np.degrees(np.arccos((np.trace(turn) - 1) / 2))
    assert angle == pytest.approx(5.0, abs=1e-4)  # angles are kept to 1e-6 degrees
    assert turn @ (1, 0, 0) == pytest.approx(
        (np.cos(np.radians(5)), 0, np.sin(np.radians(5))), abs=1e-6
    )  # beam x, fast z
    assert same(explorer)
    browser.run("NB.id('undo').click()")
    browser.until("NB.values['crystal.misset_deg'].value[0] === 10")
    assert explorer.experiment.crystal.misset_deg == before
    assert same(explorer)


def matrix(angles: tuple[float, float, float]) -> np.ndarray:
    """R_z R_y R_x of angles in degrees."""
    (a, b, c), (s, t, u) = np.cos(np.radians(angles)), np.sin(np.radians(angles))
    x = np.array([[1, 0, 0], [0, a, -s], [0, s, a]])
    y = np.array([[b, 0, t], [0, 1, 0], [-t, 0, b]])
    return np.array([[c, -u, 0], [u, c, 0], [0, 0, 1]]) @ y @ x


def test_hover_shows_the_number_of_the_image(browser: Browser, explorer: nb.Explorer) -> None:
    browser.mouse("mouseMoved", 640, 300)
    browser.until("NB.pixel")
    rows = dict(browser.run("[...NB.id('hover').rows].map(row => [...row.cells].map(cell => cell.textContent))"))
    _, slow, fast = browser.run("NB.pixel")
    assert rows["pixel"] == f"slow {slow}, fast {fast}"
    assert float(rows["photons"]) == pytest.approx(explorer.image(60)[slow, fast], rel=1e-5)  # six digits are shown
    expected = nb.trace(explorer.experiment, (slow, fast))
    assert float(rows["d"].split()[0]) == pytest.approx(spacing(explorer.experiment, slow, fast), rel=1e-3)
    assert expected.pixel == (slow, fast)


def spacing(experiment: nb.Experiment, slow: int, fast: int) -> float:
    """lambda/(2 sin theta) of a flat detector at right angles to the beam, which meets its middle."""
    d = experiment.detector
    off = d.pixel_size_mm * np.hypot(slow + 0.5 - d.n_slow / 2, fast + 0.5 - d.n_fast / 2)
    return experiment.beam.wavelength_angstrom / (2 * np.sin(np.arctan2(off, d.distance_mm or 100.0) / 2))


def test_a_bad_value_is_told_and_the_picture_stays(browser: Browser, explorer: nb.Explorer) -> None:
    picture = browser.run("NB.last.number")
    browser.run("(() => { const box = NB.id('c-detector.distance_mm'); box.value = '-5'; box.onchange(); })()")
    browser.until("!NB.id('message').hidden")
    said = browser.run("NB.id('message').textContent")
    assert "detector.distance_mm" in said and "-5" in said and "> 0" in said
    assert browser.run("NB.last.number") == picture and len(browser.run("NB.tiles")) == 1
    assert explorer.experiment.detector.distance_mm is None
