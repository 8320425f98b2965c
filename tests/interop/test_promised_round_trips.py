"""Every format gives back what the table of the documentation promises: drawn geometries, written and read."""

from __future__ import annotations

import dataclasses
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanobragg.io.geometry.axes import rotation
from nanobragg.io.geometry.record import Geometry, Panel

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
try:
    import format_table
finally:
    sys.path.pop(0)

pytest.importorskip("h5py", reason="writes NXmx: pip install '.[io]'")
PLAIN = format_table.PLAIN
PANEL = PLAIN.panels[0]


@cache
def promised(name: str) -> set[str]:
    """What the table says of a format."""
    return {title for title in format_table.PROPERTIES if format_table.kept(name, title)}


def turn(draw: st.DrawFn, most: float) -> Any:
    axis = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 3)))
    axis[2] += 1e-3
    return rotation(axis / np.linalg.norm(axis), draw(st.floats(-most, most)))


@st.composite
def panel(draw: st.DrawFn, kept: set[str], i: int) -> Panel:
    """A panel with the properties that are kept drawn, the others as in the plain geometry."""
    n_fast, n_slow = draw(st.integers(2, 40)), draw(st.integers(2, 30))
    place = np.array([draw(st.floats(-20, 20)), draw(st.floats(-20, 20)), -draw(st.floats(20, 400))])
    edge = draw(st.floats(0.02, 2.0))
    edges = (edge, edge * draw(st.floats(0.5, 2.0))) if "oblong pixels" in kept else (edge, edge)
    values: dict[str, Any] = {"n_fast": n_fast, "n_slow": n_slow, "origin": place, "edges_mm": edges}
    if "tilt" in kept:
        tilt = turn(draw, 20.0)
        values |= {"fast": tilt @ PANEL.fast, "slow": tilt @ PANEL.slow}
    if "names of panels" in kept:
        values["name"] = draw(st.sampled_from(["q", "asic", "D"])) + str(i)
    if "mask" in kept and draw(st.booleans()):
        mask = np.array(draw(st.lists(st.booleans(), min_size=n_fast * n_slow, max_size=n_fast * n_slow)))
        values["mask"] = None if mask.all() else mask.reshape(n_slow, n_fast)
    return dataclasses.replace(PANEL, **values)


@st.composite
def geometry(draw: st.DrawFn, name: str) -> Geometry:
    kept = promised(name)
    n = draw(st.integers(1, 3)) if "several panels" in kept else 1
    panels = [draw(panel(kept, i)) for i in range(n)]
    # XDS and MOSFLM name one detector; the sensor is that of the whole detector where a format has one place for it
    if "thickness of the sensor" in kept:
        sensor: dict[str, Any] = {
            "thickness_mm": draw(st.floats(0.05, 2.0)),
            "material": draw(st.sampled_from(["Si", "CdTe"])),
        }
        if "attenuation of the sensor" in kept:
            sensor["mu_per_mm"] = draw(st.floats(0.1, 20.0))
        panels = [dataclasses.replace(one, **sensor) for one in panels]
    values: dict[str, Any] = {"panels": tuple(panels), "wavelength": draw(st.floats(0.3, 3.0))}
    if "polarization" in kept:
        values["kahn_factor"] = draw(st.floats(0.0, 1.0))
    if "flux" in kept:
        values["flux"] = draw(st.floats(1e6, 1e14))
    if "exposure" in kept:
        values["exposure_s"] = draw(st.floats(1e-3, 100.0))
    if "spindle" in kept:
        values["spindle"] = turn(draw, 90.0) @ PLAIN.spindle
    if "start and width" in kept:
        values |= {"phi_start": draw(st.floats(-170, 170)), "osc": draw(st.floats(0.01, 5.0))}
    if "orientation" in kept:
        values["a_star"] = PLAIN.a_star @ turn(draw, 180.0).T
    if "space group" in kept:
        values["space_group"] = draw(st.sampled_from([" P 2ac 2ab", " P 1", " P 4n 2n", " C 2y"]))
    return dataclasses.replace(PLAIN, **values)


def values(title: str, geometry: Geometry) -> Any:
    """A property of every panel, where it is one of panels."""
    value = format_table.PROPERTIES[title][1]
    if title in ("wavelength", "polarization", "flux", "exposure", "spindle", "start and width", "orientation", "space group",
                 "several panels"):  # fmt: skip
        return value(geometry)
    return [value(dataclasses.replace(geometry, panels=(one,))) for one in geometry.panels]


@pytest.mark.parametrize("name", format_table.FORMATS.values())
def test_what_the_table_promises_comes_back(name: str) -> None:
    @settings(max_examples=12, deadline=None)
    @given(geometry(name))
    def back(before: Geometry) -> None:
        after = format_table.through(name, before)
        for title in promised(name):
            if title == "mask":  # a panel that is measured as a whole may have none
                for one, other in zip(before.panels, after.panels, strict=True):
                    shape = (one.n_slow, one.n_fast)
                    masks = [np.ones(shape, bool) if p.mask is None else p.mask for p in (one, other)]
                    assert (masks[0] == masks[1]).all()
            else:
                assert format_table.same(values(title, before), values(title, after)), title

    back()


def test_the_table_promises_something_of_every_format() -> None:
    assert all(promised(name) for name in format_table.FORMATS.values())
    for name in ("x.nxs", "x.expt", "x.json", "x.toml"):
        assert promised(name) == set(format_table.PROPERTIES)
