"""The face of the engines: options, names, dispatch, and what the torch engine says about derivatives of a Scene."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import numpy as np
import pytest
from handmade_scene import busy
from small import small

import nanobragg as nb
from nanobragg.backends import BACKENDS, KERNELS
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import RenderOptions

torch = pytest.importorskip("torch", reason="the torch engine needs torch")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"precision": "half"}, "precision='half'"), ({"phase": "f16"}, "phase='f16'"),
        ({"twice_differentiable": 1}, "twice_differentiable=1"), ({"n_threads": 0}, "n_threads=0"),
        ({"kernel": "eager"}, "'eager' is a kernel of backend='torch'"), ({"kernel": "turbo"}, "kernel='turbo'"),
        ({"kernel": "scalar", "precision": "mixed"}, "precision='mixed': is not one that kernel='scalar' has"),
        ({"phase": "f32x2"}, "use backend='torch'"), ({"twice_differentiable": True}, "use backend='torch'"),
        ({"device": "cuda"}, "use backend='torch'"), ({"backend": "torch", "kernel": "turbo"}, "must be one of auto, core"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("call", ["simulate", "prepare"])
def test_options_that_do_not_exist(call: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(nb.ConfigError) as caught:
        getattr(nb, call)(small(), **options)
    assert text in str(caught.value)


def test_mixed_precision_is_the_fast_kernel() -> None:
    crystal = dataclasses.replace(small().crystal, n_cells=(12, 12, 12))
    experiment = small(crystal=crystal)
    fast, double = nb.simulate(experiment, kernel="fast"), nb.simulate(experiment)
    assert np.array_equal(nb.simulate(experiment, precision="mixed"), fast)
    assert np.array_equal(nb.prepare(experiment, precision="mixed")(), fast)
    assert 0 < np.abs(fast - double).max() < 1e-6 * double.max()


def test_options_reach_torch() -> None:
    experiment = small()
    double = nb.simulate(experiment, backend="torch")
    assert torch.equal(double, nb.simulate(experiment, backend="torch", kernel="simd-avx2"))
    mixed = nb.simulate(experiment, backend="torch", precision="mixed")
    assert mixed.dtype == torch.float64 and 0 < (mixed - double).abs().max() < 1e-5 * double.max()
    for options in ({"dtype": "float32"}, {"dtype": torch.float32}):
        assert nb.simulate(experiment, backend="torch", **options).dtype == torch.float32
    pieces = nb.prepare(experiment, "torch", phase="f32x2")()
    assert 0 < (pieces - double).abs().max() < 1e-5 * double.max()
    misset = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    image = nb.simulate(experiment.replace("crystal.misset_deg", misset), backend="torch", twice_differentiable=True)
    (slope,) = torch.autograd.grad(image.square().sum(), misset, create_graph=True)
    assert torch.isfinite(torch.autograd.grad(slope.sum(), misset)[0]).all()


def test_out_takes_a_tensor() -> None:
    experiment = small()
    out = torch.empty(12, 16, dtype=torch.float32)
    assert nb.simulate(experiment, backend="torch", out=out) is out
    assert torch.equal(out, nb.simulate(experiment, backend="torch").to(torch.float32))
    watched = experiment.replace("crystal.misset_deg", torch.zeros(3, dtype=torch.float64, requires_grad=True))
    for given, wrong in ((experiment, np.empty((12, 16))), (experiment, torch.empty(3)), (watched, out)):
        with pytest.raises(nb.ConfigError, match="out="):
            nb.simulate(given, backend="torch", out=wrong)


def test_every_name_is_known() -> None:
    for backend in BACKENDS:
        assert engine(backend).name == backend
        assert engine(backend, RenderOptions(device="cpu"), lenient=True).independent().name == backend
    assert set(KERNELS["c"]) & set(KERNELS["torch"]) == {"auto"}


def test_small_work_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a thread was made")

    expected = nb.simulate(small()), nb.simulate(small(), n_threads=1, kernel="scalar")
    monkeypatch.setattr(threading, "Thread", refuse)
    assert np.array_equal(nb.simulate(small()), expected[0])
    assert np.array_equal(nb.simulate(small(), n_threads=1, kernel="scalar"), expected[1])


def test_derivatives_by_scene_fields() -> None:
    """torch's against central differences through the C engine."""
    decided = resolve(small())
    ours = engine("torch").independent()
    scene, plain = derive(decided, ours.ops), derive(decided)
    weights = np.random.default_rng(5).uniform(0.5, 1.5, plain.n_pixels)
    wanted = ("orientations", "pix0", "fluence", "wavelength", "default_F")
    gradient = ours.pull_back(scene, torch.tensor(weights), wanted)
    scalar = engine("c", RenderOptions(kernel="scalar"))
    for name in wanted:
        value = np.asarray(getattr(plain, name), dtype=np.float64)
        direction = np.random.default_rng(7).standard_normal(value.shape) * max(1e-30, np.abs(value).max())
        steps = [scalar.photons(dataclasses.replace(plain, **{name: value + h * direction})) for h in (1e-7, -1e-7)]
        slope = (steps[0] - steps[1]) / 2e-7
        scale = np.abs(slope).max()
        pushed = ours.push_forward(scene, {name: torch.tensor(direction)[None]})[0].numpy()
        assert np.abs(pushed - slope).max() < 1e-5 * scale, name
        along = float((gradient[name].numpy() * direction).sum())
        assert abs(along - weights @ pushed) < 1e-9 * scale * plain.n_pixels, name


def test_cancelling() -> None:
    for name, scene in (("c", busy()), ("torch", derive(resolve(small()), engine("torch").ops))):
        with pytest.raises(nb.CoreError, match="NB_ERR_CANCELLED"):
            engine(name).photons(scene, cancel=lambda: True)
