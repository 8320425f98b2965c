"""Pictures of images: panels stand where they are, and every caller sees one shape."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from small import small

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.derivation import panels
from nanobragg.exchange.geometry import of_experiment
from nanobragg.inspection.pictures.assembled import as_panels, assembled, below_each_other
from nanobragg.inspection.pictures.drawing import beam_center

pytest.importorskip("h5py", reason="writes NXmx: pip install '.[io]'")


def whole(rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> nb.Experiment:
    detector = nb.Detector(n_fast=48, n_slow=40, pixel_size_mm=0.5, distance_mm=60.0, rotation_deg=rotation)
    return small().replace(detector=detector)


@pytest.mark.parametrize("cut", [(2, 3), (4, 1)])
def test_a_detector_cut_into_panels_is_put_together_as_it_was(cut: tuple[int, int]) -> None:
    """Upright panels: every pixel of the picture is the pixel of the detector that stands there."""
    experiment = whole()
    image = nb.simulate(experiment)
    several = panels.split(experiment, *cut)
    picture = assembled(list(nb.simulate(several)), of_experiment(several))
    assert picture.values.shape == image.shape
    # split places the corners of its panels with rounding: 9e-15 of the maximum measured
    assert np.abs(picture.values - image).max() < 1e-12 * image.max()
    left, right, bottom, top = picture.extent
    assert right - left == pytest.approx(24.0) and top - bottom == pytest.approx(20.0)


def test_a_tilted_detector_shrinks_as_seen_along_the_beam() -> None:
    several = panels.split(whole((0.0, 60.0, 0.0)), 1, 2)
    left, right, bottom, top = assembled(list(nb.simulate(several)), of_experiment(several)).extent
    assert {round((right - left) / 24, 1), round((top - bottom) / 20, 1)} == {0.5, 1.0}


def test_gaps_are_no_number_and_large_detectors_keep_their_brightest_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    from nanobragg.inspection.pictures import assembled as room

    near, far = (nb.Detector(n_fast=30, n_slow=20, pixel_size_mm=0.1, distance_mm=50.0, beam_center_mm=center)
                 for center in ((1.5, 3.0), (1.5, -1.0)))  # fmt: skip
    experiment = small().replace(detector=(near, far))
    images = [np.zeros((20, 30)), np.zeros((20, 30))]
    images[1][7, 11] = 5.0
    picture = assembled(images, of_experiment(experiment))
    assert picture.values.shape == (60, 30) and np.isnan(picture.values[20:40]).all()
    assert np.nansum(picture.values) == 5.0 and picture.values[47, 11] == 5.0
    monkeypatch.setattr(room, "_LARGEST", 15)
    reduced = room.assembled(images, of_experiment(experiment)).values
    assert reduced.shape[0] == 15 and np.nanmax(reduced) == 5.0


def test_images_of_panels_in_every_form() -> None:
    several = panels.split(whole(), 2, 2)
    image = nb.simulate(several)
    geometry = of_experiment(several)
    for form in (image, list(image), below_each_other(image), image.tolist() and [np.array(one) for one in image]):
        assert all((a == b).all() for a, b in zip(as_panels(form, geometry), image, strict=True))
    with pytest.raises(nb.ConfigError, match="must be that of the detector"):
        as_panels(image[:3], geometry)
    with pytest.raises(nb.ConfigError, match="must be"):
        as_panels(np.zeros(7), geometry)


def test_the_beam_center_is_where_the_placement_has_it() -> None:
    experiment = small().replace(detector=nb.Detector(
        n_fast=48, n_slow=40, pixel_size_mm=0.5, distance_mm=60.0, beam_center_mm=(7.0, 4.0)))  # fmt: skip
    geometry = of_experiment(experiment)
    np.testing.assert_allclose(beam_center(geometry.panels[0], geometry.beam), (14.0, 8.0), atol=1e-9)


def test_show_draws_an_image_with_and_without_an_experiment() -> None:
    pytest.importorskip("matplotlib", reason="draws")
    experiment = whole()
    image = nb.simulate(experiment)
    bare, marked = nb.show(image, title="bare"), nb.show(image, experiment)
    assert bare.axes[0].get_title() == "bare" and len(marked.axes[0].collections) > len(bare.axes[0].collections)
    several = panels.split(experiment, 2, 2)
    figure = nb.show(nb.simulate(several), several)
    assert "[mm]" in figure.axes[0].get_xlabel() and len(figure.axes[0].texts) >= 4  # the names of the panels
    assert figure._repr_png_().startswith(b"\x89PNG")  # for notebooks
    with pytest.raises(nb.ConfigError, match="must be that of the detector"):
        nb.show(image[:5], experiment)


def test_the_reader_and_the_writer_of_nxmx_agree_in_shape(tmp_path: Path) -> None:
    several = panels.split(whole(), 2, 2)
    counts = nb.expose(several, seed=1).counts
    nb.io.write_nxmx(tmp_path / "a.nxs", counts, several)
    read = nb.io.read_image(tmp_path / "a.nxs")
    assert read.shape == counts.shape == (4, 20, 24) and (read == counts).all()
    nb.io.write_nxmx(tmp_path / "b.nxs", read, several)
    assert (nb.io.read_image(tmp_path / "b.nxs") == counts).all()
    assert nb.compare(counts, read).max_difference == 0

    unequal = small().replace(detector=(nb.Detector(n_fast=9, n_slow=8, pixel_size_mm=0.1, distance_mm=50.0),
                                        nb.Detector(n_fast=5, n_slow=4, pixel_size_mm=0.1, distance_mm=50.0)))  # fmt: skip
    images = [np.arange(72).reshape(8, 9), np.arange(20).reshape(4, 5)]
    nb.io.write_nxmx(tmp_path / "c.nxs", images, unequal)
    for image in (nb.io.read_image(tmp_path / "c.nxs"), images):
        assert isinstance(image, list) and all((a == b).all() for a, b in zip(image, images, strict=True))
    one = whole()
    nb.io.write_nxmx(tmp_path / "d.nxs", nb.simulate(one), one)
    assert nb.io.read_image(tmp_path / "d.nxs").shape == (40, 48)


def test_view_and_the_page_of_compare_put_panels_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="draws")
    several = panels.split(whole(), 2, 2)
    image = nb.simulate(several)
    for name, scale in (("a.nxs", 1.0), ("b.nxs", 1.01)):
        nb.io.write_nxmx(tmp_path / name, scale * image, several)
    a, b = (str(tmp_path / name) for name in ("a.nxs", "b.nxs"))
    assert main(["view", a]) == 0 and (tmp_path / "a.png").stat().st_size > 5000
    assert main(["compare", a, b, "--out", str(tmp_path / "out"), "--png"]) == 1
    capsys.readouterr()
    assert nb.io.read_png(tmp_path / "out" / "a.png").shape == (40, 48)  # as the whole detector
    assert len(re.findall("<img", (tmp_path / "out" / "report.html").read_text())) == 4


def test_a_problem_of_every_panel_is_told_once() -> None:
    experiment = panels.split(whole(), 4, 2).replace("beam.divergence", nb.Divergence(h_mrad=0.0, n_h=3))
    experiment = experiment.replace("crystal.structure_factors", nb.StructureFactors.from_arrays([[0, 0, 1]], [1.0]))
    with pytest.warns(nb.NanoBraggWarning) as told:
        nb.simulate(experiment)
    texts = [str(warning.message) for warning in told]
    assert texts and len(texts) == len(set(texts)) and len(texts) < 4
