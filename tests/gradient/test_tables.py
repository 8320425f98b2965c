"""Structure factors that depend on the source: several tables one behind the other, in every kernel and its derivatives."""

from __future__ import annotations

from dataclasses import replace

import grid
import numpy as np
import pytest
from scenes import NAMES, VARIANTS, corrected_row, cotangent_of, gradients, image, push, random_tangents, scene_of
from test_against_torch import check as check_against_torch
from test_vector import VECTOR, WITH_FMA, compare, wide

from nanobragg import _core

torch = pytest.importorskip("torch")
from nanobragg.torch_backend.engine import TorchEngine  # noqa: E402

from nanobragg.engines.engine import RenderOptions  # noqa: E402

ROWS = grid.rows()
SOME = ("square", "gauss", "nearest", "curved", "d_min", "tophat")
pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")


def three_colors(scene):
    """The scene with three times its sources, which differ in wavelength and see two tables in turn."""
    n = scene.n_sources
    rows = np.asarray(scene.f_table)
    rng = np.random.default_rng(8)
    other = rows * rng.uniform(0.5, 1.5, rows.shape)
    return replace(
        scene,
        incident=np.tile(scene.incident, (3, 1)),
        wavelength=np.concatenate([scene.wavelength * factor for factor in (0.98, 1.0, 1.03)]),
        weight=np.concatenate([scene.weight * factor for factor in (1.0, 2.0, 0.5)]),
        steps=scene.steps * 3.5,
        f_table=np.concatenate([rows, other]),
        n_tables=2,
        source_table=np.repeat([1, 0, 1], n),
    )


def alone(scene, source):
    """The scene with one of its sources and the table that it sees."""
    one = slice(source, source + 1)
    table = int(scene.source_table[source])
    rows = scene.f_table.shape[0] // scene.n_tables
    return replace(
        scene, incident=scene.incident[one], wavelength=scene.wavelength[one], weight=scene.weight[one],
        f_table=scene.f_table[table * rows : (table + 1) * rows], n_tables=1, source_table=None, background=0.0,
    )  # fmt: skip


def rendered(scene, kernel):
    core = _core.CoreScene(scene)
    out = np.zeros(core.n_pixels)
    core.render(0, core.n_pixels, out, _core.CancelFlag(), kernel)
    return out


@pytest.mark.parametrize("variant", SOME)
def test_the_image_is_the_sum_of_those_of_the_sources(variant):
    scene = replace(three_colors(scene_of(VARIANTS[variant])), background=0.0)
    expected = sum(image(alone(scene, source)) for source in range(scene.n_sources))
    for kernel in ("scalar", *VECTOR):
        # measured: 1e-14
        assert np.abs(rendered(scene, kernel) - expected).max() <= 1e-12 * expected.max(), kernel


@pytest.mark.parametrize("variant", SOME)
def test_tables_that_are_alike_are_one_bit_for_bit(variant):
    scene = three_colors(scene_of(VARIANTS[variant]))
    rows = scene.f_table.shape[0] // 2
    one = replace(scene, f_table=scene.f_table[:rows], n_tables=1, source_table=None)
    alike = replace(scene, f_table=np.concatenate([scene.f_table[:rows]] * 2))
    for kernel in ("scalar", *VECTOR):
        assert np.array_equal(rendered(alike, kernel), rendered(one, kernel)), kernel


@pytest.mark.parametrize("row", ROWS[::6], ids=range(0, len(ROWS), 6))
def test_images_of_core_and_torch(row):
    """Measured worst: 4e-14 of the maximum (torch)."""
    plain = scene_of(corrected_row(row))
    if not plain.f_table.size:
        plain = replace(plain, f_table=np.random.default_rng(3).uniform(10, 60, (7, 6, 5)), hkl_min=(-3, -3, -2))
    scene = three_colors(plain)
    tensors = {
        name: torch.as_tensor(np.array(getattr(scene, name)), dtype=torch.float64)
        for name in (*NAMES, "a_star", "d_min")
    }
    found = TorchEngine(RenderOptions(kernel="eager")).photons(replace(scene, **tensors)).numpy()
    expected = image(scene)
    assert np.abs(found - expected).max() <= 1e-10 * expected.max()
    wide_ones = [rendered(scene, kernel) for kernel in WITH_FMA]
    assert all(np.array_equal(one, wide_ones[0]) for one in wide_ones)
    assert all(np.abs(one - expected).max() <= 1e-10 * expected.max() for one in wide_ones)


@pytest.mark.parametrize("variant", SOME)
def test_gradients_are_those_of_torch(variant):
    check_against_torch(three_colors(scene_of(VARIANTS[variant])))


@pytest.mark.skipif(not VECTOR, reason="this build has no vector kernels")
@pytest.mark.parametrize("variant", SOME)
def test_vector_derivatives_are_those_of_the_scalar_kernel(variant):
    scenes = [three_colors(scene) for scene in (scene_of(VARIANTS[variant]), wide(VARIANTS[variant]))]
    for scene in scenes:
        for kernel in VECTOR:
            compare(scene, kernel)
        every = [gradients(scene, cotangent_of(scene), NAMES, kernel) for kernel in WITH_FMA]
        assert all(np.array_equal(one[name], every[0][name]) for one in every for name in NAMES)
        tangents = random_tangents(scene, 3)
        moved = [push(scene, tangents, kernel) for kernel in WITH_FMA]
        assert all(np.array_equal(one, moved[0]) for one in moved)


def test_the_gradient_of_an_entry_is_the_difference():
    scene = three_colors(scene_of(VARIANTS["square"]))
    cotangent, step = cotangent_of(scene), 1e-3
    found = gradients(scene, cotangent, ["f_table"])["f_table"]
    strongest = np.argsort(-np.abs(found).ravel())[:8]
    for entry in strongest:
        images = []
        for sign in (1, -1):
            table = scene.f_table.copy()
            table.ravel()[entry] += sign * step
            images.append(cotangent @ image(replace(scene, f_table=table)))
        # the image is a quadratic function of F: rounding alone, measured 6e-10
        assert (images[0] - images[1]) / (2 * step) == pytest.approx(found.ravel()[entry], rel=1e-8)


def test_tables_that_do_not_fit_are_refused():
    from nanobragg.errors import CoreError

    scene = three_colors(scene_of(VARIANTS["square"]))
    for change, said in (
        ({"n_tables": 4}, "n_tables"),
        ({"n_tables": 0}, "n_tables"),
        ({"source_table": None}, "source_table"),
        ({"source_table": scene.source_table[:2]}, "source_table"),
        ({"source_table": scene.source_table + 1}, "source_table"),
        ({"source_table": scene.source_table - 1}, "source_table"),
        ({"source_table": scene.source_table * 1.0}, "source_table"),
    ):
        with pytest.raises(CoreError, match=said):
            _core.CoreScene(replace(scene, **change))


def test_triton_takes_one_table():
    from nanobragg.torch_backend.kernels.triton.coverage import obstacle

    scene = scene_of(VARIANTS["nearest"])
    assert obstacle(scene) is None
    assert "one table of structure factors" in obstacle(three_colors(scene))
