"""Which pixels of a measured image count."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measuring import compared, panels, poisson, truth

import nanobragg as nb
from nanobragg.explorer.comparison.measured import Measured, read_measured


def test_what_is_not_rendered_does_not_count() -> None:
    region = nb.Sampling(oversample=1, roi=(slice(50, 150), slice(0, 200)))
    with compared(truth().replace(sampling=region)) as (session, comparing, _):
        comparing.take(Measured("counts", poisson(truth())))
        known = comparing.measured.known(session.wait(60).layout)
        assert known[50:150, :200].all() and known.sum() == 100 * 200


def test_what_the_file_says_decides_which_pixels_count(tmp_path: Path) -> None:
    mask = np.ones((300, 300), bool)
    mask[100:110] = False
    masked = truth().replace("detector.mask", mask)
    counts = poisson(masked)
    counts[5, 5], counts[7, 7] = -1, 900
    nb.io.write_nxmx(tmp_path / "one.nxs", [counts], masked, saturation=800)
    nb.io.write_cbf(tmp_path / "one_00001.cbf", np.where(mask, counts, -1), truth(), saturation=800)
    unsigned = np.clip(counts, 0, None).astype(np.uint16)
    unsigned[7, 7] = 65535
    nb.io.write_smv(tmp_path / "one.img", unsigned, truth())
    strong = int((counts > 800)[mask].sum())
    with compared(truth()) as (session, _, _):
        layout = session.wait(60).layout
        for name in ("one.nxs", "one_00001.cbf"):
            found = read_measured(str(tmp_path / name))
            known = found.known(layout)
            assert not known[~mask].any() and not known[5, 5] and not known[7, 7]
            assert found.high == 800 and known.sum() == mask.sum() - 1 - strong
        found = read_measured(str(tmp_path / "one.img"))
        assert found.high == 65534 and found.known(layout).sum() == 300 * 300 - 1
        nb.io.write_cbf(tmp_path / "two_00001.cbf", counts, truth())
        assert read_measured(str(tmp_path / "two_00001.cbf")).high is None  # the end of the type is no statement
        low = Measured("low", counts, low=0.0)
        assert low.known(layout).sum() == 300 * 300 - 1 and low.counted(layout.shapes)[0].sum() == 300 * 300 - 1


def test_masks_come_from_files_and_from_the_mouse(tmp_path: Path) -> None:
    bad = np.zeros((300, 300), np.uint8)
    bad[:20] = 1
    np.save(tmp_path / "bad.npy", bad)
    np.save(tmp_path / "small.npy", bad[:50])
    with compared(truth()) as (session, comparing, heard):
        layout = session.wait(60).layout
        comparing.take(Measured("counts", poisson(truth())))

        def known() -> Any:
            return comparing.measured.known(layout)

        comparing.mask_file({"file": str(tmp_path / "bad.npy")})
        assert np.array_equal(known(), bad == 0)
        with pytest.raises(nb.ConfigError, match="shape of the detector"):
            comparing.mask_file({"file": str(tmp_path / "small.npy")})
        comparing.mask_file({"file": str(tmp_path / "bad.npy"), "zero": True})
        assert np.array_equal(known(), bad == 1)
        comparing.mask_file({"file": ""})
        assert known().all()
        comparing.mask_draw({"shape": "circle", "line": [[150, 150], [160, 150]]})
        rows, columns = np.mgrid[:300, :300] + 0.5
        disk = (rows - 150) ** 2 + (columns - 150) ** 2 <= 100
        assert np.array_equal(known(), ~disk) and heard[-1]["masked"]
        comparing.mask_draw({"line": [[150, 0], [300, 300]], "counts": True})  # a rectangle, in which all counts again
        assert np.array_equal(known(), ~(disk & (columns < 150)))
        (tmp_path / "saved.npy").write_bytes(comparing.mask_bytes())
        assert np.array_equal(nb.Mask.from_file(tmp_path / "saved.npy"), known())
        before = session.state.experiment
        kept = known()
        comparing.mask_detector({})
        assert np.array_equal(session.state.experiment.detector.mask, kept)
        assert (session.wait(60).values[~kept] == 0).all()
        session.undo()
        assert session.state.experiment is before
        comparing.mask_clear({})
        assert known().all() and not heard[-1]["masked"]
        with pytest.raises(nb.ConfigError, match="rectangle, circle"):
            comparing.mask_draw({"shape": "star", "line": [[0, 0], [1, 1]]})


def test_panels_below_each_other_are_an_image_of_several_panels() -> None:
    counts = poisson(panels())
    with compared(panels()) as (session, comparing, _):
        picture = session.wait(60)
        comparing.take(Measured("stacked", counts.reshape(160, 120)))
        measured = comparing.measured
        assert measured.fits(picture.layout)
        assert np.array_equal(measured.picture(picture.layout), Measured("two", counts).picture(picture.layout))
        column, row = picture.layout.places(1, np.array([60.5]), np.array([40.5]))
        comparing.mask_draw({"shape": "circle", "line": [[column[0], row[0]], [column[0] + 3, row[0]]]})
        assert comparing.rows(picture, (1, 40, 60)) == [["measured", f"{counts[1, 40, 60]} (does not count)"]]
        expected = (counts[1, 5, 6] - picture.values[1, 5, 6]) / np.sqrt(max(picture.values[1, 5, 6], 1.0))
        assert comparing.rows(picture, (1, 5, 6)) == [
            ["measured", f"{counts[1, 5, 6]}"],
            ["difference", f"{expected:+.2f} sigma"],
        ]
        first, second = comparing.measured.counted(picture.layout.shapes)
        assert first.all() and not second[40, 60] and 20 < (~second).sum() < 40  # a disk of 28 pixels
        saved = np.load(io.BytesIO(comparing.mask_bytes()))
        assert np.array_equal(saved, ~np.concatenate([first, second]))
        comparing.mask_detector({})
        assert np.array_equal(session.state.experiment.detector[1].mask, second)


def test_masks_follow_the_image_however_the_detector_is_divided(tmp_path: Path) -> None:
    two = panels()
    up, down = two.detector
    counts = poisson(two).reshape(160, 120)
    np.save(tmp_path / "bad.npy", counts == counts[0, 0])
    with compared(two) as (session, comparing, heard):
        comparing.take(Measured("stacked", counts))
        comparing.mask_file({"file": str(tmp_path / "bad.npy")})
        comparing.mask_draw({"shape": "circle", "line": [[60, 40], [70, 40]]})
        kept = np.concatenate(comparing.measured.counted([(80, 120)] * 2))
        assert (kept != (counts != counts[0, 0])).sum() > 200
        for detector in ((up, down.with_value("n_slow", 70)), (up.with_value("n_slow", 90), down.with_value("n_slow", 70)),
                         up.with_value("n_slow", 160)):  # fmt: skip
            session.take(replace(session.state, experiment=two.replace(detector=detector)), "")
            layout = session.wait(60).layout
            comparing.take(comparing.measured)
            fits = sum(n for n, _ in layout.shapes) == 160
            assert heard[-1]["fits"] is fits
            if fits:
                assert "pixels count" in heard[-1]["said"]
                parts = comparing.measured.counted(layout.shapes)
                assert np.array_equal(np.concatenate(parts), kept)
                assert np.array_equal(
                    comparing.measured.known(layout), layout.picture(parts) & (layout.known is None or layout.known)
                )
                comparing.mask_draw({"line": [[0, 0], [1, 1]], "counts": True})  # where the next one goes on
                kept = np.concatenate(comparing.measured.counted(layout.shapes))


def test_the_limits_are_part_of_the_mask() -> None:
    """That is saved, and that is put into the detector."""
    with compared(truth()) as (session, comparing, _):
        counts = poisson(truth(), background=5.0)
        comparing.take(Measured("counts", counts, factor=1.0 + 1e-9))
        comparing.comparison({"low": 4.0, "high": 6.0})
        assert comparing.measured.factor == 1.0 + 1e-9  # what is not said stays
        comparing.comparison({"high": None})
        comparing.mask_detector({})
        assert np.array_equal(session.state.experiment.detector.mask, counts >= 4)
        assert np.array_equal(np.load(io.BytesIO(comparing.mask_bytes())), counts < 4)
        with pytest.raises(nb.ConfigError, match="must be a number"):
            comparing.comparison({"factor": None})
