"""The page in a real browser: what it shows is what the engine computes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from explored import small_experiment

import nanobragg as nb


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


def test_undo_reset_and_presets(browser: Browser, explorer: nb.Explorer) -> None:
    start = explorer.experiment
    typed(browser, "detector.distance_mm", "150")
    browser.run(
        "(() => { const list = NB.id('preset'); list.value = 'beam/laboratory, copper K-alpha';"
        " list.onchange({ target: list }); })()"
    )
    browser.until("NB.values['beam.wavelength_angstrom'].value === 1.5418 && NB.last.exact")
    assert explorer.experiment.beam.wavelength_angstrom == 1.5418
    browser.run("NB.id('undo').click()")
    browser.until("NB.values['beam.wavelength_angstrom'].value === 1")
    assert explorer.experiment.detector.distance_mm == 150.0
    browser.run("NB.id('redo').click()")
    browser.until("NB.values['beam.wavelength_angstrom'].value === 1.5418")
    browser.run("NB.id('reset').click()")
    browser.until("NB.values['detector.distance_mm'].value === null")
    assert explorer.experiment is start
    assert same(explorer)


def test_an_optional_part_is_added_and_removed(browser: Browser, explorer: nb.Explorer) -> None:
    browser.run("NB.id('c-detector.sensor').click()")
    browser.until("NB.values['detector.sensor.thickness_um']")
    typed(browser, "detector.sensor.attenuation_um", "300")
    typed(browser, "detector.sensor.thickness_um", "450")
    assert explorer.experiment.detector.sensor.thickness_um == 450.0
    assert same(explorer)


def test_labels_stand_where_reflections_are_predicted(browser: Browser, explorer: nb.Explorer) -> None:
    browser.run("NB.id('o-labels').click()")
    shown = browser.until("NB.labels.length && NB.labels")
    browser.run("NB.id('o-labels').click()")
    spots = nb.predict(explorer.experiment)
    order = np.argsort(-spots["photons"], kind="stable")
    bright = order[spots["photons"][order] >= 1e-4 * spots["photons"].max()][:3000]
    assert len(shown) == len(bright) > 200
    for (column, row, text, crystal), found in zip(shown, spots.table[bright], strict=True):
        assert (column, row) == pytest.approx((found["fast"], found["slow"]), abs=0.051)  # one digit is sent
        assert (text, crystal) == (" ".join(map(str, found["hkl"])), 0)


def test_rings_and_beam_center(browser: Browser, explorer: nb.Explorer) -> None:
    """Every point of a ring has its spacing; the beam meets the middle."""
    marks = browser.until("NB.marks.rings.length && NB.marks")
    assert marks["center"] == [[150.0, 140.0]]
    for ring in marks["rings"]:
        for fast, slow in ring["line"]:
            off = 0.3 * np.hypot(slow - 140, fast - 150)
            # places are rounded to 0.01 pixels
            assert 1 / (2 * np.sin(np.arctan2(off, 100.0) / 2)) == pytest.approx(ring["d"], rel=2e-3)


def test_a_profile_is_that_of_the_image(browser: Browser, explorer: nb.Explorer) -> None:
    browser.run("NB.id('tool').value = 'line'")
    browser.run("NB.heard = null; NB.hear('profile', (message) => { NB.heard = message; })")
    browser.drag((500, 250), (760, 430))
    found = browser.until("NB.heard")
    (x0, y0), (x1, y1) = browser.run("NB.profileLine")
    values = np.array(found["values"])
    places = np.linspace([y0, x0], [y1, x1], len(values)).astype(int)
    assert values == pytest.approx(explorer.image(60)[tuple(places.T)], rel=1e-12)
    browser.run("NB.id('tool').value = 'turn'")


def test_point_spread_and_noise_are_those_of_expose(browser: Browser, explorer: nb.Explorer) -> None:
    browser.run("NB.id('s-noise').click()")
    browser.until("NB.last.unit === 'counts'")
    browser.run("NB.id('s-background').click()")
    browser.until("!NB.state.switches.background && NB.last.exact && NB.events.size === 0")
    bare = explorer.experiment.replace(background=nb.Background())
    expected = nb.expose(bare, nb.Readout(), seed=1).counts
    assert np.array_equal(explorer.image(60), nb.simulate(bare))
    assert np.array_equal(explorer.shown(60), expected)
    browser.run("NB.id('s-spread').click()")
    browser.until("NB.state.switches.spread && NB.events.size === 0")
    spread = nb.Readout(psf=nb.Psf(kind="gauss", fwhm_um=450.0))  # 1.5 pixels, which may be changed
    assert np.array_equal(explorer.shown(60), nb.expose(bare, spread, seed=1).counts)


def test_a_render_of_minutes_is_asked_for_and_can_be_ended(browser: Browser, explorer: nb.Explorer) -> None:
    typed(browser, "crystal.mosaic.spread_deg", "0.5")
    before = browser.run("NB.last.number")
    browser.run("(() => { const box = NB.id('c-crystal.mosaic.n_domains'); box.value = '2000000'; box.onchange(); })()")
    browser.until("!NB.id('message').hidden && !NB.id('insist').hidden")
    said = browser.run("NB.id('message').textContent")
    assert "crystal.mosaic.n_domains makes 2000000 domains" in said
    browser.until(f"NB.last.number > {before} && !NB.last.exact")
    assert browser.run("NB.id('quality').textContent").startswith("coarse: ")
    browser.run("NB.id('insist').click()")
    browser.until("!NB.id('busy').hidden")
    browser.run("NB.id('cancel').click()")
    browser.until("NB.id('busy').hidden")
    browser.run("NB.id('undo').click()")
    browser.until("NB.last.exact")
    assert same(explorer)


def test_the_tour_and_the_keys(browser: Browser, explorer: nb.Explorer) -> None:
    browser.run("document.activeElement.blur()")
    browser.key("?")
    seen = []
    for _ in range(5):
        seen.append(browser.run("NB.id('tour-title').textContent"))
        box = browser.run(
            "(() => { const b = NB.id('tour-box').getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; })()"
        )
        assert box[0] >= 0 and box[1] >= 0 and box[2] <= 1280 and box[3] <= 800
        browser.run("NB.id('tour-next').click()")
    assert [title[:6] for title in seen] == [f"{i} of 5" for i in range(1, 6)]
    assert browser.run("NB.id('tour-box').hidden")
    browser.run("NB.id('stage').focus()")
    before = explorer.experiment.crystal.misset_deg
    browser.key("ArrowRight")
    browser.until("NB.events.size === 0 && NB.last.exact && NB.event > 0")
    assert explorer.experiment.crystal.misset_deg != before
    zoom = browser.run("NB.view.zoom")
    browser.key("+")
    assert browser.run("NB.view.zoom") == pytest.approx(1.25 * zoom)
    browser.key("0")
    assert browser.run("NB.view.zoom") == pytest.approx(zoom)


def test_everything_fits_on_a_small_screen(browser: Browser, explorer: nb.Explorer) -> None:
    """1280 x 800: nothing of the bar is cut off, no column needs a horizontal bar, and every control has a name."""
    wide = browser.run(
        "[document.querySelector('header'), NB.id('controls'), document.querySelector('aside')]"
        ".map(n => n.scrollWidth - n.clientWidth)"
    )
    assert max(wide) <= 0
    nameless = browser.run(
        "[...document.querySelectorAll('input, select, button')].filter(n => !(n.labels && n.labels.length) && !n.ariaLabel && "
        "!n.getAttribute('aria-label') && !n.textContent.trim() && !n.title && !n.placeholder).map(n => n.outerHTML)"
    )
    assert nameless == []


def test_text_can_be_read(browser: Browser, explorer: nb.Explorer) -> None:
    """Contrast of text to what lies behind it: at least 4.5, which WCAG 2.1 asks for (level AA)."""
    pairs = browser.run(
        "[...document.querySelectorAll('h2, h3, label, summary, button, .unit, .small, #quality, td')].map(n => {"
        " let back = n; while (back && getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement;"
        " return [getComputedStyle(n).color, back ? getComputedStyle(back).backgroundColor : 'rgb(255, 255, 255)',"
        " n.disabled === true]; })"
    )
    worst = min(contrast(front, back) for front, back, off in pairs if not off)
    assert worst >= 4.5, worst


def contrast(front: str, back: str) -> float:
    """Ratio of relative luminances, WCAG 2.1."""

    def luminance(color: str) -> float:
        parts = [float(x) / 255 for x in color[color.index("(") + 1 : -1].split(",")[:3]]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(front), luminance(back)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_a_measured_image_is_compared_fitted_and_refined(browser: Browser, tmp_path: Path) -> None:
    """A file of counts of a crystal that is turned by 0.2 degrees and scatters 1.4 times as much."""
    start = nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(12, 12, 12), shape="gauss",
                           misset_deg=(10, 20, 30), structure_factors=nb.StructureFactors.constant(300.0)),
        beam=nb.Beam(fluence_per_m2=1e26), detector=nb.Detector(n_fast=300, n_slow=300, distance_mm=60.0),
        sampling=nb.Sampling(oversample=1), background=nb.Background(water_um=0.3),
    )  # fmt: skip
    truth = start.replace("crystal.misset_deg", (10.2, 20, 30)).replace("beam.fluence_per_m2", 1.4e26)
    nb.io.write_cbf(tmp_path / "measured_00001.cbf", nb.expose(truth, seed=1).counts, truth)
    with nb.explore(start) as explorer:
        browser.console.clear()
        browser.open(explorer.url)
        browser.until("window.NB && NB.last && NB.last.exact && NB.values")
        browser.run(f"NB.id('file').value = '{tmp_path / 'measured_00001.cbf'}'; NB.id('load').click()")
        browser.until("!NB.id('with-measured').hidden")
        for layer in ("measured", "beside", "blend", "difference", "simulated"):
            browser.run(f"NB.id('layer').value = '{layer}'; NB.id('layer').onchange()")
            browser.until(f"NB.last.layer === '{layer}'")
            names = browser.run("NB.tiles.map(tile => tile.name)")
            assert names == (["simulated", "measured"] if layer in ("beside", "blend") else [layer])
        counted = browser.run("parseInt(NB.id('agreement').textContent)")
        browser.run("NB.id('masking').open = true; NB.id('mask-circle').click()")
        browser.drag((640, 400), (690, 400))  # a disk about the beam, as of a beam stop
        browser.until(f"parseInt(NB.id('agreement').textContent) < {counted}")
        zoom = browser.run("NB.view.zoom")
        masked = counted - browser.run("parseInt(NB.id('agreement').textContent)")
        assert masked == pytest.approx(np.pi * (50 / zoom) ** 2, rel=0.05)  # pixels at the rim
        assert browser.run("NB.id('mask-circle').getAttribute('aria-pressed')") == "true"
        browser.run("NB.id('mask-rectangle').click(); NB.id('stage').focus(); NB.id('agreement').textContent = ''")
        for key in (
            "ArrowRight",
            "Enter",
            *["ArrowRight"] * 3,
            "ArrowUp",
            "Enter",
        ):  # 4 pixels by 2, which lie in the disk
            browser.key(key)
        browser.until(f"parseInt(NB.id('agreement').textContent) === {counted - masked} && !NB.maskLine")
        browser.run("NB.id('mask-clear').click()")
        browser.until(f"parseInt(NB.id('agreement').textContent) === {counted}")
        browser.key("Enter")
        browser.key("Enter")  # one pixel
        browser.until(f"parseInt(NB.id('agreement').textContent) === {counted - 1}")
        browser.key("Enter")
        browser.key("ArrowDown")
        assert browser.run("NB.maskLine !== null && !NB.profileLine")
        browser.run("NB.id('mask-clear').click(); NB.id('masking').open = false")
        assert browser.run("NB.maskLine === null")  # what was begun is left with the tool
        browser.until(f"parseInt(NB.id('agreement').textContent) === {counted} && NB.id('tool').value === 'turn'")
        browser.run("NB.id('fit').click()")
        browser.until("NB.id('factor').value !== '1'")
        assert 1.0 < float(browser.run("NB.id('factor').value")) < 1.6  # by the background: the spots are elsewhere
        fitted = explorer._desk.comparing.measured.factor
        browser.run("NB.id('mask-low').value = '0'; NB.id('mask-low').onchange()")
        browser.until("NB.id('mask-low').value === '0' && NB.id('factor').value !== '1'")
        assert explorer._desk.comparing.measured.factor == fitted  # with all its digits
        browser.run("for (const [name, value] of [['factor', '1'], ['offset', '0']]) { NB.id(name).value = value;"
                    " NB.id(name).onchange(); }")  # fmt: skip
        flux = "document.querySelector('#refine-paths input[value=\"beam.fluence_per_m2\"]').disabled"
        browser.run("NB.id('refine').open = true")
        assert browser.run(flux)  # structure factors that are all alike are not those of a crystal: spots have factors
        browser.run("NB.id('refine-free').click()")
        assert not browser.run(flux)
        browser.run("NB.id('refine-start').click()")
        browser.until("!NB.id('refine-stop').hidden")
        browser.until("NB.id('refine-stop').hidden")
        assert "refined 4 parameters" in browser.run("NB.id('refine-said').textContent")
        rows = browser.run("[...NB.id('refine-values').rows].map(row => row.textContent)")
        assert len(rows) == 4 and all("±" in row for row in rows)
        assert "step" in browser.run("NB.id('refine-costs').textContent")
        # within 5 of the errors that the refinement states: 0.0015 degrees, 0.6 % of the fluence
        assert explorer.experiment.crystal.misset_deg == pytest.approx((10.2, 20, 30), abs=7.5e-3)
        assert explorer.experiment.beam.fluence_per_m2 == pytest.approx(1.4e26, rel=0.03)
        assert same(explorer)
        browser.run("NB.id('undo').click()")  # the whole refinement is one step
        browser.until("NB.values['crystal.misset_deg'].value[0] === 10")
        browser.run("NB.id('file').value = '/no/such.cbf'; NB.id('load').click()")
        browser.until("!NB.id('message').hidden")
        assert "/no/such.cbf" in browser.run("NB.id('message').textContent")
        browser.run("NB.id('mask-circle').click()")
        explorer._desk.comparing.take(None)  # as another page may
        browser.until("NB.id('tool').value === 'turn' && NB.id('with-measured').hidden")
        assert browser.console == []


def test_exports_are_taken_home(browser: Browser, explorer: nb.Explorer, tmp_path: Path) -> None:
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    typed(browser, "detector.distance_mm", "90")
    for name, file in (("toml", "experiment.toml"), ("python", "experiment.py"), ("command", "run.sh"), ("png", "image.png"),
                       ("cbf", "image_00001.cbf"), ("nxmx", "photons.nxs"), ("counts", "counts.nxs"),
                       ("html", "snapshot.html")):  # fmt: skip
        browser.run(f"NB.taken = null; NB.take('{name}').then(() => true)")
        assert browser.run("NB.taken") == file
        end = time.monotonic() + 60
        while not (tmp_path / file).is_file():
            assert time.monotonic() < end, file
            time.sleep(0.05)
    assert nb.Experiment.from_toml(tmp_path / "experiment.toml").equals(explorer.experiment)
    assert "-distance 90" in (tmp_path / "run.sh").read_text()
    browser.responses.clear()
    page = (tmp_path / "snapshot.html").as_uri()
    browser.open(page)
    assert browser.run("document.images.length === 1 && document.images[0].naturalWidth") == 300
    assert [url for url in browser.responses if not url.startswith("data:")] == [page]  # nothing is fetched
    assert browser.console == []
    assert browser.run("document.querySelectorAll('a, script, link, iframe, form').length") == 0
    assert "300 x 280 pixels" in browser.run("document.images[0].alt")
    assert "distance_mm" in browser.run("document.querySelector('table').textContent")
    headings = browser.run("[...document.querySelectorAll('h1, h2, h3')].map(one => one.textContent)")
    assert headings == ["Diffraction image", "Experiment", "To make it again", "Python", "TOML", "Command line"]
    browser.responses.clear()


def test_the_trace_of_a_pixel_is_shown(browser: Browser, explorer: nb.Explorer) -> None:
    browser.mouse("mouseMoved", 620, 350)
    browser.until("NB.pixel")
    browser.run("NB.id('trace').click()")
    browser.until("NB.id('sheet').open")
    _, slow, fast = browser.run("NB.pixel")
    expected = "\n".join(nb.trace(explorer.experiment, (slow, fast)).lines())
    assert browser.run("NB.id('sheet-text').textContent") == expected
    browser.key("Escape")


def test_several_panels_stand_as_the_beam_sees_them(browser: Browser) -> None:
    """The pixel under a panel's middle is that of the panel, and hover has its photons."""
    panels = tuple(
        nb.Detector(n_fast=120, n_slow=100, pixel_size_mm=0.3, name=name, fast_axis=(0, 0, 1), slow_axis=(0, -1, 0),
                    normal_axis=(1, 0, 0), pix0_mm=(100.0, up, left))
        for name, up, left in (("upper left", 31.0, -37.0), ("upper right", 31.0, 1.0), ("lower right", -1.0, 1.0))
    )  # fmt: skip
    experiment = small_experiment().replace(detector=panels)
    with nb.explore(experiment) as explorer:
        browser.console.clear()
        browser.open(explorer.url)
        browser.until("window.NB && NB.last && NB.last.exact && NB.values && NB.marks.borders.length === 3")
        images = explorer.image(60)
        assert np.array_equal(images, nb.simulate(experiment))
        for i, border in enumerate(browser.run("NB.marks.borders")):
            assert border["name"] == panels[i].name
            column, row = np.mean(border["line"][:4], axis=0)
            place = browser.run(
                f"(() => {{ const b = NB.id('stage').getBoundingClientRect();"
                f" return [b.left + ({column} - NB.view.x) * NB.view.zoom, b.top + ({row} - NB.view.y) * NB.view.zoom]; }})()"
            )
            browser.run("NB.pixel = null")
            browser.mouse("mouseMoved", *place)
            browser.until(f"NB.pixel && NB.pixel[0] === {i}")
            _, slow, fast = browser.run("NB.pixel")
            assert abs(slow - 50) <= 1 and abs(fast - 60) <= 1
            rows = dict(
                browser.run("[...NB.id('hover').rows].map(row => [...row.cells].map(cell => cell.textContent))")
            )
            assert rows["panel"] == f"{i} ({panels[i].name})"
            assert float(rows["photons"]) == pytest.approx(images[i][slow, fast], rel=1e-5)
        assert browser.console == []


