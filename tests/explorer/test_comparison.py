"""The measured image: scale, mask, agreement, and a refinement whose steps are seen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measuring import compared, panels, poisson, truth
from wire import Wire, small

import nanobragg as nb
from nanobragg.explorer.comparison.comparing import Comparing
from nanobragg.explorer.comparison.measured import Measured, agreement, fitted, read_measured
from nanobragg.explorer.comparison.refining import Refining, offered
from nanobragg.explorer.session import Session
from nanobragg.refinement.variables.several import variables_of


def test_the_fit_finds_scale_and_offset() -> None:
    """Of 90000 Poisson counts: within 3 of the standard deviations of weighted least squares."""
    session = Session(truth())
    session.begin()
    picture = session.wait(60)
    session.close()
    photons = picture.values
    counts = np.random.default_rng(2).poisson(3.5 * photons + 20.0).astype(float)
    counts[:20] = -1  # not measured
    measured = Measured("counts", counts)
    factor, offset = fitted(measured, picture.layout, photons)
    fine = counts >= 0
    weight = 1 / (3.5 * photons + 20.0)[fine]
    x = photons[fine]
    spread = weight @ (x - weight @ x / weight.sum()) ** 2
    assert factor == pytest.approx(3.5, abs=3 / np.sqrt(spread))
    assert offset == pytest.approx(20.0, abs=3 * np.sqrt(1 / weight.sum() + (weight @ x / weight.sum()) ** 2 / spread))
    said = agreement(Measured("counts", counts, factor, offset), picture.layout, photons)
    assert said.startswith(f"{fine.sum()} pixels count")
    # chi-squared of 84000 pixels is 1 within 3 sqrt(2/84000) = 0.015
    assert float(said.rpartition(" ")[2]) == pytest.approx(1.0, abs=0.015)
    with pytest.raises(nb.ConfigError, match="pixels that count"):
        fitted(Measured("counts", counts, low=1e9), picture.layout, photons)
    other = np.random.default_rng(1).poisson(20.0, photons.shape)  # a scale that is hardly above 0
    for unlike in (1000 - counts / counts.max() * 900, other):
        with pytest.raises(nb.ConfigError, match="nothing in common"):
            fitted(Measured("counts", unlike), picture.layout, photons)
    with pytest.raises(nb.ConfigError, match="65535 wherever it counts"):
        fitted(Measured("saturated", np.full(photons.shape, 65535)), picture.layout, photons)
    small = fitted(Measured("in other units", 1e-9 * photons), picture.layout, photons)
    assert small == pytest.approx((1e-9, 0.0), abs=1e-12)


def test_the_agreement_knows_the_readout() -> None:
    """Counts of 4 numbers a photon, a pedestal and electronic noise: chi-squared of 90000 pixels is 1 within 3 sqrt(2/90000)."""
    readout = nb.Readout(gain_adu_per_photon=4.0, offset_adu=100.0, noise_adu=6.0, bits=32)
    bright = truth().replace("beam.fluence_per_m2", 1e27)
    counts = nb.expose(bright, readout, seed=9).counts
    with compared(bright, readout) as (session, comparing, _):
        comparing.take(Measured("counts", counts, factor=4.0, offset=100.0))
        assert float(comparing.state()["said"].rpartition(" ")[2]) == pytest.approx(1.0, abs=0.015)
        picture = session.wait(60)
        apart = comparing.comparable(picture).difference(picture.layout, np.asarray(picture.values))
        assert apart.std() == pytest.approx(1.0, abs=0.01)
        comparing.fit({})
        assert comparing.measured.factor == pytest.approx(4.0, rel=0.01)
        assert comparing.measured.offset == pytest.approx(100.0, abs=0.1)  # 5 standard errors
        session.switch("noise", True)  # counts are shown, with other noise: the scale is that of what they are about
        session.wait(60)
        comparing.fit({})
        assert comparing.measured.factor == pytest.approx(1.0, rel=0.01)
        assert comparing.measured.factor * 100.0 + comparing.measured.offset == pytest.approx(100.0, abs=0.1)
        level = comparing.measured.offset + comparing.measured.factor * 100.0
        comparing.light({})
        assert (comparing.measured.factor, comparing.measured.offset) == (1.0, pytest.approx(level - 100.0))


def test_an_image_of_another_detector_is_refused() -> None:
    with pytest.raises(nb.ConfigError, match=r"shape of the detector, \[\(300, 300\)\]"):
        nb.explore(truth(), measured=np.zeros((20, 30)))
    with pytest.raises(nb.FileFormatError):
        nb.explore(truth(), measured="no_such_file.cbf")


def test_a_refinement_moves_the_experiment_and_can_be_undone() -> None:
    counts = np.random.default_rng(1).poisson(nb.simulate(truth()) + 1.0)
    start = truth().replace("crystal.misset_deg", (10.2, 19.9, 30.1))
    session = Session(start)
    session.begin()
    heard: list[dict[str, Any]] = []
    refining = Refining(session, heard.append)
    refining.start(Measured("counts", counts), ["crystal.misset_deg"])
    with pytest.raises(nb.ConfigError, match="waits until the first has ended"):
        refining.start(Measured("counts", counts), ["crystal.misset_deg"])
    assert refining._thread is not None
    refining._thread.join(120)
    assert np.abs(np.subtract(session.state.experiment.crystal.misset_deg, (10, 20, 30))).max() < 0.01
    last = heard[-1]
    assert not last["running"] and len(last["costs"]) >= 3
    assert [row[0] for row in last["rows"]] == [f"crystal.misset_deg[{i}]" for i in range(3)]
    assert refining.found is not None and all(float(row[2]) > 0 for row in last["rows"])
    while_running = [one for one in heard if one["running"] and one["rows"]]
    assert len(while_running) > 3  # its steps were seen
    assert session.undo()  # all of them are one step of the history
    assert session.state.experiment is start
    refining.start(Measured("counts", np.ones((300, 300))), ["crystal.misset_deg"])
    refining._thread.join(120)
    assert "no spots where they are predicted" in heard[-1]["said"] and not heard[-1]["running"]
    session.close()


def test_another_image_of_the_same_file_or_the_next_file(tmp_path: Path) -> None:
    first, second = poisson(truth(), seed=1), poisson(truth(), seed=2)
    nb.io.write_nxmx(tmp_path / "two.nxs", [first, second], truth().replace("goniometer.osc_deg", 0.1))
    for i, counts in enumerate((first, second), 1):
        nb.io.write_cbf(tmp_path / f"one_{i:05d}.cbf", counts, truth())
    with compared(truth()) as (_, comparing, heard):
        for file in ("two.nxs", "one_00001.cbf"):
            comparing.measure({"file": str(tmp_path / file)})
            comparing.comparison({"factor": 2.0, "offset": 1.0, "low": None, "high": 500.0})
            assert np.array_equal(comparing.measured.counts, first)
            comparing.frame({"by": 1})
            assert np.array_equal(comparing.measured.counts, second)
            assert (comparing.measured.factor, comparing.measured.high) == (2.0, 500.0)  # the scale stays
            with pytest.raises(nb.ConfigError, match=r"holds images 1 to 2|there is no such file"):
                comparing.frame({"by": 1})
        comparing.measure({"file": str(tmp_path / "two.nxs"), "image": 2})
        assert np.array_equal(comparing.measured.counts, second) and heard[-1]["n_images"] == 2
        comparing.frame({"image": 1})
        assert np.array_equal(comparing.measured.counts, first)
        with pytest.raises(nb.FileFormatError, match="images 1 to 2"):
            comparing.measure({"file": str(tmp_path / "two.nxs"), "image": 3})
        comparing.measure({"file": ""})
        assert comparing.measured is None and heard[-1] == {"kind": "measured", "name": ""}


def test_an_image_of_another_detector_brings_its_geometry(tmp_path: Path) -> None:
    counts = poisson(truth())
    nb.io.write_cbf(tmp_path / "one_00001.cbf", counts, truth())
    other = truth().replace(
        detector=nb.Detector(n_fast=200, n_slow=100), sampling=nb.Sampling(oversample=1, roi=(slice(5), slice(5)))
    )
    with compared(other) as (session, comparing, heard):
        with pytest.raises(nb.ConfigError, match=r"shape of the detector, \[\(100, 200\)\]"):
            comparing.measure({"file": str(tmp_path / "one_00001.cbf")})
        assert not heard[-1]["fits"] and "(300, 300)" in heard[-1]["said"]
        comparing.geometry({})
        image = session.wait(60).values
        # measured: 3e-8 of the maximum, by the decimals of the header
        assert np.abs(image - nb.simulate(truth())).max() < 1e-6 * image.max()
        assert comparing.state()["fits"] and "90000 pixels count" in comparing.state()["said"]
        session.undo()
        assert session.state.experiment is other
        comparing.take(Measured("an array", counts))
        with pytest.raises(nb.ConfigError, match="has no header"):
            comparing.geometry({})


def test_the_geometry_of_a_header_brings_the_wavelength_of_a_spectrum(tmp_path: Path) -> None:
    """A list of wavelengths stays, which is told."""
    nb.io.write_cbf(tmp_path / "one_00001.cbf", poisson(truth()), truth())
    listed = (1.1, 1.2)
    parts = [nb.Spectrum(kind="gaussian", fwhm_percent=0.5, n_wavelengths=3),
             nb.Spectrum(kind="given", wavelength_angstrom=listed), nb.Sources(wavelength_angstrom=listed)]  # fmt: skip
    with compared(truth()) as (session, comparing, _):
        for part in parts:
            name = type(part).__name__.lower()
            beam = nb.Beam(wavelength_angstrom=1.1, **{name: part})
            start = truth().replace(beam=beam).replace("detector.distance_mm", 70.0)
            session.take(replace(session.state, experiment=start), "")
            comparing.measure({"file": str(tmp_path / "one_00001.cbf")})
            if getattr(part, "kind", "") == "gaussian":
                comparing.geometry({})
            else:
                with pytest.raises(nb.ConfigError, match=f"beam.{name}.* stays as it is"):
                    comparing.geometry({})
            beam = session.state.experiment.beam
            assert beam.wavelength_angstrom == pytest.approx(1.0) and getattr(beam, name) is part
            assert session.state.experiment.detector.pix0_mm[0] == pytest.approx(60.0)


def test_an_old_image_is_not_compared() -> None:
    """While the exact image of the present state is not there, nothing is fitted, and no agreement is told."""

    async def play() -> None:
        with nb.explore(small()) as explorer:
            explorer.compare(np.rint(2.0 * explorer.image(60)))
            async with Wire(explorer) as page:
                await page.hear("measured", "pixels count")
                for path, value in (("spread_deg", 1.0), ("n_domains", 50000)):
                    await page.say({"do": "set", "path": f"crystal.mosaic.{path}", "value": value})
                await page.say({"do": "set", "path": "sampling.oversample", "value": 25})
                await page.hear("measured", "when the exact image is there")
                await page.say({"do": "fit"})
                await page.hear("message", "is not there yet; wait until it is")
                await page.say({"do": "mask_draw", "line": [[0, 0], [5, 5]]})  # on what is seen
                assert (await page.hear("measured"))["masked"]
                for _ in range(3):
                    await page.say({"do": "undo"})
                await page.hear("measured", "2975 pixels count")
                await page.say({"do": "fit"})
                assert (await page.hear("measured"))["factor"] == pytest.approx(2.0, abs=0.01)

    asyncio.run(play())


def test_the_scale_goes_into_the_flux() -> None:
    dim = truth().replace("beam.fluence_per_m2", 1e25)
    for start in (dim, dim.replace(beam=nb.Beam(flux_per_s=1e17, exposure_s=1.0, size_mm=0.1))):
        with compared(start) as (session, comparing, _):
            before = session.wait(60).values
            comparing.take(Measured("counts", poisson(truth(), background=0.0), factor=10.0))
            comparing.light({})
            assert np.allclose(session.wait(60).values, 10.0 * before, rtol=1e-12)
            assert comparing.measured.factor == 1.0
            session.undo()
            assert session.state.experiment is start and comparing.measured.factor == 10.0
            session.undo(-1)
            assert comparing.measured.factor == 1.0
            session.reset()
            assert comparing.measured.factor == 10.0
            session.undo()
            comparing.take(Measured("others", poisson(truth()), factor=4.0))  # whose scale it was not
            session.undo()
            assert session.state.experiment is start and comparing.measured.factor == 4.0


def test_whatever_is_offered_can_be_refined() -> None:
    matrix = np.array([[0.02, 0.001, 0], [0, 0.017, 0.002], [0.001, 0, 0.025]])
    one = truth()
    two = one.replace(crystal=(one.crystal, one.crystal.with_value("misset_deg", (1.0, 2.0, 3.0))))
    spread = one.replace("crystal.mosaic", nb.Mosaic(spread_deg=0.2, n_domains=5))
    turned = one.replace(
        crystal=nb.Crystal(a_star_matrix=matrix, structure_factors=one.crystal.structure_factors, n_cells=(9, 9, 9))
    )
    lit = one.replace(beam=nb.Beam(flux_per_s=1e17, exposure_s=1.0, size_mm=0.1, wavelength_angstrom=1.0))
    found = {name: dict(offered(e)) for name, e in
             {"one": one, "two": two, "spread": spread, "turned": turned, "lit": lit, "panels": panels()}.items()}  # fmt: skip
    for name, e in (
        ("one", one),
        ("two", two),
        ("spread", spread),
        ("turned", turned),
        ("lit", lit),
        ("panels", panels()),
    ):
        for path in found[name]:
            assert variables_of(e, [path]).size > 0, (name, path)
    assert found["one"]["crystal.misset_deg"] and found["one"]["beam.fluence_per_m2"]
    assert not any("mosaic" in path for path in found["one"]) and "crystal.mosaic.spread_deg" in found["spread"]
    assert {"crystal[0].misset_deg", "crystal[1].misset_deg"} < found["two"].keys()
    assert "beam.flux_per_s" in found["lit"] and "beam.fluence_per_m2" not in found["lit"]


@pytest.mark.parametrize("noise", [False, True], ids=["photons", "counts"])
@pytest.mark.parametrize("free", [True, False], ids=["scale refined", "scale held"])
def test_a_refinement_knows_gain_offset_and_scale(free: bool, noise: bool) -> None:
    """Counts of 2.5 numbers a photon above a pedestal, from a model that is three times too dim; four times the stated errors.

    Where noise is shown, it is counts that the scale relates to counts.
    """
    readout = nb.Readout(gain_adu_per_photon=2.5, offset_adu=30.0, noise_adu=3.0)
    counts = nb.expose(truth().replace(background=nb.Background(water_um=1.0)), readout, seed=4).counts
    start = truth().replace("crystal.misset_deg", (10.1, 20.05, 30.05)).replace("beam.fluence_per_m2", 1e26 / 3)
    with compared(start, readout) as (session, comparing, _):
        session.switch("noise", noise)
        before = scale = (3.0, -60.0) if noise else (7.5, 30.0)
        comparing.take(Measured("counts", counts, factor=scale[0], offset=scale[1]))
        comparing.refine({"paths": ["crystal.misset_deg", *(["beam.fluence_per_m2"] if free else [])]})
        comparing.refining.join(120)
        found = comparing.refining.found
        assert found is not None and found.chi2 == pytest.approx(1.0, abs=0.1)  # measured: 1.02
        errors = np.array(list(found.errors.values()))
        assert (np.abs(found.estimate[:3] - (10, 20, 30)) < 4 * errors[:3]).all()
        if free:  # the factor has gone into the fluence, and is that of the detector
            assert abs(found.estimate[3] - 1e26) < 4 * errors[3]
            assert session.state.experiment.beam.fluence_per_m2 == found.estimate[3]
            scale = (1.0, 0.0) if noise else (2.5, 30.0)
        else:
            assert session.state.experiment.beam.fluence_per_m2 == 1e26 / 3
        assert (comparing.measured.factor, comparing.measured.offset) == scale
        assert b"<html" in comparing.report_bytes()
        session.undo()
        assert session.state.experiment is start
        assert (comparing.measured.factor, comparing.measured.offset) == before


ENDS: dict[str, tuple[Callable[[Session, Comparing], Any], str]] = {
    "stop": (lambda session, comparing: comparing.stop({}), "stopped; undo"),
    "undo": (lambda session, comparing: session.undo(), "the experiment was changed meanwhile"),
    "gain": (lambda session, comparing: session.set("readout.gain_adu_per_photon", 5.0), "changed meanwhile"),
    "spread": (lambda session, comparing: session.switch("spread", True), "changed meanwhile"),
    "no image": (lambda session, comparing: comparing.take(None), "the measured image was changed meanwhile"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_refinement_of_two_panels_ends_when_it_is_told_to(end: str) -> None:
    act, said = ENDS[end]
    start = panels().replace("crystal.misset_deg", (10.1, 20.1, 30.1))
    with compared(start) as (session, comparing, heard):
        refining = comparing.refining
        comparing.take(Measured("counts", poisson(panels())))
        moved, told, tell, ended = threading.Event(), threading.Event(), refining._tell, refining._ended

        def telling(message: Any) -> None:
            tell(message)
            if message["rows"]:
                moved.set()

        def ending() -> bool:  # it waits in the middle
            if moved.is_set():
                assert told.wait(60)
            return ended()

        refining._tell, refining._ended = telling, ending
        comparing.refine({"paths": ["crystal.misset_deg"]})
        assert moved.wait(60)
        comparing.comparison({"factor": 1.1, "offset": 0.0})  # which ends nothing
        act(session, comparing)
        told.set()
        refining.join(60)
        last = [one for one in heard if one["kind"] == "refinement"][-1]
        assert said in last["said"] and not last["running"]
        if end in ("gain", "spread"):  # a step of its own
            session.undo()
        if end != "undo":  # one step
            session.undo()
        assert session.state.experiment is start


def test_structure_factors_need_not_be_known() -> None:
    """Spots of unlike intensities, a model with all alike: with a factor for each spot the orientation is found."""
    hkl = np.stack(np.meshgrid(*[np.arange(-20, 21)] * 3, indexing="ij"), -1).reshape(-1, 3)
    sizes = 300.0 * np.random.default_rng(8).uniform(0.5, 1.5, len(hkl))
    real = truth().replace("crystal.structure_factors", nb.StructureFactors.from_arrays(hkl, sizes))
    start = truth().replace("crystal.misset_deg", (10.15, 19.9, 30.1))
    with compared(start) as (session, comparing, _):
        comparing.take(Measured("counts", poisson(real)))
        assert comparing.state()["free"]  # what is offered where all structure factors are alike
        with pytest.raises(nb.ConfigError, match="beside the flux"):
            comparing.refine({"paths": ["beam.fluence_per_m2"], "free": True})
        comparing.refine({"paths": ["crystal.misset_deg", "beam.fluence_per_m2"], "free": True})
        comparing.refining.join(120)
        found = comparing.refining.found
        assert found is not None and len(found.names) == 3 and found.chi2 < 1.3
        assert (np.abs(found.estimate - (10, 20, 30)) < 4 * np.array(list(found.errors.values()))).all()
        assert session.state.experiment.beam.fluence_per_m2 == 1e26


def test_a_real_image_counts_where_it_was_measured(real: Path) -> None:
    """A Pilatus image: gaps and dead pixels are negative, and its header names the largest count."""
    found = read_measured(str(real / "thau_3_2_0010.cbf.bz2"))
    pixels = np.asarray(found.counts)
    assert pixels.shape == (2527, 2463) and found.high == 115897
    (known,) = found.counted([pixels.shape])
    assert np.array_equal(known, (pixels >= 0) & (pixels <= 115897)) and 0.9 < known.mean() < 0.92


def test_a_poor_model_is_told() -> None:
    other = truth().replace("crystal.misset_deg", (40.0, 10.0, 5.0))
    with compared(other) as (_, comparing, heard):
        comparing.take(Measured("counts", poisson(truth(), background=50.0)))
        comparing.refine({"paths": ["crystal.misset_deg", "beam.fluence_per_m2"]})
        comparing.refining.join(120)
        last = [one for one in heard if one["kind"] == "refinement"][-1]
        assert last["level"] == "doubt" and not last["running"]
        assert "anything of this pattern" in last["said"]
