"""Gradients of a few structure factors of a table, which are those of the whole table there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scenes import VARIANTS, cotangent_of, gradients, scene_of
from test_tables import three_colors
from test_vector import VECTOR, WITH_FMA, wide

from nanobragg import _core
from nanobragg.engines.c import CEngine
from nanobragg.engines.engine import RenderOptions
from nanobragg.errors import CoreError

SOME = ("square", "small square", "gauss", "nearest", "tophat", "curved", "d_min")
pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")


def weighted(scene):
    """The scene with domains of unlike weight."""
    return replace(scene, domain_weight=np.linspace(0.5, 1.5, scene.n_domains))


def few_of(scene, kernel, entries, names):
    """Gradients by name, that of the table at these entries alone."""
    core = _core.CoreScene(scene)
    found = _core.Gradients(core, names, np.ascontiguousarray(entries, dtype=np.int64))
    assert found.pull_back(0, core.n_pixels, cotangent_of(scene), _core.CancelFlag(), kernel)
    return {name: values.copy().ravel() for name, values in found.values.items()}


def close(found, expected):
    """Where rows without a wanted entry take a shorter way, terms are added in another order: measured 1e-15."""
    return np.abs(found - expected.ravel()).max(initial=0.0) <= 1e-13 * np.abs(expected).max(initial=0.0)


CASES = [(variant, None) for variant in SOME] + [
    (v, change) for v in ("square", "nearest") for change in (three_colors, weighted)
]


@pytest.mark.parametrize(("variant", "change"), CASES)
def test_few_entries_get_what_they_get_in_the_whole_table(variant, change):
    names = ["f_table", "default_F", "orientations", "pix0"]
    for scene in (scene_of(VARIANTS[variant]), wide(VARIANTS[variant])):
        scene = scene if change is None else change(scene)
        told = np.flatnonzero(gradients(scene, cotangent_of(scene), ["f_table"], "scalar")["f_table"])
        every = {}
        for kernel in ("scalar", *VECTOR):
            whole = gradients(scene, cotangent_of(scene), names, kernel)
            for entries, wanted in (
                (told[::3], names),
                (told[:1], names[:1]),
                (np.arange(scene.f_table.size), names),
                ([], names),
            ):
                found = few_of(scene, kernel, entries, wanted)
                expected = whole["f_table"].ravel()[np.asarray(entries, dtype=np.int64)]
                assert np.abs(found["f_table"] - expected).max(initial=0) <= 1e-13 * np.abs(whole["f_table"]).max()
                assert all(close(found[name], whole[name]) for name in wanted[1:])
            every[kernel] = few_of(scene, kernel, told[::3], names)
        first = every[WITH_FMA[0]] if WITH_FMA else {}
        assert all(np.array_equal(every[kernel][name], first[name]) for kernel in WITH_FMA for name in names)


def test_threads_change_no_bit():
    scene = wide(VARIANTS["nearest"])
    scene = replace(scene, orientations=np.concatenate([scene.orientations] * 40), steps=scene.steps * 40)
    assert scene.evaluations > 4 << 18  # several chunks
    whole = gradients(scene, cotangent_of(scene), ["f_table"])["f_table"].ravel()
    for entries in (np.flatnonzero(whole), np.arange(whole.size)):  # few, and so many that all are collected
        assert (len(entries) > whole.size / 16) == (len(entries) == whole.size)
        found = [
            CEngine(RenderOptions(n_threads=n)).pull_back(scene, cotangent_of(scene), ["f_table"], entries=entries)
            for n in (1, 2, 7)
        ]
        assert np.abs(found[0]["f_table"] - whole[entries]).max() <= 1e-12 * np.abs(whole).max()
        assert all(np.array_equal(one["f_table"], found[0]["f_table"]) for one in found)


@pytest.mark.parametrize("entries", [[3, 2], [3, 3], [-1, 2], [10**9]])
def test_entries_that_are_refused(entries):
    core = _core.CoreScene(scene_of(VARIANTS["square"]))
    with pytest.raises(CoreError, match="larger than the one before"):
        _core.Gradients(core, ["f_table"], np.array(entries))
