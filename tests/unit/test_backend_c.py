"""The C engine on scenes built by hand: the worked example, invariances, refusals, threads, progress and Ctrl-C."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from handmade_scene import busy, corrected, table, without, worked_example

from nanobragg import _core
from nanobragg.backends import KERNELS
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.scene import FactorMode, Shape
from nanobragg.engines import c as backend_c
from nanobragg.engines.engine import CANCELLED, RenderOptions
from nanobragg.engines.threads import at_work
from nanobragg.errors import BackendUnavailableError, ConfigError, CoreError

WORKED_EXAMPLE_BITS = """
410aefd9 3b013fe7 422c8dd6 3f0f2048 43dd4331 3fc9ee7c 41721a39 3e5fef8a 419317fd 42a303d5
3e3602da 3f39e8b3 4292b705 418565b5 40d7927b 3912b7bb 41d782c7 41e5ddd4 437912ce 41fa94ce
""".split()
BASES = pytest.mark.parametrize("base", [worked_example, corrected], ids=["reference", "corrected"])


def bits(image):
    return [f"{word:08x}" for word in image.astype(np.float32).reshape(-1).view(np.uint32)]


# --- the sum ---------------------------------------------------------------------------------------------------------


def test_worked_example_to_the_bit():
    assert bits(backend_c.render(worked_example(), kernel="scalar")) == WORKED_EXAMPLE_BITS


def test_trace_of_the_worked_example():
    """Every number of docs/model.md, Worked example for pixel f = 1, s = 2, to the last digit printed there."""
    records, value = _core.CoreScene(worked_example()).trace(2 * 5 + 1)
    found = {name: got for name, _, got in records}
    assert found["position_m"] == (0.05, 0.001, -0.004)
    assert found["airpath_m"] == 0.050169711978443735
    assert found["solid_angle_sr"] == 0.0015838176278444034
    assert found["scattering_vector_per_m"] == (-28189647.32424119, 166102873.72018182, -664411494.8807273)
    assert found["stol_per_m"] == 342719803.7041376
    assert found["polarization"] == 0.9942391736193882
    assert found["hkl"] == (1.2573428110023226, -0.29280216457135855, -3.735199609543739)
    assert found["hkl_nearest"] == (1, 0, -4)
    assert found["F_latt"] == 0.3463701823618641
    assert found["F_cell"] == 62
    assert found["running_sum"] == found["sum"] == 461.17353361377906
    assert found["pixel"] == value == backend_c.render(worked_example(), kernel="scalar")[2, 1]


@BASES
def test_trace_is_the_rendered_pixel(base):
    scene = busy(base, tricubic=True)
    values = backend_c.render(scene, kernel="scalar").reshape(-1)[scene.pixels]
    core = _core.CoreScene(scene)
    for position in (0, 17, scene.n_pixels - 1):
        records, value = core.trace(position)
        assert value == values[position]
        terms = [got for name, _, got in records if name == "term"]
        assert len(terms) == scene.evaluations_per_pixel
        assert {len(index) for _, index, _ in records} == {6}
        assert [name for name, _, _ in records if name not in _core.quantity_names] == []


def test_factors_inside_equal_factors_outside_for_a_single_term():
    """One term per pixel: the factors commute with the sum, up to 5 roundings of 1.1e-16 each."""
    cached, inside = backend_c.render(worked_example(quirks=frozenset())), backend_c.render(corrected())
    assert np.allclose(inside, cached, rtol=1e-15, atol=0)


def test_corrected_sum_is_linear_in_the_weights():
    """sum(w I)/sum(w): a scene of three sources is the weighted mean of its sources alone; measured 6e-16 of the maximum."""
    scene = busy(corrected, background=0.0)
    parts = []
    for i, weight in enumerate(scene.weight):
        one = {name: getattr(scene, name)[i : i + 1] for name in ("incident", "wavelength")}
        parts.append(weight * backend_c.render(replace(scene, **one, weight=np.ones(1), steps=48.0)))
    whole = backend_c.render(replace(scene, steps=48.0 * scene.weight.sum()))
    assert np.abs(whole - sum(parts) / scene.weight.sum()).max() < 5e-15 * whole.max()


def test_first_pass_takes_its_own_orientations():
    scene = busy(orientations_first_pass=busy().orientations * 1.01, first_pass=(5, 7))
    changed = backend_c.render(scene) != backend_c.render(replace(scene, orientations_first_pass=None))
    assert list(np.flatnonzero(changed)) == [scene.pixels[5]]
    records, _ = _core.CoreScene(scene).trace(5)
    a = np.array([got for name, _, got in records if name == "a_m"]).reshape(-1, 3, 4, 3)
    passes = np.arange(len(a))
    assert np.array_equal(a[passes != 7], np.broadcast_to(scene.orientations[..., 0, :], a.shape)[passes != 7])
    assert np.array_equal(a[7], scene.orientations_first_pass[..., 0, :])


@pytest.mark.parametrize("kernel", _core.available_kernels)
def test_interpolation_ends_at_its_index(kernel):
    on = busy(corrected, tricubic=True)
    interpolated, nearest = (backend_c.render(scene, kernel=kernel) for scene in (on, replace(on, tricubic=False)))
    image = backend_c.render(replace(on, interpolation_off=(40, 0)), kernel=kernel).reshape(-1)
    before, after = on.pixels[:40], on.pixels[40:]
    assert np.array_equal(image[before], interpolated.reshape(-1)[before])
    assert np.array_equal(image[after], nearest.reshape(-1)[after])
    assert not np.array_equal(interpolated, nearest)
    within = backend_c.render(replace(on, interpolation_off=(40, 13)), kernel=kernel).reshape(-1)
    assert np.array_equal(np.delete(within, on.pixels[40]), np.delete(image, on.pixels[40]))
    scalar = backend_c.render(replace(on, interpolation_off=(40, 13)), kernel="scalar").reshape(-1)
    assert within[on.pixels[40]] == scalar[on.pixels[40]]
    records, _ = _core.CoreScene(replace(on, interpolation_off=(40, 13))).trace(40)
    flags = [got for name, _, got in records if name == "interpolated"]
    assert flags == [1] * 13 + [0] * (on.evaluations_per_pixel - 13)


def test_interpolation_of_a_linear_table_is_linear():
    """F = 50 + 2h - k + 3l is reproduced exactly by a cubic; values near 50, so 1e-12 is 100 roundings."""
    h, k, m = np.mgrid[-8:9, -8:9, -8:9]
    scene = corrected(tricubic=True, f_table=50.0 + 2 * h - k + 3 * m)
    core = _core.CoreScene(scene)
    for position in range(20):
        found = {name: got for name, _, got in core.trace(position)[0]}
        if found["interpolated"]:
            h, k, m = found["hkl"]
            assert abs(found["F_cell"] - (50 + 2 * h - k + 3 * m)) < 1e-12
            assert len(found["F_nodes"]) == 64


def test_lattice_zero_skip_keeps_running_factors_away():
    """A second term with F_latt = 0 multiplies the sum by the solid angle unless it is skipped, as it is without water."""
    cell = worked_example().orientations
    scene = worked_example(
        shape=Shape.TOPHAT, fudge=0.3, omega_mode=FactorMode.CUMULATIVE, orientations=np.stack([cell, 1.1 * cell], axis=2)[0],
        quirks=without(Quirk.GAUSS_TOPHAT_WIDTH), steps=2.0,
    )  # fmt: skip
    counted = replace(scene, quirks=scene.quirks - {Quirk.LATTICE_ZERO_SKIP})
    skipped_image, counted_image = backend_c.render(scene).reshape(-1), backend_c.render(counted).reshape(-1)
    seen = 0
    for pixel in range(20):
        records, _ = _core.CoreScene(scene).trace(pixel)
        if [got for name, _, got in records if name == "F_latt"] == [27, 0]:
            solid_angle = next(got for name, _, got in records if name == "solid_angle_sr")
            assert np.isclose(counted_image[pixel], solid_angle * skipped_image[pixel], rtol=1e-15, atol=0)
            seen += 1
    assert seen > 0
    with_water = replace(scene, background=3.0)
    assert np.array_equal(backend_c.render(with_water), backend_c.render(replace(counted, background=3.0)))


def test_sincg_quirk_matters_at_integers_only():
    """Away from integers both forms agree; the original's argument pi h loses |h| roundings: measured 1e-13 of the maximum."""
    both = [backend_c.render(busy(quirks=q)) for q in (without(Quirk.SINCG_ROUNDOFF), busy().quirks)]
    assert np.abs(both[0] - both[1]).max() < 5e-13 * both[0].max()


