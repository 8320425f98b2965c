"""Several crystals in the beam: their images add up, the background counts once, and everything knows their paths."""

from __future__ import annotations

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.inspection.pictures.drawing import drawn
from nanobragg.inspection.tracing.scaling import scaling_chain
from nanobragg.io.spots.refl import read_refl

pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")


def crystal(misset, **more):
    return nb.Crystal(
        unit_cell=nb.UnitCell(60, 70, 80, 90, 90, 90), misset_deg=misset, n_cells=(5, 5, 5), shape="gauss",
        structure_factors=nb.StructureFactors.constant(100.0), **more,
    )  # fmt: skip


FIRST = crystal((1, 2, 3), damage=nb.Damage(frame_dose_mgy=1.0, decay_per_mgy=0.2))
SECOND = crystal((40, 50, 60), n_blocks=3.0, sizes=nb.BlockSizes(width=0.2), mosaic=nb.Mosaic(spread_deg=0.2))
PANEL = nb.Detector(n_fast=20, n_slow=15, pixel_size_mm=4)


def experiment(crystals=(FIRST, SECOND), detector=PANEL, **more):
    background = nb.Background(water_um=0.3, components=nb.Amorphous(thickness_mm=0.1))
    return nb.Experiment(
        crystal=crystals, detector=detector, background=background, sampling=nb.Sampling(oversample=1), **more
    )


@pytest.mark.parametrize("backend", ["c", "torch"])
def test_images_add_up_and_the_background_counts_once(backend):
    first, second = (nb.simulate(experiment(one), backend=backend, parts=True) for one in (FIRST, SECOND))
    image = np.asarray(nb.simulate(experiment(), backend=backend))
    wanted = np.asarray(first["bragg"] + second["bragg"] + first["background"])
    assert np.abs(image - wanted).max() <= 1e-13 * wanted.max()
    parts = nb.simulate(experiment(), backend=backend, parts=True)
    assert list(parts) == ["bragg[0]", "bragg[1]", "background"]
    assert np.abs(np.asarray(parts["bragg[1]"] - second["bragg"])).max() <= 1e-13 * wanted.max()
    assert np.abs(np.asarray(sum(parts.values())) - image).max() <= 1e-13 * wanted.max()


def test_one_crystal_in_a_tuple_is_that_crystal_bit_for_bit():
    assert np.array_equal(nb.simulate(experiment((FIRST,))), nb.simulate(experiment(FIRST)))


@pytest.mark.parametrize("backend", ["c", "torch"])
def test_every_feature_at_its_neutral_value_changes_no_bit(backend):
    def image(**more):
        return np.asarray(nb.simulate(experiment(crystal((1, 2, 3), **more)), backend=backend))

    neutral = {
        "mosaic": nb.Mosaic(model="gaussian", spread_deg=(0.0, 0.0, 0.0), strain=0.0), "n_blocks": 1.0,
        "sizes": nb.BlockSizes(distribution="gamma", width=0.0),
        "displacement": nb.Displacement(b_angstrom2=0.0, u_angstrom2=None),
        "damage": nb.Damage(b_per_mgy=1.0, decay_per_mgy=1.0, dose_1_mgy=14.4, exponent=1.7),
    }  # fmt: skip
    plain = image()
    assert np.array_equal(image(**neutral), plain)
    for name, value in neutral.items():
        assert np.array_equal(image(**{name: value}), plain), name
    zero = nb.Displacement(u_angstrom2=np.zeros((3, 3)))
    assert np.array_equal(image(displacement=zero), plain)
    every = {"model": "given", "rotations": np.tile(np.eye(3), (4, 1, 1)), "weights": [2.0] * 4}
    assert np.array_equal(image(mosaic=nb.Mosaic(**every)), image(mosaic=nb.Mosaic(n_domains=4)))


def test_panels_and_lattices():
    other = nb.Detector(n_fast=20, n_slow=15, pixel_size_mm=4, rotation_deg=(0, 20, 0))
    images = nb.simulate(experiment(detector=(PANEL, other)))
    assert images.shape == (2, 15, 20)
    assert np.array_equal(images[0], nb.simulate(experiment()))
    assert np.array_equal(images[1], nb.simulate(experiment(detector=other)))
    out = np.empty((2, 15, 20))
    assert nb.simulate(experiment(detector=(PANEL, other)), out=out) is out and np.array_equal(out, images)


