"""The core's pull_back and push_forward: against differences of the scalar kernel, against each other, and their contract."""

from __future__ import annotations

from dataclasses import fields, replace

import grid
import numpy as np
import pytest
from scenes import (
    NAMES,
    VARIANTS,
    corrected_row,
    cotangent_of,
    gradients,
    image,
    push,
    random_tangents,
    scene_of,
    varied,
)

from nanobragg import _core
from nanobragg.config.crystal import Shape
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.scene import FactorMode, Scene
from nanobragg.errors import CoreError

ROWS = grid.rows()
pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
FLAG = _core.CancelFlag()


def test_every_continuous_field_is_one_of_the_scene():
    assert set(NAMES) <= {field.name for field in fields(Scene)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_against_differences(variant, name):
    """Along a random direction. Measured worst: 2.2e-7 (the incident rays of the large square crystal)."""
    scene = scene_of(VARIANTS[variant])
    cotangent = cotangent_of(scene)
    found = gradients(scene, cotangent, [name])[name]
    assert np.array_equal(found, gradients(scene, cotangent)[name])  # the wanted fields do not change each other
    value = np.asarray(getattr(scene, name), dtype=np.float64)
    if name == "n_cells" and (scene.shape == Shape.SQUARE or scene.has_block_matrix):
        assert not found.any()  # cells that are counted, or that a matrix stands for
        return
    if "axis along the beam" in variant and name in ("incident", "polarization_axis"):
        return  # any other ray has an electric field across it: no difference leads there
    along = random_tangents(scene, 1, [name])[name][0].reshape(value.shape)
    ours = float((found * along).sum())
    errors = []
    for step in (1e-5, 1e-6, 1e-7):
        moved = [value + step * along, value - step * along]
        ahead, behind = (cotangent @ image(replace(scene, **{name: m if m.ndim else m[()]})) for m in moved)
        theirs = (ahead - behind) / (2 * step)
        errors.append(abs(ours - theirs) / max(abs(theirs), 1e-3 * np.abs(cotangent * image(scene)).sum()))
    assert min(errors) <= 1e-5, errors


@pytest.mark.parametrize("row", ROWS[::3], ids=range(0, len(ROWS), 3))
def test_forward_and_reverse_agree(row):
    """cotangent . (J tangent) = (cotangent J) . tangent for 18 directions, more than share a sweep. Measured: 2e-14."""
    scene = scene_of(corrected_row(row))
    cotangent, tangents = cotangent_of(scene), random_tangents(scene, 18)
    forward = push(scene, tangents) @ cotangent
    found = gradients(scene, cotangent)
    reverse = sum(tangents[name] @ found[name].reshape(-1) for name in NAMES)
    size = sum(np.abs(tangents[name]) @ np.abs(found[name].reshape(-1)) for name in NAMES)
    assert (np.abs(forward - reverse) <= 1e-12 * size).all()


def test_blocks_add_up():
    scene = scene_of(VARIANTS["square"])
    cotangent, core = cotangent_of(scene), _core.CoreScene(scene)
    whole = gradients(scene, cotangent)
    parts = _core.Gradients(core, NAMES)
    for begin in range(0, core.n_pixels, 7):
        end = min(begin + 7, core.n_pixels)
        parts.pull_back(begin, end, cotangent[begin:end], FLAG)
    for name in NAMES:  # measured: 4e-16
        assert np.linalg.norm(parts.values[name] - whole[name].reshape(-1)) <= 1e-13 * np.linalg.norm(whole[name])


def test_pixels_without_a_cotangent_add_nothing():
    scene = scene_of(VARIANTS["gauss"])
    found = gradients(scene, np.zeros(scene.n_pixels))
    assert not any(values.any() for values in found.values())


def test_a_point_pixel_has_no_slope_by_the_close_distance():
    scene = scene_of(VARIANTS["point pixels"])
    assert not gradients(scene, cotangent_of(scene))["close_distance"].any()


def test_an_index_exactly_on_a_lattice_point():
    """h = k = l = 0 in the direct beam: the largest value, and no slope of the lattice factor."""
    scene = scene_of(varied(sampling__interpolate="nearest"))
    scene = replace(
        scene, pixels=np.array([0]), pix0=np.array([0.1, 0.0, 0.0]), fast=np.zeros(3), slow=np.zeros(3),
        incident=np.array([[1.0, 0.0, 0.0]] * 2), layer_thickness=0.0, interpolation_off=(1, 0),
    )  # fmt: skip
    found = gradients(scene, np.ones(1))
    assert not found["orientations"].any()
    assert all(np.isfinite(values).all() for values in found.values())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_cotangent_that_is_not_finite_reaches_nothing(bad):
    scene = scene_of(VARIANTS["square"])
    found = _core.Gradients(_core.CoreScene(scene), NAMES)
    cotangent = cotangent_of(scene)
    cotangent[7] = bad
    with pytest.raises(CoreError, match="NB_ERR_NOT_FINITE"):
        found.pull_back(0, scene.n_pixels, cotangent, FLAG)
    assert not any(values.any() for values in found.values.values())


def test_cancelled():
    scene = scene_of(VARIANTS["square"])
    core, cancel = _core.CoreScene(scene), _core.CancelFlag()
    cancel.set()
    assert not _core.Gradients(core, NAMES).pull_back(0, core.n_pixels, cotangent_of(scene), cancel)
    moving = _core.Tangents(core, random_tangents(scene, 2))
    assert not moving.push_forward(0, core.n_pixels, np.zeros((2, core.n_pixels)), cancel)


@pytest.mark.parametrize(
    "change",
    [
        {"polar_mode": FactorMode.CACHED}, {"capture_mode": FactorMode.CUMULATIVE},
        {"quirks": frozenset({Quirk.SINCG_ROUNDOFF})}, {"interpolation_off": (3, 0)},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_covered_says_so(change):
    scene = replace(scene_of(VARIANTS["square"]), **change)
    core = _core.CoreScene(scene)
    assert _core.adjoint_obstacle(core)
    with pytest.raises(CoreError, match="NB_ERR_KERNEL"):
        _core.Gradients(core, NAMES).pull_back(0, core.n_pixels, cotangent_of(scene), FLAG)


def test_wrong_arguments():
    scene = scene_of(VARIANTS["square"])
    core = _core.CoreScene(scene)
    moving = _core.Tangents(core, {"fudge": np.ones((2, 1))})
    with pytest.raises(CoreError, match="d_min is not continuous"):
        _core.Gradients(core, ["d_min"])
    with pytest.raises(CoreError, match="cotangent has 3 elements"):
        _core.Gradients(core, NAMES).pull_back(0, 1, np.zeros(3), FLAG)
    with pytest.raises(CoreError, match=r"must have the shape \(2, 3\)"):
        _core.Tangents(core, {"fudge": np.ones((2, 1)), "pix0": np.ones((2, 2))})
    with pytest.raises(CoreError, match="same number of rows"):
        _core.Tangents(core, {"fudge": np.ones((2, 1)), "pix0": np.ones((3, 3))})
    with pytest.raises(CoreError, match="out: must have"):
        moving.push_forward(0, 1, np.zeros((3, core.n_pixels)), FLAG)
    with pytest.raises(CoreError, match="outside"):
        moving.push_forward(0, 99, np.zeros((2, core.n_pixels)), FLAG)