# --- arrays of every kind ---------------------------------------------------------------------------------------------


def test_layout_of_arrays_does_not_matter():
    scene = busy()
    fortran = replace(
        scene,
        f_table=np.asfortranarray(scene.f_table),
        orientations=np.ascontiguousarray(scene.orientations[::-1])[::-1],
        pixels=np.repeat(scene.pixels, 2)[::2].astype(np.int32),
        beam=scene.beam.tolist(),
        weight=scene.weight.astype(np.float32),
        polarized=np.True_,
        steps=np.float32(scene.steps),
    )
    fortran.f_table.flags.writeable = False
    assert np.array_equal(backend_c.render(fortran), backend_c.render(scene))


VECTORS = ("pix0", "fast", "slow", "normal", "beam", "polarization_axis", "n_cells")
WRONG = [
    *((name, value) for name in VECTORS for value in (np.zeros(2), np.zeros((3, 1)), 1.0, ["a"] * 3, None)),
    *((name, value) for name in ("wavelength", "weight") for value in (np.ones(4), np.ones((3, 1)), np.empty(0), None)),
    ("incident", np.ones((3, 2))),
    ("incident", np.ones((3, 3), complex)),
    ("orientations", np.ones((3, 4, 9))),
    ("orientations", np.empty((0, 1, 3, 3))),
    ("orientations_first_pass", np.ones((1, 1, 3, 3))),
    ("a_star", np.ones(9)),
    ("f_table", np.ones((3, 3))),
    ("f_table", np.full((2, 2, 2), object())),
    ("pixels", np.array([[0, 1]])),
    ("pixels", np.array([0.0, 1.0])),
    ("pixels", np.array([1, 0])),
    ("pixels", np.array([2**62])),
    ("pixels", np.array([2**64 - 1], np.uint64)),
    ("n_fast", 2**70),
    ("n_fast", 3.5),
    ("n_slow", -1),
    ("oversample", 2**40),
    ("oversample", 0),
    ("n_layers", 2**31),
    ("shape", 17),
    ("shape", "round"),
    ("hkl_min", (0, 0)),
    ("hkl_min", (0.5, 0, 0)),
    ("hkl_min", (2**63, 0, 0)),
    ("first_pass", (0,)),
    ("interpolation_off", (0, -(2**64))),
    ("steps", 0),
    ("steps", np.ones(2)),
    ("pixel_size", np.array([1.0, np.nan])),
    ("pixel_size", 1.0),
    ("pixel_size", "1"),
    ("capture_mode", 3),
    ("quirks", {Quirk.WATER_SCALE}),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda v: v if isinstance(v, str) else None)