def test_a_slider_moves_the_value_and_ends_exact(browser: Browser, explorer: nb.Explorer) -> None:
    """A slider of distances is logarithmic: in the middle it has the value that it began with, at the end ten times that."""
    browser.run(
        "(() => { const row = [...document.querySelectorAll('.control')].find(c => c.dataset.path === 'detector.distance_mm');"
        " window.slider = row.querySelector('input[type=range]'); })()"
    )
    browser.until("Math.abs(NB.values['detector.distance_mm'].decided - 100) < 1e-9")
    assert browser.run("Number(slider.value)") == pytest.approx(500, abs=1)
    for place in (520, 610, 700):
        browser.run(f"slider.value = {place}; slider.dispatchEvent(new Event('input', {{ bubbles: true }}))")
        browser.until("NB.events.size === 0")
    browser.run("slider.dispatchEvent(new Event('change', { bubbles: true }))")
    browser.until("NB.events.size === 0 && NB.last.exact && NB.state.undo")
    # 100 mm 100^(700/1000 - 1/2); seven digits are typed for it
    assert explorer.experiment.detector.distance_mm == pytest.approx(100 * 100**0.2, rel=1e-6)
    assert same(explorer)
    browser.run("NB.id('undo').click()")
    browser.until("!NB.state.undo")  # one step, however often it moved
    assert explorer.experiment.detector.distance_mm is None


def test_play_turns_the_spindle(browser: Browser, explorer: nb.Explorer) -> None:
    browser.run("NB.id('play').click()")
    browser.until("NB.values['goniometer.phi_start_deg'].value >= 2")
    browser.run("NB.id('play').click()")
    browser.until("NB.events.size === 0 && NB.last.exact")
    assert explorer.experiment.goniometer.phi_start_deg >= 2
    assert same(explorer)
    explorer.experiment = explorer.experiment.replace(goniometer=nb.Goniometer(osc_deg=0.0002))
    browser.until("NB.values['goniometer.osc_deg'].value === 0.0002")
    browser.run("NB.id('play').click()")
    browser.until("NB.values['goniometer.phi_start_deg'].value >= 0.0006")
    browser.run("NB.id('play').click()")