def test_paths_name_the_crystal():
    both = experiment()
    assert both.get("crystal[1].misset_deg") == (40.0, 50.0, 60.0)
    moved = both.replace("crystal[1].misset_deg[0]", 7)
    assert moved.crystal[1].misset_deg == (7.0, 50.0, 60.0) and moved.crystal[0] is FIRST
    with pytest.raises(nb.ConfigError, match=r"'2 parts': says not which of them; write crystal\[0\].misset_deg\[2\]"):
        both.replace("crystal.misset_deg[2]", 7)
    render = nb.prepare(both)
    assert np.array_equal(render(), nb.simulate(both))
    assert np.array_equal(render({"crystal[1].n_blocks": 6.0}), nb.simulate(both.replace("crystal[1].n_blocks", 6.0)))


def test_a_series_has_the_dose_of_every_crystal():
    series = experiment().replace("goniometer", nb.Goniometer(osc_deg=0.5))
    images = list(nb.simulate_scan(series, 2))
    later = series.replace("goniometer.phi_start_deg", 0.5).replace("crystal[0].damage.dose_mgy", 1.0)
    assert np.array_equal(images[1], nb.simulate(later))


def test_files_keep_all_of_them(tmp_path):
    both = experiment()
    assert nb.Experiment.from_json(both.to_json()).equals(both)
    both.to_json(tmp_path / "both.json")
    assert nb.Experiment.from_json_file(tmp_path / "both.json").equals(both)
    both.to_toml(tmp_path / "both.toml")
    assert nb.Experiment.from_toml(tmp_path / "both.toml").equals(both)


def test_explain_tells_them_apart():
    told = nb.explain(experiment())
    assert {d.path for d in told.decisions} >= {"crystal[1].mosaic.n_domains", "crystal[0].mosaic.n_domains"}
    assert told.evaluations == 300 * (1 + 5 * 10) and any(text.startswith("crystal[1]:") for text in told.sampling)


@pytest.mark.parametrize("backend", ["c", "torch"])
def test_the_trace_has_a_part_for_every_crystal_and_size(backend):
    """The image is the sum of the same parts in the same order, so that the scalar kernel agrees to the last bit."""
    kernel = {"kernel": "scalar"} if backend == "c" else {}
    image = np.asarray(nb.simulate(experiment(), backend=backend, **kernel))
    traced = nb.trace(experiment(), (7, 9), backend=backend)
    assert [part.name for part in traced.parts] == ["crystal[0]"] + [f"crystal[1], size {k}" for k in range(5)]
    assert traced.value == pytest.approx(image[7, 9], rel=1e-13) and (backend == "torch" or traced.value == image[7, 9])
    assert sum(traced.last("components_photons")) > 0 and traced.parts[1].last("background") == 0
    assert len(traced.last("parts_photons")) == 6 and "crystal[1], size 4: pixel" in str(traced)
    again = nb.Trace.from_json(traced.to_json())
    assert again.value == traced.value and [part.name for part in again.parts] == [part.name for part in traced.parts]
    assert nb.compare_traces(traced, again) and nb.compare_traces(traced, nb.trace(experiment(), (7, 9)))
    with pytest.raises(nb.ConfigError, match=r"trace\.parts\[0\]"):
        scaling_chain(traced)


def test_the_part_in_which_traces_differ_is_named():
    both = experiment()
    traced = nb.trace(both, (7, 9))
    found = nb.compare_traces(traced, nb.trace(both.replace("crystal[1].fudge", 1.1), (7, 9)))
    assert found.first.name == "crystal[1], size 0: fudge"
    one = nb.trace(both.replace(crystal=(FIRST,)), (7, 9))
    assert not one.parts and not nb.compare_traces(traced, one)


def test_predictions_of_each():
    bare = experiment().replace("background", nb.Background())
    found = nb.predict(bare, d_min=4)
    for i, one in enumerate((FIRST, SECOND)):
        alone, own = nb.predict(bare.replace(crystal=one), d_min=4), found[found["crystal"] == i]
        assert len(own) == len(alone) > 0
        for name in ("hkl", "fast", "photons", "bbox"):
            assert np.array_equal(own[name], alone[name])
    rendered = nb.predict(bare, d_min=4, photons="rendering")
    alone = nb.predict(bare.replace(crystal=SECOND), d_min=4, photons="rendering")
    own = rendered[rendered["crystal"] == 1]
    assert np.abs(own["photons"] - alone["photons"]).max() <= 1e-12 * alone["photons"].max()