def test_wrong_fields_are_refused_by_name(name, value):
    with pytest.raises(CoreError, match=rf"scene\.{name}"):
        backend_c.render(busy(**{name: value}))


def test_no_source_is_refused():
    with pytest.raises(CoreError, match=r"scene\.incident: must be >= 1"):
        backend_c.render(busy(incident=np.empty((0, 3)), wavelength=np.empty(0), weight=np.empty(0)))


def test_refusal_names_element_and_value():
    wavelength = np.array([1e-10, 0.0, 1e-10])
    with pytest.raises(CoreError, match=r"scene\.wavelength\[1\]=0\.0: must not be 0 \(NB_ERR_ZERO\)") as caught:
        backend_c.render(busy(wavelength=wavelength))
    assert caught.value.status == -204


def test_core_scene_guards_its_own_calls():
    core = _core.CoreScene(busy())
    n, flag = core.n_pixels, _core.CancelFlag()
    for begin, end in ((-1, 2), (2, 1), (0, n + 1), (2**62, 2**63 - 1)):
        with pytest.raises(CoreError):
            core.render(begin, end, np.zeros(n), flag)
    with pytest.raises(CoreError):
        core.render(0, 2, np.zeros(n), flag)
    with pytest.raises(ValueError):
        core.render(0, 1, np.zeros((n, 1)), flag)
    with pytest.raises(ValueError):
        core.render(0, 1, np.zeros(n, np.float32), flag)
    with pytest.raises(TypeError):
        core.render(0, 1, np.zeros(n), None)
    for position in (-1, n):
        with pytest.raises(CoreError):
            core.trace(position)
    with pytest.raises(CoreError, match="more than 10 records"):
        core.trace(0, 10)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308])
def test_a_table_of_anything_renders(value):
    assert backend_c.render(busy(f_table=np.full((17, 17, 17), value), tricubic=True)).shape == (17, 23)


def test_no_table_and_no_pixels():
    image = backend_c.render(worked_example(f_table=np.zeros((0, 0, 0)), default_F=2.0))
    assert np.array_equal(image, backend_c.render(worked_example(f_table=np.full((17, 17, 17), 2.0), default_F=2.0)))
    assert not backend_c.render(worked_example(pixels=np.empty(0, np.int64))).any()


# --- threads ----------------------------------------------------------------------------------------------------------


@BASES
@pytest.mark.parametrize("tricubic", [False, True])
def test_image_is_the_same_for_all_threads_and_blocks(base, tricubic):
    scene = busy(base, tricubic=tricubic)
    image = backend_c.render(scene, n_threads=1)
    assert image.any()
    for n_threads in (2, 7):
        assert np.array_equal(backend_c.render(scene, n_threads=n_threads), image)
    for block in (1, 3, 16, 100, 10**6):
        assert np.array_equal(backend_c.render(scene, n_threads=2, block=block), image)


def test_fewer_pixels_are_the_same_pixels():
    scene = busy(corrected)
    image = backend_c.render(scene).reshape(-1)
    some = backend_c.render(replace(scene, pixels=scene.pixels[10:90:3])).reshape(-1)
    assert np.array_equal(some[scene.pixels[10:90:3]], image[scene.pixels[10:90:3]])
    assert not np.delete(some, scene.pixels[10:90:3]).any()


