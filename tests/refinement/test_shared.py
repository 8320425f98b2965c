"""Several images with one detector: the errors shrink, are honest, and do not depend on who works."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
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


def test_what_cannot_be_shared() -> None:
    image, start = np.ones((SIZE, SIZE)), still(1)
    for change, text in (
        ({"shared": ["crystal.misset_deg"]}, "rotation of each crystal"), ({"shared": ["beam.fluence_per_m2"]}, "in refine too"),
        ({"shared": []}, "list of paths"),
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
