"""Several images with one detector: the errors shrink, are honest, and do not depend on who works."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.refinement import shared

SIZE = 450
OWN = ["crystal.misset_deg", "beam.fluence_per_m2"]
SHARED = ["detector.distance_mm", "detector.beam_center_mm"]


def still(seed: int) -> nb.Experiment:
    """A crystal of a known cell in an orientation of its own."""
    axes = [np.arange(-n, n + 1) for n in (40, 40, 27)]
    amplitude = 300 * np.sqrt(np.random.default_rng(1).exponential(size=[len(axis) for axis in axes]))
    table = nb.StructureFactors(amplitude=amplitude, hkl_min=(-40, -40, -27))
    misset = tuple(np.random.default_rng(seed).uniform((-170, -70, -170), (170, 70, 170)))
    crystal = nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(8, 8, 12), shape="gauss", misset_deg=misset,
                         structure_factors=table)  # fmt: skip
    return nb.Experiment(
        crystal=crystal, beam=nb.Beam(wavelength_angstrom=1.0, fluence_per_m2=2e25), sampling=nb.Sampling(oversample=1),
        detector=nb.Detector(n_fast=SIZE, n_slow=SIZE, pixel_size_mm=0.1, distance_mm=70.0, beam_center_mm=(22.5, 22.5)),
    )  # fmt: skip


def displaced(experiment: nb.Experiment) -> nb.Experiment:
    x, y, z = experiment.crystal.misset_deg
    moved = experiment.replace("crystal.misset_deg", (x + 0.1, y - 0.1, z + 0.1)).replace("detector.distance_mm", 70.4)
    return moved.replace("detector.beam_center_mm", (22.62, 22.4))


def test_a_shared_detector() -> None:
    """Four images: errors fall with the root of their number, the truth is within four of them, and two workers find the same."""
    truths = [still(seed) for seed in range(4)]
    counts = [np.random.default_rng(i).poisson(nb.simulate(t) + 1.0) for i, t in enumerate(truths)]
    starts = [displaced(t) for t in truths]
    options: dict[str, Any] = {"refine": OWN, "shared": SHARED, "max_boxes": 40, "n_threads": 1}
    found = nb.refine_shared(counts, starts, **options)
    assert found.names == ("detector.distance_mm", "detector.beam_center_mm[0]", "detector.beam_center_mm[1]")
    errors = np.sqrt(np.diag(found.covariance))
    assert (np.abs(found.estimate - [70, 22.5, 22.5]) < 4 * errors).all(), str(found)
    alone = np.median([[image.errors[name] for name in found.names] for image in found.images], axis=0)
    assert (alone / errors > 0.75 * np.sqrt(4)).all(), alone / errors
    assert 0.9 < found.chi2 < 1.1 and found.converged
    assert {e.detector.distance_mm for e in found.experiments} == {found.values["detector.distance_mm"]}
    with ThreadPoolExecutor(2) as pool:
        again = nb.refine_shared(counts, starts, executor=pool, **options)
    assert (again.estimate == found.estimate).all() and (again.covariance == found.covariance).all()


def test_errors_are_those_of_the_photons() -> None:
    """Without noise the truth comes out; of eight draws of the counts the deviations are as large as the errors say.

    Measured: 0.90 for the mean square of 24 deviations, whose standard deviation is 0.29.
    """
    truths = [still(seed) for seed in range(3)]
    expected = [nb.simulate(t) + 1.0 for t in truths]
    starts = [displaced(t) for t in truths]
    options: dict[str, Any] = {"refine": OWN, "shared": SHARED, "max_boxes": 25, "n_threads": 1}
    exact = np.array([70, 22.5, 22.5])
    found = nb.refine_shared(expected, starts, **options)
    assert (np.abs(found.estimate - exact) < 1e-6 * np.sqrt(np.diag(found.covariance))).all()  # 1e-11 measured
    draw = np.random.default_rng(1)
    squares = []
    for _ in range(8):
        found = nb.refine_shared([draw.poisson(e) for e in expected], starts, **options)
        off = found.estimate - exact
        squares.append(off @ np.linalg.solve(found.covariance, off) / 3)
    assert 0.5 < np.mean(squares) < 1.5, squares


def test_few_domains_are_in_the_errors() -> None:
    """Stills of a wide mosaicity without noise, nine draws of 100 domains against 4000: what comes out is off by what
    `sampling_covariance` says. Draws that are moved apart are alike, so that their scatter alone says too little.
    """
    names = ["crystal.misset_deg", "crystal.n_cells", "beam.fluence_per_m2", "crystal.mosaic.spread_deg"]
    squares = []
    for seed in (1, 2, 3):
        mosaic = nb.Mosaic(model="gaussian", spread_deg=0.3, n_domains=4000, seed=99)
        truth = still(seed).replace("crystal.mosaic", mosaic).replace("beam.fluence_per_m2", 1e27)
        spots = nb.predict(truth.replace("crystal.mosaic.n_domains", 24), min_partiality=1e-3)
        brightest = spots[np.argsort(-spots["photons"])[:60]]
        image = nb.simulate(truth.replace("detector.mask", nb.shoeboxes(brightest, truth, margin=5) > 0)) + 1.0
        start = truth.replace("crystal.mosaic", nb.Mosaic(model="gaussian", spread_deg=0.3, n_domains=100, seed=5))
        found = nb.refine(image, start, refine=names, max_boxes=30, max_domains=100, positions=False, n_threads=1)
        exact = np.array([*truth.crystal.misset_deg, 8, 8, 12, 1e27, 0.3])
        squares.append((found.estimate - exact) ** 2 / np.diag(found.sampling_covariance))
    assert np.mean(squares) < 3, squares  # 1.8 measured; 6.2 by the scatter alone


def test_images_have_domains_of_their_own() -> None:
    """Six times one image without noise, all from one start: the models take unlike domains, the scatter averages out, what all
    draws have in common does not, and the errors say so.
    """
    mosaic = nb.Mosaic(model="gaussian", spread_deg=0.15, n_domains=1500, seed=99)
    truth = still(1).replace("crystal.mosaic", mosaic).replace("beam.fluence_per_m2", 2e27)
    spots = nb.predict(truth.replace("crystal.mosaic.n_domains", 24), min_partiality=1e-3)
    image = nb.simulate(truth.replace("detector.mask", nb.shoeboxes(spots, truth, margin=5) > 0)) + 1.0
    start = truth.replace("crystal.mosaic", nb.Mosaic(model="gaussian", spread_deg=0.15, n_domains=24, seed=5))
    found = nb.refine_shared([image] * 6, start, refine=OWN, shared=SHARED, max_boxes=20, max_domains=24, positions=False,
                             n_threads=1)  # fmt: skip
    places = [found.images[0].names.index(name) for name in found.names]
    alone = np.array([one.estimate[places] for one in found.images])
    stated = np.array([np.diag(one.sampling_covariance)[places] for one in found.images])
    exact, together = np.array([70, 22.5, 22.5]), np.diag(found.sampling_covariance)
    assert (alone.var(0, ddof=1) > 0.02 * stated.mean(0)).all()  # 0.04, 0.26, 0.32 measured
    assert 0.2 < np.mean((alone - exact) ** 2 / stated) < 2  # 0.46 measured
    assert 0.2 < np.mean((found.estimate - exact) ** 2 / together) < 2  # 0.54 measured
    assert (together < stated.mean(0)).all()  # 0.83, 0.25, 0.22 measured
    assert {e.crystal.mosaic for e in found.experiments} == {start.crystal.mosaic}


def test_priors_and_bounds() -> None:
    """A prior on a shared number counts once, however many images there are, and a bound holds it."""
    truths = [still(seed) for seed in range(3)]
    counts = [np.random.default_rng(i).poisson(nb.simulate(t) + 1.0) for i, t in enumerate(truths)]
    starts = [displaced(t) for t in truths]
    name = SHARED[0]
    options: dict[str, Any] = {"refine": OWN, "shared": SHARED, "max_boxes": 30, "n_threads": 1}
    free = nb.refine_shared(counts, starts, **options)
    value, error = free.values[name], free.errors[name]
    held = nb.refine_shared(counts, starts, priors={name: (value + 2 * error, error)}, **options)
    assert held.values[name] == pytest.approx(value + error, abs=0.05 * error)  # 0.01 measured
    assert held.errors[name] == pytest.approx(error / np.sqrt(2), rel=0.01)
    with pytest.warns(nb.NanoBraggWarning, match=r"cannot tell detector.distance_mm"):
        bounded = nb.refine_shared(counts, starts, bounds={name: (value + 3 * error, 71.0)}, **options)
    assert 0 <= bounded.values[name] - value - 3 * error < 0.1 * error
    wide = nb.refine_shared(counts, starts, bounds={name: (69.0, 71.0)}, **options)
    assert wide.values[name] == pytest.approx(value, abs=1e-4 * error)
    assert wide.errors[name] == pytest.approx(error, rel=1e-4)
    own = nb.refine_shared(counts, starts, priors={"beam.fluence_per_m2": (2e25, 1e22)}, **options)
    fluences = [float(e.beam.fluence_per_m2) for e in own.experiments]
    assert np.allclose(fluences, 2e25, atol=5e21), fluences


def test_poisson_likelihood() -> None:
    """The deviance and the squares with the variance of the model have their minimum at one place; an image with hardly a
    photon in a pixel gives the truth by the deviance too."""
    truths = [still(seed) for seed in range(3)]
    options: dict[str, Any] = {"refine": OWN, "shared": SHARED, "max_boxes": 30, "n_threads": 1}
    for background, fluence in ((1.0, 2e25), (0.1, 4e24)):
        exact = [t.replace("beam.fluence_per_m2", fluence) for t in truths]
        counts = [np.random.default_rng(i).poisson(nb.simulate(t) + background) for i, t in enumerate(exact)]
        starts = [displaced(t) for t in exact]
        deviance = nb.refine_shared(counts, starts, likelihood="poisson", **options)
        errors = np.sqrt(np.diag(deviance.covariance))
        assert deviance.converged and (np.abs(deviance.estimate - [70, 22.5, 22.5]) < 3.5 * errors).all(), str(deviance)
        if background == 1.0:
            squares = nb.refine_shared(counts, starts, **options)
            assert np.abs((deviance.estimate - squares.estimate) / errors).max() < 0.05  # 0.003 measured


def test_a_robust_loss_in_the_common_steps() -> None:
    """15 photons too many in every fiftieth pixel move what the images share by less than half an error: 0.25 measured, 0.8 with
    squares."""
    truths = [still(seed) for seed in range(3)]
    starts = [displaced(t) for t in truths]
    draw = np.random.default_rng(8)
    counts = [draw.poisson(nb.simulate(t) + 1.0) for t in truths]
    hot = [c + 15 * (draw.random(c.shape) < 0.02) for c in counts]
    options: dict[str, Any] = {"refine": OWN, "shared": SHARED, "max_boxes": 30, "n_threads": 1, "loss": "cauchy"}
    clean = nb.refine_shared(counts, starts, **options)
    errors = np.sqrt(np.diag(clean.covariance))
    with pytest.warns(nb.NanoBraggWarning, match="chi-squared is 3"):
        found = nb.refine_shared(hot, starts, **options)
    assert found.converged and (np.abs(found.estimate - clean.estimate) < 0.5 * errors).all()


def test_two_crystals_an_image() -> None:
    """Orientations of both crystals in every image, sizes of the second one, and one detector."""

    def pair(seed: int) -> nb.Experiment:
        first, second = still(seed), still(seed + 50)
        return first.replace(crystal=(first.crystal, replace(second.crystal, n_cells=(9, 9, 9))))

    exact = [pair(seed) for seed in range(3)]
    counts = [np.random.default_rng(i).poisson(nb.simulate(e) + 1.0) for i, e in enumerate(exact)]
    starts = []
    for one in exact:
        turned = tuple(replace(c, misset_deg=tuple(np.add(c.misset_deg, (0.1, -0.1, 0.1)))) for c in one.crystal)
        moved = one.replace(crystal=turned).replace("detector.distance_mm", 70.3)
        starts.append(moved.replace("detector.beam_center_mm", (22.6, 22.42)))
    paths = ["crystal[0].misset_deg", "crystal[1].misset_deg", "crystal[1].n_cells", "beam.fluence_per_m2"]
    found = nb.refine_shared(counts, starts, refine=paths, shared=SHARED, max_boxes=60, n_threads=1)
    errors = np.sqrt(np.diag(found.covariance))
    assert (np.abs(found.estimate - [70, 22.5, 22.5]) < 4 * errors).all() and 0.9 < found.chi2 < 1.1, str(found)
    for after, true in zip(found.experiments, exact, strict=True):
        for crystal, other in zip(after.crystal, true.crystal, strict=True):
            assert np.abs(np.subtract(crystal.misset_deg, other.misset_deg)).max() < 0.06  # errors of 0.01
        assert np.allclose(after.crystal[1].n_cells, 9, rtol=0.12)
    with pytest.raises(ConfigError, match="which of 2 crystals"):
        nb.refine_shared(counts, starts, refine=["crystal.n_cells"], shared=SHARED)
    with pytest.raises(ConfigError, match="rotation of each crystal"):
        nb.refine_shared(counts, starts, refine=paths[2:], shared=["crystal[0].misset_deg"])


def test_what_cannot_be_shared() -> None:
    image, start = np.ones((SIZE, SIZE)), still(1)
    for change, text in (
        ({"shared": ["crystal.misset_deg"]}, "rotation of each crystal"), ({"shared": ["beam.fluence_per_m2"]}, "in refine too"),
        ({"shared": []}, "list of paths"), ({"shared": ["crystal.structure_factors"]}, "refine_amplitudes"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=text):
            nb.refine_shared([image], start, **{"refine": OWN, "shared": SHARED, **change})
    with pytest.raises(ConfigError, match="not the same"):
        nb.refine_shared([image] * 2, [start, displaced(start)], refine=OWN, shared=SHARED)
    with pytest.raises(ConfigError, match="as many as"):
        nb.refine_shared([image] * 2, [start], refine=OWN, shared=SHARED)
    with pytest.raises(ConfigError, match="twice"):
        nb.refine_shared(["a.img", "a.img"], start, refine=OWN, shared=SHARED)


def test_what_is_finished_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off after two of three images and called again: one is refined, and the numbers are those of a run that went through.

    A damaged file, and one that would run code, are refused by name.
    """
    truths = [still(seed) for seed in range(3)]
    counts = [np.random.default_rng(i).poisson(nb.simulate(t) + 1.0) for i, t in enumerate(truths)]
    starts = [displaced(t) for t in truths]
    options: dict[str, Any] = {"refine": OWN, "shared": SHARED, "max_boxes": 25, "n_threads": 1}

    def cut_off(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nb.refine_shared(counts, starts, checkpoint=tmp_path / "kept", progress=cut_off, **options)
    assert len(list((tmp_path / "kept").iterdir())) == 2
    begun = []
    whole = shared.prepared
    monkeypatch.setattr(shared, "prepared", lambda *args: begun.append(1) or whole(*args))
    again = nb.refine_shared(counts, starts, checkpoint=tmp_path / "kept", **options)
    assert len(begun) == 1
    through = nb.refine_shared(counts, starts, **options)
    assert (again.estimate == through.estimate).all() and (again.covariance == through.covariance).all()
    assert [image.message for image in again.images] == [image.message for image in through.images]

    file = next((tmp_path / "kept").iterdir())
    for content in (file.read_bytes()[:-30], pickle.dumps(Path("/"))):
        file.write_bytes(content)
        with pytest.raises(FileFormatError, match="no result of a refinement"):
            nb.refine_shared(counts, starts, checkpoint=tmp_path / "kept", **options)