def test_predictions_and_geometry_in_files(tmp_path):
    both = experiment()
    spots = nb.predict(both, d_min=4)
    spots.write(tmp_path / "spots.refl")
    assert np.array_equal(np.asarray(read_refl(tmp_path / "spots.refl")["id"]), spots["crystal"])
    spots.write(tmp_path / "spots.stream")
    both.to_crystfel(tmp_path / "a.geom", tmp_path / "a.stream")
    both.to_dials(tmp_path / "a.expt")
    listed = (tmp_path / "spots.stream").read_text()
    assert listed.count("Begin crystal") == listed.count("End of reflections") == 2
    for i, one in enumerate((FIRST, SECOND)):
        single = both.replace(crystal=one)
        wanted = nb.simulate(single)
        for found in (
            nb.Experiment.from_dials(tmp_path / "a.expt", single, index=i),
            nb.Experiment.from_crystfel(tmp_path / "a.geom", tmp_path / "a.stream", single, index=i),
            nb.Experiment.from_crystfel(tmp_path / "a.geom", tmp_path / "spots.stream", single, index=i),
        ):
            assert np.abs(nb.simulate(found) - wanted).max() <= 1e-6 * wanted.max()
    nb.io.write_nxmx(tmp_path / "a.nxs", nb.simulate(both), both)
    with pytest.warns(nb.NanoBraggWarning, match="first of 2 crystals"):
        nb.io.write_nxmx(tmp_path / "a.nxs", nb.simulate(both), both)
    assert nb.show(nb.simulate(both), both) is not None and "<svg" in both._repr_html_()


def test_module_refines_each():
    torch = pytest.importorskip("torch")
    module = nb.ExperimentModule(experiment(), refine=["crystal[1].misset_deg", "crystal[0].n_cells"])
    image = module()
    wanted = nb.simulate(experiment())
    assert np.abs(image.detach().numpy() - wanted).max() <= 1e-12 * wanted.max()
    image.sum().backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in module.parameters())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda e: nb.simulate(e.with_fidelity("reference")), "crystal.*corrected"),
        (lambda e: e.to_xds_inp("never.inp"), r"crystal.*2 crystals.*XDS.*crystal\[0\]"),
        (lambda e: e.to_xparm("never"), r"crystal.*2 crystals.*XDS.*crystal\[0\]"),
        (lambda e: e.to_mosflm("never.mat"), r"crystal.*2 crystals.*MOSFLM.*crystal\[0\]"),
        (lambda e: nb.prepare(e)({"crystal.n_blocks": 2.0}), r"crystal\.n_blocks.*which"),
        (lambda e: nb.prepare(e)({"crystal[2].n_blocks": 2.0}), r"crystal\[2\].*index below 2"),
        (lambda e: e.replace("crystal[5].fudge", 2.0), r"crystal\[5\].*index below 2"),
        (lambda e: e.replace("crystal.fudge", 2.0), "crystal"),
    ],
)
def test_what_takes_one_crystal_says_so(call, words):
    with pytest.raises(nb.ConfigError, match=words):
        call(experiment())


def test_the_picture_marks_each_crystal_in_its_color(tmp_path, monkeypatch, capsys):
    """`nanoBragg view --predicted` with an experiment file of two crystals."""
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    both = experiment()
    both.to_toml("both.toml")
    nb.io.write_smv("image.img", nb.add_noise(nb.simulate(both), seed=1), both)
    drawn_by = []
    monkeypatch.setattr(
        "nanobragg.cli.words.view.drawn", lambda *a, **k: drawn_by.append((k, drawn(*a, **k))) or drawn_by[-1][1]
    )
    assert main(["view", "image.img", "--predicted", "both.toml", "--d-min", "4", "-o", "picture.png"]) == 0
    (options, figure), spots = drawn_by[0], nb.predict(both, d_min=4)
    assert np.array_equal(options["spots"][0], spots["crystal"])
    marks = [line for line in figure.axes[0].lines if line.get_marker() == "s"]
    assert [len(line.get_xdata()) for line in marks] == [int((spots["crystal"] == i).sum()) for i in (0, 1)]
    assert marks[0].get_color() != marks[1].get_color()
    assert main(["predict", "both.toml", "--d-min", "4"]) == 0
    assert "crystal  panel" in capsys.readouterr().out
