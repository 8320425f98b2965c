"""Kernel "triton": its physics through Triton's interpreter, that it compiles for GPUs, what is said where it cannot run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch
from experiments import base, with_values
from nanobragg.torch_backend.engine import TorchEngine
from nanobragg.torch_backend.kernels.triton import coverage
from nanobragg.torch_backend.memory import fitting
from nanobragg.torch_backend.ops import TORCH_OPS

import nanobragg as nb
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import RenderOptions

HERE = Path(__file__).parent
CUDA = torch.device("cuda")
needs_triton = pytest.mark.skipif(coverage._missing() is not None, reason="triton is not installed: pip install triton")


@pytest.fixture(scope="module")
def interpreted():
    """What `triton_interpreted` found."""
    run = subprocess.run([sys.executable, HERE / "triton_interpreted.py"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout)


@needs_triton
@pytest.mark.slow
def test_double_is_plain_torch_and_the_core(interpreted):
    """Measured worst, of the largest pixel: 6e-15 from plain torch, 3e-13 from the core (20 cells along c); of the norm:
    gradients 3e-13, tangents 4e-14."""
    cases = {name: found for name, found in interpreted["cases"].items() if name.endswith("double")}
    assert len(cases) == 12
    for name, found in cases.items():
        assert found["image"] < 1e-13 and found["core"] < 2e-12, name
        assert max(found["gradients"].values()) < 3e-12, (name, found["gradients"])
        assert found["tangents"] < 1e-12, name


@needs_triton
@pytest.mark.slow
def test_mixed_precision(interpreted):
    """Measured worst: 2e-8 of the largest pixel, gradients 3e-6 and tangents 4e-7 of the norm (all three of round crystals)."""
    cases = {name: found for name, found in interpreted["cases"].items() if not name.endswith("double")}
    assert len(cases) == 6
    for name, found in cases.items():
        assert 0 < found["image"] < 1e-6, name
        assert max(found["gradients"].values()) < 3e-5 and found["tangents"] < 1e-5, (name, found["gradients"])


@needs_triton
@pytest.mark.slow
def test_little_memory_makes_several_parts(interpreted):
    """Measured: the image to the bit, gradients 1e-16 of the norm."""
    found = interpreted["budget"]
    assert found["progress"] == [[256, 360], [360, 360]]
    assert found["image"] == 0 and found["gradients"] < 1e-14


@needs_triton
@pytest.mark.slow
def test_through_simulate(interpreted):
    """Against kernel "core"; measured: image 6e-16, mixed 4e-9, gradients 4e-12 (the wavelength, where much cancels out)."""
    found = interpreted["simulate"]
    assert found["image"] < 1e-13 and 0 < found["mixed"] < 1e-7
    assert max(found["gradients"]) < 4e-11
    assert found["repeated"]  # the gradient of the table is added in whole numbers
    for scene, reason in {
        "curved": "it has flat detectors", "tricubic": "it takes the nearest structure factor",
        "quirks": "quirks are in force", "twice": "no second derivatives",
    }.items():  # fmt: skip
        assert found["said"][scene].startswith("kernel='triton': does not render this experiment")
        assert reason in found["said"][scene] and "kernel='eager' does" in found["said"][scene]
    assert "cotangent=nan" in found["said"]["nan"] and "slow 0, fast 0" in found["said"]["nan"]


# --- compilation --------------------------------------------------------------------------------------------------------


@needs_triton
@pytest.mark.slow
def test_compiles_for_gpus(tmp_path):
    """To machine code, with registers for what a loop needs. Measured: 72 to 255 of them; 24 bytes are spilled by
    the gradients of a square crystal with a sensor."""
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, HERE / "triton_compiled.py"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout)
    assert len(found) == 2
    for name, kernels in found.items():
        assert set(kernels) == {"photons", "gradients", "tangents", "amplitudes"}
        for kernel, (registers, stack) in kernels.items():
            assert registers <= 255 and stack <= 48, (name, kernel, registers, stack)


# --- where it cannot run ------------------------------------------------------------------------------------------------


def nearest():
    """An experiment that the kernel covers."""
    return base().replace("sampling.interpolate", "nearest")


def scene_of(experiment):
    return derive(resolve(experiment), TORCH_OPS)


@pytest.fixture
def without_triton(monkeypatch):
    """An installation that has torch and no triton."""

    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(coverage.metadata, "version", version)
    coverage._missing.cache_clear()
    yield
    coverage._missing.cache_clear()


@pytest.fixture
def with_triton(monkeypatch):
    """An installation with triton, as far as anything is said about it."""
    monkeypatch.setattr(coverage.metadata, "version", lambda name: "3.9.0")
    coverage._missing.cache_clear()
    yield
    coverage._missing.cache_clear()


def test_without_triton_nothing_breaks(without_triton):
    """Plain torch renders, "auto" too; who asks for triton is told what is missing."""
    image = nb.simulate(nearest(), backend="torch")
    assert torch.equal(image, nb.simulate(nearest(), backend="torch", kernel="eager"))
    with pytest.raises(
        nb.BackendUnavailableError, match=r"triton is not installed \(pip install 'nanobragg\[triton\]'\)"
    ):
        nb.simulate(nearest(), backend="torch", kernel="triton")
    chosen = engine("torch", RenderOptions(kernel="triton"))
    assert "triton does not serve here, the package triton is not installed" in chosen.kernel(scene_of(nearest()))


def test_without_a_gpu_nothing_breaks(with_triton):
    with pytest.raises(nb.BackendUnavailableError, match="it runs on CUDA devices and not on cpu; use kernel='auto'"):
        nb.simulate(nearest(), backend="torch", kernel="triton")
    chosen = engine("torch", RenderOptions(kernel="triton"))
    assert chosen.kernel(scene_of(nearest())).startswith("none: torch triton does not serve here, it runs on CUDA")
    assert engine("torch").kernel(scene_of(nearest())) == "torch eager on cpu; gradients by core"


def test_old_versions_are_told(monkeypatch):
    monkeypatch.setattr(coverage.metadata, "version", lambda name: "3.1.0")
    coverage._missing.cache_clear()
    assert coverage.lacks(CUDA) == "triton 3.1.0 is too old: it takes 3.3"
    coverage._missing.cache_clear()


def on_cuda(monkeypatch, **options):
    """An engine for a card that is not there."""
    monkeypatch.setattr("nanobragg.torch_backend.engine._device", torch.device)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    return TorchEngine(RenderOptions(device="cuda", **options))


def test_auto_on_a_gpu_and_what_explain_says(with_triton, monkeypatch):
    """Triton wherever it covers the scene, else plain torch, with the reason."""
    auto = on_cuda(monkeypatch)
    assert auto.kernel(scene_of(nearest())) == "torch triton on cuda; gradients too"
    said = auto.kernel(scene_of(base()))
    assert (
        said == "torch eager on cuda; gradients too: triton does not serve here, it takes the nearest structure factor"
    )
    curved = auto.kernel(scene_of(nearest().replace("detector.curved", True)))
    assert curved.endswith("it has flat detectors")
    twice = on_cuda(monkeypatch, twice_differentiable=True)
    assert twice.kernel(scene_of(nearest())).endswith("it has no second derivatives")
    assert on_cuda(monkeypatch, kernel="eager").kernel(scene_of(nearest())) == "torch eager on cuda"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1))
    assert "compute capability 6.1" in auto.kernel(scene_of(nearest()))


def test_auto_on_a_gpu_without_triton(without_triton, monkeypatch):
    said = on_cuda(monkeypatch).kernel(scene_of(nearest()))
    assert said.startswith("torch eager on cuda") and "triton is not installed" in said


@pytest.mark.parametrize(("free", "remedy"), [(3 * 2**28, "memory_budget=268435456 fits"), (2**20, "with roi")])
def test_out_of_memory_tells_the_budget_that_would_fit(monkeypatch, free, remedy):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2**34))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    budget = 2**30 if "fits" in remedy else 2**18
    with pytest.raises(nb.ConfigError, match=remedy) as caught, fitting(CUDA, budget):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")
    assert f"{free // 2**20} of 16384 MiB are free on cuda" in str(caught.value)


def test_the_engine_loads_without_triton():
    """Importing the torch engine, and rendering with it, imports no triton."""
    code = (
        "import sys, nanobragg as nb, torch; sys.path[:0] = [sys.argv[1]]; from experiments import base; "
        "nb.simulate(base(), backend='torch'); print('triton.language' in sys.modules)"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code, HERE], capture_output=True, text=True, check=True, env=environment
    )
    assert run.stdout.strip() == "False"


def test_what_has_no_derivatives_is_copied_apart():
    """Small inputs go to a device in two copies, so that a gradient by the orientation asks for no other one. By "meta", a device
    without numbers."""
    from nanobragg.torch_backend.kernels.inputs import prepare

    misset = torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64, requires_grad=True)
    scene = scene_of(nearest().replace("crystal.misset_deg", misset))
    _, inputs = prepare(scene, torch.device("meta"), torch.float64, "f64", 100)
    moving = {name for name, tensor in vars(inputs).items() if tensor.requires_grad}
    assert moving == {"cells", "cells_first"}
    assert all(tensor.device.type == "meta" for tensor in inputs.tensors())


def test_tables_and_pixels_are_kept_on_the_device():
    """One upload for many images, a new one for another table; pixels that follow one another are none at all."""
    from nanobragg.torch_backend.kernels.inputs import pixels_on, prepare

    def table(experiment):
        values = experiment.get("crystal.misset_deg")
        decided = resolve(experiment).with_values({"crystal.misset_deg": (*values[:2], 31.0)})
        scene = derive(decided, TORCH_OPS)
        return prepare(scene, torch.device("meta"), torch.float64, "f64", 100)[1].table

    experiment = nearest()
    other = with_values(experiment, {"crystal.structure_factors.default_F": 46.0})
    assert table(experiment) is table(experiment)
    assert table(other) is not table(experiment)
    mask = scene_of(experiment.replace("detector.mask", torch.ones(5, 6).tril().numpy() > 0)).pixels
    assert pixels_on(mask, torch.device("meta")) is pixels_on(mask, torch.device("meta"))