def test_blocks_are_sized_by_the_work():
    scene = busy()  # 288 evaluations a pixel
    assert backend_c.block_size(replace(scene, pixels=np.arange(10**6)), 2) == 65536 // 288 // 16 * 16
    assert backend_c.block_size(replace(scene, pixels=np.arange(1280)), 2) == 16
    assert backend_c.block_size(replace(scene, oversample=100), 2) == 1
    assert backend_c.block_size(replace(scene, pixels=np.arange(0)), 2) >= 1
    assert backend_c.block_size(replace(scene, pixels=np.arange(10**6)), 2, "simd-avx2") == 3640 // 23 * 23
    assert backend_c.block_size(replace(scene, pixels=np.arange(1280)), 2, "simd-avx2") == 65536 // 288 // 23 * 23


def test_progress_is_a_growing_prefix_from_the_calling_thread():
    scene, calls = busy(), []
    backend_c.render(scene, n_threads=3, block=7, progress=lambda n, _: calls.append((n, threading.current_thread())))
    counts = [n for n, _ in calls]
    assert counts == sorted(set(counts)) and counts[-1] == scene.n_pixels
    assert all(n % 7 == 0 for n in counts[:-1])
    assert {thread for _, thread in calls} == {threading.current_thread()}


def test_an_error_in_progress_ends_the_run():
    def fail(*_):
        raise RuntimeError("no disk")

    with pytest.raises(RuntimeError, match="no disk"):
        backend_c.render(busy(), progress=fail)
    assert at_work() == 0


def endless():
    """Days of work in every pixel: 1000 domains, oversample 400."""
    scene = worked_example(n_fast=1000, n_slow=1000, pixels=np.arange(10**6), oversample=400, steps=1.6e8)
    return replace(scene, orientations=np.repeat(scene.orientations, 1000, axis=1), interpolation_off=(10**6, 0))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_cancel_check_ends_a_long_run(n_threads):
    asked = []
    with pytest.raises(CoreError) as caught:
        backend_c.render(endless(), n_threads=n_threads, cancel_check=lambda: asked.append(None) or len(asked) == 3)
    assert caught.value.status == CANCELLED
    assert at_work() == 0


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_ends_a_long_run(n_threads):
    code = f"""
        import signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is deaf to it
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_backend_c import backend_c, endless
        print("ready", flush=True)
        try:
            backend_c.render(endless(), n_threads={n_threads})
        except KeyboardInterrupt:
            sys.exit(130)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, cwd="/"
    )
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
    finally:
        process.kill()


# --- arguments and the extension --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [name for name in KERNELS["c"] if name.startswith("simd-")])
def test_a_kernel_that_the_machine_lacks(kernel, monkeypatch):
    monkeypatch.setattr(_core, "available_kernels", ("scalar",))
    with pytest.raises(BackendUnavailableError, match=kernel):
        backend_c.render(worked_example(), kernel=kernel)


def test_kernels():
    """Another order of operations and polynomials of 6e-14: 4e-13 of the maximum was measured."""
    image = backend_c.render(worked_example(), kernel="scalar")
    assert np.abs(backend_c.render(worked_example()) - image).max() < 2e-12 * image.max()
    with pytest.raises(ConfigError, match="kernel='turbo'"):
        backend_c.render(worked_example(), kernel="turbo")


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, "2", True])
def test_thread_counts(n_threads):
    with pytest.raises(ConfigError, match="n_threads="):
        backend_c.render(worked_example(), n_threads=n_threads)


def test_table_of_the_helper():
    assert table()[8 + 1, 8 + 0, 8 - 4] == 62  # F(1, 0, -4) of docs/model.md, Worked example


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_extension_loads_no_openmp_runtime():
    code = "import nanobragg._core; print(open('/proc/self/maps').read())"
    maps = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout
    assert "_core" in maps
    assert not [name for name in ("libgomp", "libomp", "libiomp") if name in maps]


@pytest.mark.parametrize("block", [None, 7])
@pytest.mark.parametrize("changes", [{}, {"pixels": np.arange(3, 300, 2)}], ids=["whole", "part"])
def test_a_result_in_single_precision_is_the_double_one_rounded(changes, block):
    scene = busy(**changes)
    image = backend_c.render(scene, block=block)
    single = backend_c.CEngine(RenderOptions(n_threads=2, dtype="float32")).image(scene, block=block)
    given = backend_c.CEngine(RenderOptions(n_threads=2)).image(scene, block=block, out=np.empty((17, 23), np.float32))
    assert single.dtype == given.dtype == np.float32
    assert np.array_equal(single, image.astype(np.float32)) and np.array_equal(given, single)
