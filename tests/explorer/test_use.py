"""The page as it is used: values that move, pixels that are asked for, geometries as files have them."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from browser import Browser
from explored import READY, STILL, small_experiment

import nanobragg as nb


def hovered(browser: Browser) -> dict[str, str]:
    return dict(browser.run("[...NB.id('hover').rows].map(row => [...row.cells].map(cell => cell.textContent))"))


MOVED = {
    "crystal.misset_deg[0]": "ArrowRight", "crystal.misset_deg[2]": "ArrowLeft", "detector.distance_mm": "ArrowRight",
    "beam.wavelength_angstrom": "ArrowRight", "crystal.mosaic.spread_deg": "ArrowRight",
}  # fmt: skip


@pytest.mark.parametrize("path", MOVED)
def test_what_a_slider_moves_is_what_the_engine_renders(browser: Browser, explorer: nb.Explorer, path: str) -> None:
    """The image of the server, hover in full precision, and the float image that is taken home: all that of `simulate`."""
    before = np.array(explorer.image(60))
    browser.run("document.querySelectorAll('details.group').forEach(one => { one.open = true; })")
    browser.run(
        f"[...document.querySelectorAll('.control')].find(c => c.dataset.path === '{path}')"
        ".querySelector('input[type=range]').focus()"
    )
    for _ in range(25):
        browser.key(MOVED[path])
    browser.until(f"{STILL} && NB.state.undo")
    image = explorer.image(60)
    assert np.array_equal(image, nb.simulate(explorer.experiment))
    assert np.abs(image - before).max() > 20  # photons; 58 at least, measured
    assert explorer.experiment.get(path) != small_experiment().get(path)
    assert float(browser.run(f"NB.id('c-{path}').value")) == pytest.approx(explorer.experiment.get(path), rel=1e-6)
    browser.run("NB.told = null; NB.hear('hover', (message) => { NB.told = message; })")
    for x, y in ((500, 300), (700, 520)):
        browser.mouse("mouseMoved", x, y)
        told = browser.until("NB.told && NB.told.pixel && NB.told")
        browser.run("NB.told = null")
        _, slow, fast = told["pixel"]
        assert told["photons"] == image[slow, fast]
    taken = browser.run(
        "fetch(`/export/nxmx?token=${NB.token}&page=${NB.page}&colors=`).then(answer => answer.arrayBuffer())"
        ".then(content => btoa([...new Uint8Array(content)].map(one => String.fromCharCode(one)).join('')))"
    )
    assert np.array_equal(of_nxmx(base64.b64decode(taken)), image.astype(np.float32))


def of_nxmx(content: bytes) -> np.ndarray:
    """The image of a file, which holds it in single precision."""

    h5py = pytest.importorskip("h5py", reason="h5py reads the file: pip install 'nanobragg[io]'")
    pytest.importorskip("hdf5plugin", reason="hdf5plugin unpacks the file: pip install 'nanobragg[io]'")
    with h5py.File(io.BytesIO(content)) as file:
        return np.squeeze(file["entry/data"][next(name for name in file["entry/data"] if name.startswith("data"))][()])


def test_what_is_asked_of_the_picture_is_asked_of_the_next_one(browser: Browser, explorer: nb.Explorer) -> None:
    """The cursor stands still: a typed value changes the photons under it and the profile, which had stayed otherwise."""
    browser.run("NB.told = null; NB.hear('hover', (message) => { NB.told = message; })")
    browser.run("NB.shownProfile = null; NB.hear('profile', (message) => { NB.shownProfile = message; })")
    browser.mouse("mouseMoved", 640, 300)
    browser.until("NB.told")
    browser.run(
        "NB.profileLine = [[20.5, 30.5], [200.5, 30.5]]; NB.say({ do: 'profile', line: NB.profileLine, first: true })"
    )
    browser.until("NB.shownProfile")
    browser.run("(() => { const box = NB.id('c-beam.fluence_per_m2'); box.value = '3e27'; box.onchange(); })()")
    browser.until(f"{STILL} && NB.told.number === NB.last.number && NB.values['beam.fluence_per_m2'].value === 3e27")
    _, slow, fast = browser.run("NB.told.pixel")
    image = explorer.image(60)
    assert browser.run("NB.told.photons") == image[slow, fast]
    browser.until(f"NB.shownProfile.values[50] === {float(image[30, 70])!r}")
    assert browser.run("NB.shownProfile.values") == image[30, 20:201].tolist()


def test_rings_move_with_the_picture(browser: Browser, explorer: nb.Explorer) -> None:
    """While the distance moves, not only afterwards: the rings are those of the tile that is shown."""
    browser.run(
        "NB.pairs = []; NB.hear('drawn', (header) => { const ring = NB.marks.rings[0];"
        " NB.pairs.push([header.event, ring.d, Math.hypot(ring.line[0][0] - 150, ring.line[0][1] - 140) * 0.3]); })"
    )
    values = {}
    for distance in (110, 125, 140, 155):
        browser.run(f"NB.change({{ do: 'set', path: 'detector.distance_mm', value: {distance}, moving: true }})")
        values[browser.run("NB.event")] = distance
        browser.until("NB.events.size === 0")
    pairs = [(values[event], d, radius) for event, d, radius in browser.run("NB.pairs") if event in values]
    assert len(pairs) >= 4
    for distance, d, radius in pairs:
        # places are rounded to 0.01 pixels
        assert 1 / (2 * np.sin(np.arctan2(radius, distance) / 2)) == pytest.approx(d, rel=2e-3)


def test_labels_go_while_the_crystal_turns_and_come_back(browser: Browser, explorer: nb.Explorer) -> None:
    browser.run("NB.id('o-labels').click()")
    browser.until("NB.labels.length && NB.labelsOf === NB.last.number && NB.named.length > 30")
    boxes = browser.run("NB.named.length")
    browser.run("NB.change({ do: 'turn', degrees: [5, 0, 0], moving: true })")
    browser.until("NB.events.size === 0")
    browser.run("NB.drawOverlay()")
    assert browser.run("NB.named.length") == 0 < boxes
    browser.run("NB.change({ do: 'turn', degrees: [0, 0, 0], moving: false })")
    browser.until("NB.labels.length && NB.labelsOf === NB.last.number && NB.named.length > 30")
    spots = nb.predict(explorer.experiment)
    brightest = spots.table[np.argmax(spots["photons"])]
    assert browser.run("NB.labels[0]")[2] == " ".join(map(str, brightest["hkl"]))


def test_a_closer_look_names_more_reflections(browser: Browser, explorer: nb.Explorer) -> None:
    """Of what is seen the 250 brightest have squares, so that after zooming in weaker ones are named."""
    browser.run("NB.id('o-labels').click()")
    browser.until("NB.labels.length && NB.labelsOf === NB.last.number && NB.named.length")
    far = set(browser.run("NB.named"))
    browser.run("NB.zoomAt(6, { a: 300, b: 300, column: 60, row: 60, port: NB.ports()[0] })")
    browser.until("NB.named.length")
    assert set(browser.run("NB.named")) - far


def test_a_slider_stays_where_it_is_let_go(browser: Browser, explorer: nb.Explorer) -> None:
    """It keeps its ends while the value lies between them; beyond, it takes others."""
    browser.run(
        "window.slider = [...document.querySelectorAll('.control')].find(c => c.dataset.path === 'detector.distance_mm')"
        ".querySelector('input[type=range]')"
    )
    browser.run("slider.scrollIntoView()")
    box = browser.run(
        "(() => { const b = slider.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()"
    )
    x, y = box[0] + 0.5 * box[2], box[1] + box[3] / 2
    browser.drag((x, y), (box[0] + 0.7 * box[2], y))
    browser.until(f"{STILL} && NB.state.undo")
    place = browser.run("Number(slider.value)")
    assert 650 < place < 750
    distance = explorer.experiment.detector.distance_mm
    assert distance > 200
    browser.run("(() => { const box = NB.id('c-detector.distance_mm'); box.value = '5000'; box.onchange(); })()")
    browser.until(f"{STILL} && NB.values['detector.distance_mm'].value === 5000")
    assert 100 < browser.run("Number(slider.value)") < 900
    assert explorer.experiment.detector.distance_mm == 5000


def test_all_digits_of_what_is_counted_are_shown(browser: Browser, explorer: nb.Explorer) -> None:
    assert browser.run("NB.id('c-crystal.mosaic.seed').value") == str(explorer.experiment.crystal.mosaic.seed)
    browser.run("(() => { const box = NB.id('c-crystal.volume_mm3'); box.value = '8e-6'; box.onchange(); })()")
    browser.until(f"{STILL} && NB.values['crystal.volume_mm3'].value === 8e-6")
    assert browser.run("NB.id('c-crystal.volume_mm3').value") == "8e-6"


@pytest.mark.parametrize("panels", [1, 2])
def test_a_geometry_of_a_file_moves_by_distance_and_center(browser: Browser, panels: int) -> None:
    """The corner of its panels is given, and the distance is not: typed all the same, it moves them."""
    one = nb.Detector(n_fast=120, n_slow=100, pixel_size_mm=0.5, fast_axis=(0, 0, 1), slow_axis=(0, -1, 0), normal_axis=(1, 0, 0),
                      pix0_mm=(100.0, 25.0, -30.0))  # fmt: skip
    several = (one, one.with_value("pix0_mm", (100.0, -26.0, -30.0)))
    experiment = small_experiment().replace(detector=one if panels == 1 else several)
    path = "detector" if panels == 1 else "detector[1]"
    with nb.explore(experiment) as explorer:
        browser.console.clear()
        browser.open(explorer.url)
        browser.until(READY)
        before = np.array(explorer.image(60))
        browser.run(f"(() => {{ const box = NB.id('c-{path}.distance_mm'); box.value = '140'; box.onchange(); }})()")
        browser.until(f"{STILL} && NB.state.undo")
        assert explorer.experiment.get(f"{path}.pix0_mm")[0] == pytest.approx(140, abs=1e-8)
        assert np.array_equal(explorer.image(60), nb.simulate(explorer.experiment))
        assert np.abs(explorer.image(60) - before).max() > 0.01 * before.max()
        if panels == 1:
            assert float(browser.until("NB.id('c-detector.distance_mm').placeholder === '140' && '140'")) == 140
            browser.run(
                "(() => { const box = NB.id('c-detector.beam_center_mm[0]'); box.value = '20'; box.onchange(); })()"
            )
            browser.until(f"{STILL} && NB.marks.center.length && Math.abs(NB.marks.center[0][0] - 40) < 0.011")
            assert np.array_equal(explorer.image(60), nb.simulate(explorer.experiment))
        else:
            summary = browser.run("document.querySelector('details[data-path=\"detector\"] summary').textContent")
            assert summary == "Detector, 2 panels"
            put(browser, "detector.distance_mm", "120")
            browser.until(f"{STILL} && NB.values['detector_pose.shift_mm']")
            assert explorer.experiment.detector_pose.shift_mm == pytest.approx((20, 0, 0), abs=1e-8)
            assert np.array_equal(explorer.image(60), nb.simulate(explorer.experiment))
        browser.run("NB.id('undo').click()")
        browser.run("NB.id('undo').click()")
        browser.until("!NB.state.undo")
        assert np.array_equal(explorer.image(60), before)
        assert browser.console == []


def test_a_bent_detector_has_rings_hover_and_says_why_there_are_no_labels(browser: Browser) -> None:
    experiment = small_experiment().replace("detector.curved", True)
    with nb.explore(experiment) as explorer:
        browser.console.clear()
        browser.open(explorer.url)
        browser.until(READY)
        assert len({ring["d"] for ring in browser.run("NB.marks.rings")}) >= 3
        assert browser.run("NB.marks.center") == [[150.0, 140.0]]
        browser.mouse("mouseMoved", 500, 300)
        browser.until("NB.pixel")
        _, slow, fast = browser.run("NB.pixel")
        found = hovered(browser)
        expected = nb.trace(explorer.experiment, (slow, fast)).last("hkl")
        assert [float(x) for x in found["h k l"].split()] == pytest.approx(list(expected), abs=0.0051)
        browser.run("NB.id('o-labels').click()")
        browser.until("NB.id('labels-said').textContent.includes('bent detector')")
        assert browser.run("NB.id('message').hidden")
        assert browser.console == []


def test_presets_of_all_three_kinds(browser: Browser, explorer: nb.Explorer) -> None:
    groups = browser.run("[...NB.id('preset').querySelectorAll('optgroup')].map(one => one.label)")
    assert groups == ["crystal", "detector", "beam line"]
    for value, path, expected in (
        ("crystal/insulin, cubic", "crystal.unit_cell.c", 78.9), ("detector/pilatus_1m", "detector.n_fast", 981),
        ("beam/synchrotron, selenium edge", "beam.wavelength_angstrom", 0.9793),
    ):  # fmt: skip
        browser.run(
            f"(() => {{ const list = NB.id('preset'); list.value = '{value}'; list.onchange({{ target: list }}); }})()"
        )
        browser.until(f"{STILL} && NB.values['{path}'] && NB.values['{path}'].value === {expected}")
        assert explorer.experiment.get(path) == expected
    assert np.array_equal(explorer.image(60), nb.simulate(explorer.experiment))
    for _ in range(3):
        browser.run("NB.id('undo').click()")
    browser.until("!NB.state.undo")
    assert explorer.experiment.equals(small_experiment())


def test_an_empty_box_stands_for_the_default(browser: Browser, explorer: nb.Explorer) -> None:
    """Of one element where all have one, of the whole where the vector is decided; what has to be given is told."""
    for path, text, expected in (
        ("crystal.misset_deg[1]", "", (10.0, 0.0, 30.0)), ("crystal.n_cells[2]", "", (12.0, 12.0, 1.0)),
        ("detector.pixel_size_mm", "", 0.1), ("beam.wavelength_angstrom", "", None), ("beam.direction[0]", "1", (1.0, 0.0, 0.0)),
        ("beam.direction[2]", "", None),
    ):  # fmt: skip
        whole = path.split("[")[0]
        put(browser, path, text)
        browser.until(f"{STILL} && JSON.stringify(NB.values['{whole}'].value) === '{json(expected)}'")
        assert explorer.experiment.get(whole) == expected
    assert np.array_equal(explorer.image(60), nb.simulate(explorer.experiment))
    put(browser, "crystal.unit_cell.a", "")
    browser.until("!NB.id('message').hidden")
    assert "crystal.unit_cell.a" in browser.run("NB.id('message').textContent")
    assert browser.run("NB.id('c-crystal.unit_cell.a').value") == "74"


def test_elements_of_a_vector_that_is_left_open(browser: Browser, explorer: nb.Explorer) -> None:
    """Those that are not typed stay open where they may, else all are asked for; an axis that was decided is kept."""
    for path, text, expected in (
        ("detector.size_mm[0]", "90", (90.0, None)), ("detector.size_mm[1]", "80", (90.0, 80.0)),
        ("detector.size_mm[0]", "", (None, 80.0)), ("detector.size_mm[1]", "", None),
        ("crystal.size_mm[1]", "0.002", (None, 0.002, None)), ("detector.fast_axis[1]", "0.01", (0.0, 0.01, 1.0)),
    ):  # fmt: skip
        whole = path.split("[")[0]
        put(browser, path, text)
        browser.until(f"{STILL} && JSON.stringify(NB.values['{whole}'].value) === '{json(expected)}'")
        assert explorer.experiment.get(whole) == expected
    put(browser, "detector.pix0_mm[0]", "100")
    browser.until("NB.id('message').textContent.includes('must be 3 numbers; type all of them into one box')")
    put(browser, "detector.pix0_mm[0]", "100, 40, -40")
    browser.until(f"{STILL} && JSON.stringify(NB.values['detector.pix0_mm'].value) === '[100,40,-40]'")


def put(browser: Browser, path: str, text: str) -> None:
    browser.run(f"(() => {{ const box = NB.id('c-{path}'); box.value = '{text}'; box.onchange(); }})()")


def json(value: object) -> str:
    """As the page writes it: whole numbers without a point."""
    if isinstance(value, tuple):
        return f"[{','.join(map(json, value))}]"
    return "null" if value is None else f"{value:g}"


def test_of_wavelength_and_energy_the_last_one_typed_counts(browser: Browser, explorer: nb.Explorer) -> None:
    """hc = 12398.42 eV Angstrom; the other box shows what follows, and a value in keV is told."""
    put(browser, "beam.energy_ev", "12660")
    browser.until(
        f"{STILL} && NB.values['beam.wavelength_angstrom'].decided && NB.values['beam.energy_ev'].value === 12660"
    )
    assert explorer.experiment.beam.wavelength_angstrom is None
    shown = browser.until("NB.id('c-beam.wavelength_angstrom').placeholder.startsWith('0.97') && "
                          "NB.id('c-beam.wavelength_angstrom').placeholder")  # fmt: skip
    assert float(shown) == pytest.approx(12398.42 / 12660, rel=1e-6)
    put(browser, "beam.energy_ev", "12.66")
    browser.until("!NB.id('message').hidden")
    assert "12660" in browser.run("NB.id('message').textContent")
    put(browser, "beam.wavelength_angstrom", "1.1")
    browser.until(f"{STILL} && NB.values['beam.wavelength_angstrom'].value === 1.1 && NB.id('message').hidden")
    assert explorer.experiment.beam.energy_ev is None
    assert np.array_equal(explorer.image(60), nb.simulate(explorer.experiment))


def test_a_preset_stays_legible_after_several_panels(browser: Browser) -> None:
    """Two crystals on two panels: hover and labels say which crystal and panel; a preset puts one in their place."""
    first = small_experiment().crystal
    panels = tuple(
        nb.Detector(n_fast=200, n_slow=100, pixel_size_mm=0.4, name=name, fast_axis=(0, 0, 1), slow_axis=(0, -1, 0),
                    normal_axis=(1, 0, 0), pix0_mm=(100.0, up, -40.0))
        for name, up in (("upper", 41.0), ("lower", -1.0))
    )  # fmt: skip
    experiment = small_experiment().replace(
        crystal=(first, first.with_value("misset_deg", (50, 60, 70))), detector=panels
    )
    with nb.explore(experiment) as explorer:
        browser.console.clear()
        browser.open(explorer.url)
        browser.until(READY)
        browser.run("NB.id('o-labels').click()")
        browser.until("NB.named && NB.named.length > 20 && NB.labels.some(one => one[3] === 1)")
        browser.mouse("mouseMoved", 640, 600)
        browser.until("NB.pixel && NB.pixel[0] === 1")
        _, slow, fast = browser.run("NB.pixel")
        rows = hovered(browser)
        assert rows["panel"] == "1 (lower)"
        traced = nb.trace(explorer.experiment, (1, slow, fast)).values("hkl")
        for i in range(2):
            found = [float(x) for x in rows[f"h k l, crystal {i}"].split()]
            assert found == pytest.approx(list(traced[i]), abs=0.0051)
        assert float(rows["photons"]) == pytest.approx(explorer.image(60)[1][slow, fast], rel=1e-5)
        browser.run("NB.id('trace').click()")
        browser.until("NB.id('sheet').open")
        assert browser.run("NB.id('sheet-title').textContent") == f"Trace of panel 1, pixel slow {slow}, fast {fast}"
        browser.run("NB.id('sheet').close()")
        for value in ("detector/pilatus_1m", "crystal/thaumatin"):
            browser.run(
                f"(() => {{ const list = NB.id('preset'); list.value = '{value}'; list.onchange({{ target: list }}); }})()"
            )
        browser.until(
            f"{STILL} && NB.values['crystal.unit_cell.c'] && NB.values['crystal.unit_cell.c'].value === 151.5"
        )
        assert explorer.experiment.detector.distance_mm == pytest.approx(100)
        assert browser.console == []


@pytest.mark.parametrize("scale", ["log", "linear", "percentile"])
def test_every_scale_and_color_map_shades_the_photons(browser: Browser, explorer: nb.Explorer, scale: str) -> None:
    """The pixels of the screen have the colors of their shades, and shades follow the photons between the limits told."""
    browser.run(f"NB.id('scale').value = '{scale}'; NB.id('scale').onchange()")
    browser.until(f"NB.tiles[0].columns === 300 && NB.tiles[0].low !== undefined && NB.id('scale').value === '{scale}'")
    browser.run("new Promise((done) => setTimeout(done, 200))")
    low, high, shades = browser.run("[NB.tiles[0].low, NB.tiles[0].high, Array.from(NB.tiles[0].shades)]")
    image = explorer.image(60)
    if scale == "percentile":
        assert (low, high) == pytest.approx(tuple(np.percentile(image, [1, 99.5])), rel=1e-9)
    elif scale == "linear":
        assert low == 0
    found = np.reshape(shades, image.shape)
    inner = (
        (np.log(np.maximum(image, low) / low) / np.log(high / low)) if scale == "log" else (image - low) / (high - low)
    )
    assert np.abs(found - np.floor(np.clip(254 * inner, 0, 254))).max() <= 1  # single precision
    for name in browser.run("[...NB.id('map').options].map(one => one.value)"):
        browser.run(f"NB.id('map').value = '{name}'; NB.repaint()")
        colors = browser.run(
            "(() => { const t = NB.tiles[0], p = NB.palette(NB.id('map').value), found = [];"
            " const shown = t.canvas.getContext('2d').getImageData(0, 0, 300, 280).data;"
            " for (let i = 0; i < t.shades.length; i += 997) { const c = p[t.shades[i]];"
            "  found.push([c & 255, (c >> 8) & 255, (c >> 16) & 255].every((one, k) => one === shown[4 * i + k])); }"
            " return [found.every(Boolean), new Set(p).size]; })()"
        )
        assert colors[0] and colors[1] > 200, name


def test_the_histogram_counts_the_pixels(browser: Browser, explorer: nb.Explorer) -> None:
    image = explorer.image(60)
    told = browser.run("NB.histogram")
    assert sum(told["counts"]) == (image > 0).sum()
    assert told["ends"] == [image.min(), image.max()]
    drawn = "NB.id('histogram').getContext('2d').getImageData(0, 0, NB.id('histogram').width, NB.id('histogram').height).data"
    assert browser.run(f"{drawn}.filter((x, i) => i % 4 === 3 && x > 0).length") > 500
    put(browser, "beam.fluence_per_m2", "2e27")
    browser.until(f"{STILL} && NB.histogram.ends[1] === {2 * float(image.max())!r}")


def test_phi_is_scrubbed(browser: Browser, explorer: nb.Explorer) -> None:
    """The slider below the image moves phi; each step is shown, and all of them are one step of the history."""
    for angle in (3, 6.5, 11.25):
        browser.run(
            f"(() => {{ const s = NB.id('phi-range'); s.value = {angle}; s.dispatchEvent(new Event('input')); }})()"
        )
        browser.until("NB.events.size === 0")
    browser.run("NB.id('phi-range').dispatchEvent(new Event('change'))")
    browser.until(f"{STILL} && NB.state.undo")
    assert explorer.experiment.goniometer.phi_start_deg == 11.25
    assert browser.run("NB.id('phi-value').value") == "11.25"
    assert np.array_equal(explorer.image(60), nb.simulate(explorer.experiment))
    browser.run("NB.id('undo').click()")
    browser.until("!NB.state.undo && NB.id('phi-value').value === '0'")


def test_what_is_held_back_has_a_histogram_and_labels_too(browser: Browser, explorer: nb.Explorer) -> None:
    """Of its coarse picture, and they say so; the page is usable while the exact image is not wanted."""
    browser.run("NB.id('o-labels').click()")
    put(browser, "sampling.oversample", "1500")
    browser.until("!NB.id('message').hidden && !NB.id('insist').hidden")
    browser.until("NB.histogram.unit === 'photons, coarse' && !NB.last.exact")
    assert sum(browser.run("NB.histogram.counts")) > 1000
    browser.until("NB.labelsOf === NB.last.number && NB.labels.length && NB.named.length > 30")
    browser.mouse("mouseMoved", 640, 300)
    browser.until("[...NB.id('hover').rows].some(row => row.textContent.includes('coarse'))")
    put(browser, "sampling.oversample", "1")
    browser.until(f"{STILL} && NB.histogram.unit === 'photons' && NB.labelsOf === NB.last.number")


def test_a_matrix_becomes_a_cell_and_angles(browser: Browser) -> None:
    """As orientations of geometry files are: ticked, cell and angles have controls, and the image stays."""
    matrix = ((0.0135, 0.0012, 0.0003), (-0.0011, 0.0132, 0.0021), (0.0004, -0.0033, 0.0271))
    crystal = small_experiment().crystal.with_value("a_star_matrix", matrix).with_value("unit_cell", None)
    crystal = crystal.with_value("misset_deg", (0.0, 0.0, 0.0))
    with nb.explore(small_experiment().replace(crystal=crystal)) as explorer:
        browser.console.clear()
        browser.open(explorer.url)
        browser.until(READY)
        before = np.array(explorer.image(60))
        browser.run("NB.id('c-crystal.unit_cell').click()")
        browser.until(f"{STILL} && NB.values['crystal.unit_cell.a']")
        image = explorer.image(60)
        cell = explorer.experiment.crystal.unit_cell
        real = np.linalg.inv(matrix).T
        assert [cell.a, cell.b, cell.c] == pytest.approx(
            np.linalg.norm(real, axis=1), rel=1e-8
        )  # kept to 1e-7 Angstrom
        assert explorer.experiment.crystal.a_star_matrix is None
        # cell and angles are kept to 1e-7 Angstrom and degrees; 7e-9 of the brightest pixel, measured
        assert np.abs(image - before).max() < 1e-7 * before.max()
        assert np.array_equal(image, nb.simulate(explorer.experiment))
        assert browser.console == []


def test_kinds_that_need_a_width_come_with_one(browser: Browser, explorer: nb.Explorer) -> None:
    """A spectrum is added and becomes one of every kind; neither kind nor width could be given before the other."""
    browser.run("NB.id('c-beam.spectrum').click()")
    browser.until(f"{STILL} && NB.values['beam.spectrum.kind']")
    for kind in ("gaussian", "tophat", "pink", "two_color", "sase", "mono"):
        browser.run(f"(() => {{ const x = NB.id('c-beam.spectrum.kind'); x.value = '{kind}'; x.onchange(); }})()")
        browser.until(f"{STILL} && NB.values['beam.spectrum.kind'].value === '{kind}'")
        assert np.array_equal(explorer.image(60), nb.simulate(explorer.experiment))
        if kind == "gaussian":
            assert explorer.experiment.beam.spectrum.fwhm_percent == 1.0
            put(browser, "beam.spectrum.fwhm_percent", "0.5")
            browser.until(f"{STILL} && NB.values['beam.spectrum.fwhm_percent'].value === 0.5")
        elif kind == "tophat":
            assert explorer.experiment.beam.spectrum.fwhm_percent == 0.5
    browser.run("(() => { const x = NB.id('c-readout.psf.kind'); x.value = 'fiber'; x.onchange(); })()")
    browser.until("NB.values['readout.psf.kind'].value === 'fiber'")
    assert browser.run("NB.values['readout.psf.fwhm_um'].value") == 450.0  # 1.5 pixels
    assert browser.run("NB.id('message').hidden")


def test_a_doubt_that_was_closed_stays_closed(browser: Browser, explorer: nb.Explorer) -> None:
    """It would come back at every change otherwise; when it has gone meanwhile, it is told anew."""
    put(browser, "beam.wavelength_angstrom", "12398")
    browser.until("!NB.id('message').hidden && NB.id('message').className === 'note'")
    browser.run("NB.id('dismiss').click(); NB.doubts = 0; NB.hear('doubts', () => { NB.doubts += 1; })")
    put(browser, "beam.wavelength_angstrom", "12400")
    browser.until("NB.doubts > 0")
    assert browser.run("NB.id('message').hidden")
    put(browser, "beam.wavelength_angstrom", "1")
    browser.until("NB.doubts > 1")
    put(browser, "beam.wavelength_angstrom", "12398")
    browser.until("NB.doubts > 2 && !NB.id('message').hidden")
