"""The page for everybody: by keys alone, by name, in readable colors, on screens of any size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from browser import Browser
from explored import STILL, small_experiment

import nanobragg as nb

CTRL, SHIFT = 2, 8


def hovered(browser: Browser) -> dict[str, str]:
    return dict(browser.run("[...NB.id('hover').rows].map(row => [...row.cells].map(cell => cell.textContent))"))


def sized(browser: Browser, width: int, height: int) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    browser.until(f"innerWidth === {width} && innerHeight === {height}")


def test_every_control_says_what_is_known_of_its_field(browser: Browser, explorer: nb.Explorer) -> None:
    """Unit, default, values and text of every field, in the group of its config object; below the controls for keys too."""
    rows = browser.run(
        "[...document.querySelectorAll('details.group')].map(group => [group.dataset.path,"
        " [...group.querySelectorAll('.control')].map(row => [row.dataset.help, row.textContent])])"
    )
    assert [path for path, _ in rows] == ["crystal", "beam", "detector", "detector_pose", "goniometer", "sampling",
                                          "background", "readout"]  # fmt: skip
    known = dict(itertools.chain.from_iterable([(text.split()[0], text) for text, _ in group] for _, group in rows))
    for text in (
        "detector.distance_mm [mm]",
        "values > 0",
        "flags -distance",
        nb.Detector.__dataclass_fields__["distance_mm"].metadata["doc"],
    ):
        assert text in known["detector.distance_mm"]
    for name, part in (("beam", nb.Beam), ("goniometer", nb.Goniometer), ("sampling", nb.Sampling)):
        for field in part.__dataclass_fields__.values():
            if field.metadata["kind"] in ("scalar", "int", "enum", "bool", "vector3"):
                text = known[f"{name}.{field.name}"]
                assert field.metadata["doc"] in text
                assert not field.metadata["unit"] or f"[{field.metadata['unit']}]" in text
                assert not field.metadata["check"] or field.metadata["check"][1].removeprefix("must be ") in text
    browser.run("NB.id('c-crystal.unit_cell.b').focus()")
    assert "crystal.unit_cell.b [Angstrom]" in browser.run("NB.id('help').textContent")
    browser.run("NB.id('find').focus()")
    for letter in "kahn":
        browser.key(letter)
    shown = browser.run(
        "[...document.querySelectorAll('.control')].filter(one => one.offsetParent).map(one => one.dataset.path)"
    )
    assert shown == ["beam.kahn_factor"]
    browser.key("Escape")
    assert browser.run("NB.id('find').value") == ""


def test_every_control_types(browser: Browser, explorer: nb.Explorer) -> None:
    """Beside every slider that has a value there is a box of the same value."""
    browser.run("document.querySelectorAll('details.group').forEach(one => { one.open = true; })")
    lonely = browser.run(
        "[...document.querySelectorAll('input[type=range]')].filter(one => one.id !== 'opacity' &&"
        " !one.parentElement.querySelector('input.number')).map(one => one.outerHTML)"
    )
    assert lonely == []
    browser.run("(() => { const box = NB.id('phi-value'); box.value = '217.5'; box.onchange(); })()")
    browser.until(f"{STILL} && NB.values['goniometer.phi_start_deg'].value === 217.5")
    assert explorer.experiment.goniometer.phi_start_deg == 217.5
    assert browser.run("NB.id('phi-range').value") == "217.5"  # the slider reaches that far then
    assert browser.run("NB.id('phi-range').getAttribute('aria-valuetext')") == "217.5 degrees"
    assert np.array_equal(explorer.image(60), nb.simulate(explorer.experiment))


def test_tab_reaches_everything_and_shows_where_it_is(browser: Browser, explorer: nb.Explorer) -> None:
    """In the order of the page, each once, with an outline of 2 pixels whose contrast to white is at least 3."""
    browser.run(
        "document.activeElement.blur(); window.met = [];"
        " window.wanted = [...document.querySelectorAll('a, button, input, select, summary, [tabindex]')].filter(one =>"
        " !one.disabled && one.checkVisibility({ visibilityProperty: true }) && one.tabIndex >= 0);"
        " document.addEventListener('focusin', (event) => { met.push(event.target); });"
    )
    wanted = browser.run("wanted.length")
    assert wanted > 60
    outlines = set()
    for _ in range(wanted):
        tab(browser)
        browser.run("window.style = getComputedStyle(document.activeElement)")
        outlines.add(tuple(browser.run("[style.outlineStyle, style.outlineWidth, style.outlineColor]")))
    assert browser.run("met.length === wanted.length && met.every((one, i) => one === wanted[i])")
    assert outlines == {("solid", "2px", "rgb(5, 80, 174)")}
    assert contrast((5, 80, 174), (255, 255, 255)) >= 3
    assert browser.run("wanted.slice(0, 2).map(one => one.textContent)") == ["to the image (I)", "to the values (/)"]


def tab(browser: Browser) -> None:
    for kind in ("rawKeyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)


def test_everything_that_takes_the_focus_has_a_name(browser: Browser, explorer: nb.Explorer) -> None:
    """As the browser tells it to a screen reader; sliders say value and unit, not places out of 1000."""
    browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    browser.call("Accessibility.enable")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    browser.call("Accessibility.disable")
    taking = [node for node in nodes if not node.get("ignored")
              and any(p["name"] == "focusable" and p["value"].get("value") for p in node.get("properties", ()))]  # fmt: skip
    names = [(node["role"]["value"], node.get("name", {}).get("value", "").strip()) for node in taking]
    assert [name for name in names if not name[1] and name[0] != "RootWebArea"] == []
    assert {role for role, _ in names} >= {"slider", "textbox", "button", "combobox", "checkbox", "application"}
    roles = {node["role"]["value"] for node in nodes}
    assert {"navigation", "main", "complementary", "toolbar", "image"} <= roles
    said = browser.run(
        "[...document.querySelectorAll('#groups input[type=range]')].filter(one => !one.disabled && one.style.visibility === '')"
        ".map(one => one.getAttribute('aria-valuetext'))"
    )
    assert None not in said and "74 Angstrom" in said and "100 mm" in said


def test_the_image_is_read_by_keys_alone(browser: Browser, explorer: nb.Explorer) -> None:
    """Ctrl and arrows move a cursor; Enter begins and ends a profile; X traces; tools change what the arrows do."""
    browser.run("document.activeElement.blur()")
    browser.key("i")
    assert browser.run("document.activeElement.id") == "stage"
    browser.key("ArrowRight", CTRL)
    browser.until("NB.pixel")
    assert browser.run("NB.pixel") == [0, 140, 150]  # the middle of 300 x 280 pixels
    for key, modifiers in (("ArrowRight", CTRL | SHIFT), ("ArrowUp", CTRL), ("ArrowUp", CTRL)):
        browser.key(key, modifiers)
    browser.until("NB.pixel[1] === 138 && NB.pixel[2] === 160")
    assert float(hovered(browser)["photons"]) == pytest.approx(explorer.image(60)[138, 160], rel=1e-5)
    browser.run("NB.shownProfile = null; NB.hear('profile', (message) => { NB.shownProfile = message; })")
    browser.key("Enter")
    for _ in range(3):
        browser.key("ArrowRight", CTRL | SHIFT)
    browser.key("Enter")
    values = browser.until("NB.shownProfile && NB.shownProfile.values")
    assert values == explorer.image(60)[138, 160:191].tolist()
    browser.until("NB.pixel[2] === 190")
    browser.key("x")
    browser.until("NB.id('sheet').open")
    assert "fast 190" in browser.run("NB.id('sheet-title').textContent")
    browser.run("NB.id('sheet').close(); NB.id('stage').focus()")
    misset = explorer.experiment.crystal.misset_deg
    browser.key("p")
    left = browser.run("NB.view.x")
    browser.key("ArrowRight")
    assert browser.run("NB.view.x") > left
    browser.key("0")
    browser.key("t")
    assert explorer.experiment.crystal.misset_deg == misset
    for key in ("ArrowUp", "["):
        event = browser.run("NB.event")
        browser.key(key)
        browser.until(f"NB.event > {event} && {STILL}")
        assert explorer.experiment.crystal.misset_deg != misset
        misset = explorer.experiment.crystal.misset_deg
    browser.key("/")
    assert browser.run("document.activeElement.id") == "find"
    browser.run("document.activeElement.blur()")
    browser.key(" ")
    browser.until("NB.playing && NB.values['goniometer.phi_start_deg'].value > 1")
    browser.key(" ")
    browser.until(f"!NB.playing && {STILL}")


def test_the_tour_gives_the_focus_back(browser: Browser, explorer: nb.Explorer) -> None:
    browser.run("NB.id('tour').focus(); NB.id('tour').click()")
    assert browser.run("document.activeElement.id") == "tour-next"
    for step in ("stage", "controls", "phi", "display", "export"):
        assert browser.run("document.querySelector('.toured').id") == step
        inside = browser.run(
            "(() => { const b = document.querySelector('.toured').getBoundingClientRect();"
            " return b.left >= 0 && b.top >= 0 && b.right <= innerWidth && b.bottom <= innerHeight; })()"
        )
        assert inside
        apart = browser.run(
            "(() => { const a = NB.id('tour-box').getBoundingClientRect(), b = document.querySelector('.toured')"
            ".getBoundingClientRect(); return a.right <= b.left || a.left >= b.right || a.bottom <= b.top"
            " || a.top >= b.bottom; })()"
        )
        assert apart or step == "stage"  # what is spoken of is seen
        browser.run("NB.id('tour-next').click()")
    assert browser.run("document.activeElement.id") == "tour"
    browser.key("?")
    browser.key("Escape")
    assert browser.run("NB.id('tour-box').hidden && document.activeElement.id === 'tour'")


def luminance(color: tuple[float, ...]) -> float:
    """Relative luminance, WCAG 2.1."""
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in np.array(color[:3]) / 255]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(front: tuple[float, ...], back: tuple[float, ...]) -> float:
    high, low = sorted((luminance(front), luminance(back)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_all_text_can_be_read(browser: Browser, explorer: nb.Explorer) -> None:
    """Every text of the page on what lies behind it, messages, dialogs and empty boxes too: 4.5 at least (WCAG 2.1, AA)."""
    browser.run(
        "document.querySelectorAll('[hidden]').forEach(one => { one.hidden = false; });"
        "document.querySelectorAll('details').forEach(one => { one.open = true; }); NB.id('sheet').show();"
        "NB.id('play').setAttribute('aria-pressed', 'true'); NB.id('quality').className = 'coarse'"
    )
    pairs = browser.run(
        """(() => {
      const found = [], clear = (c) => c === 'rgba(0, 0, 0, 0)';
      const behind = (n) => { while (n && clear(getComputedStyle(n).backgroundColor)) n = n.parentElement;
                              return n ? getComputedStyle(n).backgroundColor : 'rgb(255, 255, 255)'; };
      for (const n of document.querySelectorAll('body *')) {
        if (n.disabled || ['SCRIPT', 'OPTION', 'OPTGROUP'].includes(n.tagName)) continue;
        const own = [...n.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
        const typed = n.tagName === 'INPUT' || n.tagName === 'SELECT';
        if (own || typed) found.push([getComputedStyle(n).color, behind(n), n.outerHTML.slice(0, 90)]);
        if (n.placeholder) found.push([getComputedStyle(n, '::placeholder').color, behind(n), `placeholder of ${n.id}`]);
      }
      return found; })()"""
    )
    assert len(pairs) > 300
    low = {(front, back, text) for front, back, text in pairs if contrast(rgb(front), rgb(back)) < 4.5}
    assert low == set()


def rgb(color: str) -> tuple[float, ...]:
    return tuple(float(x) for x in color[color.index("(") + 1 : -1].split(",")[:3])


def test_words_on_the_picture_can_be_read_on_every_color_map(browser: Browser, explorer: nb.Explorer) -> None:
    """Against their outline, which lies on whatever the picture is, with a seventh of it shining through."""
    for tone in ("bright", "dark"):
        ink = browser.run(f"NB.inks.{tone}")
        halo = tuple(float(x) for x in ink["halo"].split(","))
        for through in ((0, 0, 0), (255, 255, 255), (202, 212, 222)):
            back = 0.85 * np.array(halo) + 0.15 * np.array(through)
            usual = luminance(tuple(back)) > 0.5 if tone == "bright" else luminance(tuple(back)) < 0.1
            assert usual
            for color in (ink["word"], ink["name"], *ink["crystals"]):
                assert contrast(tuple(int(color[i : i + 2], 16) for i in (1, 3, 5)), tuple(back)) >= 4.5, (
                    tone,
                    color,
                    through,
                )
    dark = browser.run("Object.keys(NB.maps).filter(NB.isDark)")
    assert dark == ["light on black", "viridis", "inferno"]


@pytest.mark.parametrize(
    ("width", "height"), [(1280, 800), (1920, 1080), (900, 800), (1024, 640), (800, 600), (640, 800)]
)
def test_nothing_is_cut_off(browser: Browser, explorer: nb.Explorer, width: int, height: int) -> None:
    """On screens of several sizes every button of the bar is seen, no column is wider than it has room, the image fits."""
    sized(browser, width, height)
    try:
        browser.run(
            "document.querySelectorAll('details').forEach(one => { one.open = true; }); NB.id('with-measured').hidden = false"
        )
        browser.until("Math.abs(NB.id('picture').width - NB.id('stage').clientWidth) <= 1")
        outside = browser.run(
            "[...document.querySelectorAll('header button, header select, header input, #phi input, #find')].filter("
            "one => { const b = one.getBoundingClientRect(); return b.left < 0 || b.right > innerWidth + 0.5; })"
            ".map(one => one.id)"
        )
        assert outside == []
        wide = browser.run(
            "['html', 'header', '#groups', '#help', 'aside'].map(one => document.querySelector(one))"
            ".map(n => n.scrollWidth - n.clientWidth)"
        )
        assert max(wide) <= 0, wide
        cut = browser.run(
            "[...document.querySelectorAll('aside *, #groups *, header *')].filter(one => one.checkVisibility()"
            " && one.clientWidth > 0 && one.tagName !== 'SELECT' && getComputedStyle(one).overflowX === 'visible'"
            " && one.scrollWidth > one.clientWidth + 1).map(one => one.outerHTML.slice(0, 80))"
        )
        assert cut == []
        browser.run(
            "NB.message('x'.repeat(300)); globalThis.said = NB.id('quality').textContent;"
            "NB.id('quality').textContent = 'coarse: 13 of 25 domains, 1 pixel of 2 x 2, no point spread, no noise'"
        )
        assert browser.run("NB.id('message').scrollWidth <= NB.id('message').clientWidth")
        quality, limits = (
            browser.run(
                f"(({{ left, right, top, bottom }}) => [left, right, top, bottom])(NB.id('{name}').getBoundingClientRect())"
            )
            for name in ("quality", "limits")
        )
        assert quality[1] <= limits[0] or limits[3] <= quality[2]
        browser.run("NB.message(''); NB.id('quality').textContent = said")
        browser.until("(() => { const p = NB.ports()[0], z = NB.view.zoom, [r, c] = NB.shape;"
                      " return Math.abs(Math.min(p.width / c, p.height / r) - z) < 1e-6; })()")  # fmt: skip
    finally:
        sized(browser, 1280, 800)


def test_the_wheel_zooms_about_the_cursor_and_a_double_click_shows_all(browser: Browser, explorer: nb.Explorer) -> None:
    place = ("(() => { const b = NB.id('stage').getBoundingClientRect();"
             " return [NB.view.x + (560 - b.left) / NB.view.zoom, NB.view.y + (300 - b.top) / NB.view.zoom]; })()")  # fmt: skip
    before, zoom = browser.run(place), browser.run("NB.view.zoom")
    browser.mouse("mouseWheel", 560, 300, deltaX=0, deltaY=-400)
    browser.until(f"NB.view.zoom > {1.5 * zoom}")
    assert browser.run(place) == pytest.approx(before, abs=1e-9)
    sized(browser, 1200, 760)
    sized(browser, 1280, 800)
    assert browser.run("NB.view.zoom") > 1.5 * zoom  # what was chosen stays
    for count in (1, 2):
        for kind in ("mousePressed", "mouseReleased"):
            browser.mouse(kind, 560, 300, button="left", clickCount=count)
    browser.until(f"Math.abs(NB.view.zoom - {zoom}) < 1e-9")


def press_space(browser: Browser) -> None:
    for kind, more in (("keyDown", {"text": " "}), ("keyUp", {})):
        browser.call("Input.dispatchKeyEvent", type=kind, key=" ", code="Space", windowsVirtualKeyCode=32, **more)


def test_the_space_bar_does_what_the_focus_asks_for(browser: Browser, explorer: nb.Explorer) -> None:
    """It checks boxes, opens groups and presses buttons; elsewhere it plays."""
    browser.run("NB.id('o-rings').focus()")
    press_space(browser)
    assert browser.run("NB.id('o-rings').checked") is False
    browser.run("window.group = document.querySelector('details.group'); group.querySelector('summary').focus()")
    was = browser.run("group.open")
    press_space(browser)
    browser.until(f"group.open === {str(not was).lower()}")
    browser.run("NB.id('tour').focus()")
    press_space(browser)
    assert browser.run("!NB.id('tour-box').hidden && !NB.playing")
    browser.key("Escape")
    browser.run("NB.id('phi-range').focus()")
    press_space(browser)
    browser.until("NB.playing")
    press_space(browser)
    browser.until(f"!NB.playing && {STILL}")


def test_arrows_in_the_menus_take_nothing_by_themselves(browser: Browser, explorer: nb.Explorer) -> None:
    """The menu of presets opens; the first of them is not applied by the first arrow."""
    browser.run("NB.id('preset').focus()")
    for kind in ("rawKeyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="ArrowDown", code="ArrowDown", windowsVirtualKeyCode=40)
    browser.run("new Promise((done) => setTimeout(done, 300))")
    assert not browser.run("NB.state.undo")
    assert explorer.experiment.equals(small_experiment())
    browser.key("Escape")
