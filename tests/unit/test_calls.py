"""What is decided or placed once is not decided or placed again on the way to the image, or to the files."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from small import small

import nanobragg as nb
from nanobragg.derivation import cell, resolve
from nanobragg.derivation.placement import placed

COUNTED = (placed.place, cell.oriented_cell, resolve.resolve)
ONCE = {"place": 1, "oriented_cell": 1, "resolve": 1}


@pytest.fixture
def calls() -> Iterator[Counter[str]]:
    """How often each of `COUNTED` is called."""
    names = {function.__code__: function.__name__ for function in COUNTED}
    found: Counter[str] = Counter()

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in names:
            found[names[frame.f_code]] += 1

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield found
    finally:
        sys.setprofile(before)


def experiments() -> dict[str, nb.Experiment]:
    """Ordinary, and with everything by which quirks of the geometry, the size and the sampling act."""
    turned = nb.Detector(
        n_fast=16, n_slow=12, pixel_size_mm=0.5, convention="xds", pivot="beam", twotheta_deg=9.0,
        beam_center_convention_mm=(4.0, 3.0), size_mm=(8.2, 6.1), distance_mm=60.0,
    )  # fmt: skip
    mosflm = nb.Detector(n_fast=16, n_slow=12, pixel_size_mm=0.5, pivot="sample", rotation_deg=(1, 2, 3))
    vectors = nb.Detector(n_fast=16, n_slow=12, pixel_size_mm=0.5, pix0_mm=(50, 3, -4), fast_axis=(0, 0, 1))
    return {
        "plain": small(),
        "rotating": small(goniometer=nb.Goniometer(osc_deg=1.0)),
        "turned": small(detector=turned),
        "pivot": small(detector=mosflm),
        "vectors": small(detector=vectors),
        "sized": small().replace("crystal.size_mm", (2e-5, 3e-5, 0)).replace("sampling.oversample", None),
    }


@pytest.mark.parametrize("fidelity", ["corrected", "reference"])
@pytest.mark.parametrize("name", experiments())
def test_a_simulation_decides_and_places_once(name: str, fidelity: str, calls: Counter[str]) -> None:
    nb.simulate(experiments()[name].with_fidelity(fidelity))
    print(name, fidelity, dict(calls))
    assert calls == ONCE


@pytest.mark.parametrize("dialect", ["nanobragg", "dxtbx"])
def test_five_files_cost_no_more_than_one(dialect: str, calls: Counter[str], tmp_path: Path) -> None:
    images = np.zeros((5, 12, 16), np.uint16)
    experiment = small(goniometer=nb.Goniometer(osc_deg=1.0, n_steps=2))
    nb.io.write_frames(tmp_path / "a_####.img", images, experiment, dialect=dialect)
    print(dialect, dict(calls))
    assert len(list(tmp_path.glob("*.img"))) == 5
    assert calls == ONCE


def test_files_one_by_one_cost_no_more_than_the_first(calls: Counter[str], tmp_path: Path) -> None:
    experiment = small()
    for i in range(3):
        nb.io.write_smv(tmp_path / f"{i}.img", np.zeros((12, 16), np.uint16), experiment)
    assert calls == ONCE


@pytest.mark.parametrize("fidelity", ["corrected", "reference"])
def test_new_values_are_placed_where_they_belong(fidelity: str, calls: Counter[str]) -> None:
    render = nb.prepare(small().with_fidelity(fidelity))
    assert calls == ONCE
    calls.clear()
    render()
    assert not calls
    render({"crystal.misset_deg": (1, 2, 3)})
    assert calls == {"oriented_cell": 1}
    calls.clear()
    render({"detector.distance_mm": 51.0})
    assert calls == {"place": 1}


@pytest.mark.parametrize("fidelity", ["corrected", "reference"])
def test_values_change_what_is_rendered_of_them(fidelity: str) -> None:
    """What `Decided.with_values` keeps is what the values leave alone."""
    beam = nb.Beam(direction=(1.0, 0.0, 0.0))  # a vector: in reference fidelity it decides the convention
    experiment = small(beam=beam, sampling=nb.Sampling(oversample=2)).with_fidelity(fidelity)
    render = nb.prepare(experiment)
    for path, value in (
        ("crystal.misset_deg", (1, 2, 3)), ("crystal.unit_cell.a", 41.0), ("crystal.n_cells", (4, 5, 6)),
        ("detector.distance_mm", 51.0), ("beam.direction", (1.0, 0.01, 0.0)), ("goniometer.phi_start_deg", 4.0),
    ):  # fmt: skip
        expected = nb.simulate(experiment.replace(path, value))
        assert not np.array_equal(expected, nb.simulate(experiment)), path
        np.testing.assert_array_equal(render({path: value}), expected, err_msg=path)
