"""Several crystals in the beam: their images add up, the background counts once, and everything knows their paths."""

from __future__ import annotations

import numpy as np
import pytest

import nanobragg as nb

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
        (lambda e: nb.trace(e, (3, 3)), r"crystal.*crystal\[0\]"),
        (lambda e: e.to_dials("never.expt"), r"crystal.*crystal\[0\]"),
        (lambda e: nb.predict(e), r"crystal.*crystal\[0\]"),
        (lambda e: nb.prepare(e)({"crystal.n_blocks": 2.0}), r"crystal\.n_blocks.*which"),
        (lambda e: nb.prepare(e)({"crystal[2].n_blocks": 2.0}), r"crystal\[2\].*index below 2"),
        (lambda e: e.replace("crystal[5].fudge", 2.0), r"crystal\[5\].*index below 2"),
        (lambda e: e.replace("crystal.fudge", 2.0), "crystal"),
    ],
)
def test_what_takes_one_crystal_says_so(call, words):
    with pytest.raises(nb.ConfigError, match=words):
        call(experiment())
