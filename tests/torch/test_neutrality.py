"""The kernel runs on any device: no value is copied to the host, and no branch looks at one."""

from __future__ import annotations

from dataclasses import replace

import grid
import pytest
import torch
from experiments import base
from nanobragg.torch_backend.engine import BYTES_PER_EVALUATION, TorchEngine
from nanobragg.torch_backend.kernels import kernel, sweep
from nanobragg.torch_backend.kernels.evaluations import Eager
from nanobragg.torch_backend.kernels.inputs import NAMES, Inputs, prepare
from nanobragg.torch_backend.ops import TORCH_OPS
from torch.utils._python_dispatch import TorchDispatchMode

import nanobragg as nb
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.engines.engine import RenderOptions

VARIANTS = {
    "corrected": {},
    "reference": {"fidelity": "reference", "interpolate": "tricubic", "phi": {"osc_deg": 3.0, "n_steps": 3}},
    "cumulative": {"fidelity": "reference", "switches": ("polar", "omega"), "oversample": 2},
    "tricubic": {"interpolate": "tricubic"},
    "gauss": {"shape": "gauss", "curved": True, "water": 0.05},
    "round": {"shape": "round", "d_min": 6.0, "source": "list"},
    "tophat": {"shape": "tophat", "fidelity": "reference", "d_min": 6.0},
}
HOST_COPIES = {"_local_scalar_dense", "item", "equal", "nonzero", "is_nonzero", "masked_select", "unique"}


class NoHostCopies(TorchDispatchMode):
    """Refuses every operation whose result, or whose shape, depends on a value that the host must see."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in HOST_COPIES or (name == "index" and any(_is_mask(i) for i in args[1])):
            raise AssertionError(f"{name} waits for the device")
        return func(*args, **(kwargs or {}))


def _is_mask(index):
    return index is not None and index.dtype == torch.bool


def scenes():
    for name, options in VARIANTS.items():
        yield name, derive(resolve(grid.build(options)), TORCH_OPS)


@pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
@pytest.mark.parametrize("phase", ["f64", "f32x2"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_host_copies(variant, phase):
    scene = derive(resolve(grid.build(VARIANTS[variant])), TORCH_OPS)
    plan, inputs = prepare(scene, torch.device("cpu"), torch.float64, phase, 97)
    with torch.no_grad(), NoHostCopies():
        kernel.render(plan, inputs, Eager())
        kernel.render(plan, inputs, Eager(smooth=True))
        if plan.per_term:
            sweep.pull_back(plan, inputs, Eager(), torch.ones(plan.n_pixels, dtype=torch.float64), frozenset(NAMES))
            sweep.push_forward(plan, inputs, Eager(), {name: getattr(inputs, name)[None] for name in NAMES})
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NoHostCopies():
        torch.ones(()).item()


@pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
@pytest.mark.parametrize("variant", VARIANTS)
def test_on_a_device_without_values(variant):
    """The meta device has shapes and no values: anything that looks at one fails."""
    scene = derive(resolve(grid.build(VARIANTS[variant])), TORCH_OPS)
    device = torch.device("meta")
    for dtype, phase in ((torch.float64, "f64"), (torch.float32, "f32x2")):
        plan, inputs = prepare(scene, device, dtype, phase, 97)
        assert all(tensor.device == device for tensor in inputs.tensors())
        engine = TorchEngine(
            RenderOptions(device=device, dtype=dtype, phase=phase, memory_budget=97 * BYTES_PER_EVALUATION)
        )
        assert engine.image(scene).shape == (scene.n_slow, scene.n_fast)
        if plan.per_term:
            cotangent = torch.ones(plan.n_pixels, dtype=dtype, device=device)
            grads = sweep.pull_back(plan, inputs, Eager(), cotangent, frozenset(NAMES))
            assert {name: t.shape for name, t in grads.items()} == {n: getattr(inputs, n).shape for n in NAMES}
            tangents = {name: getattr(inputs, name)[None] for name in NAMES}
            assert sweep.push_forward(plan, inputs, Eager(), tangents).shape == (1, plan.n_pixels)


def test_no_default_is_changed():
    before = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    nb.simulate(base(), backend="torch", dtype=torch.float32)
    assert (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()) == before


def test_inputs_are_all_moved():
    scene = derive(resolve(base()), TORCH_OPS)
    plan, inputs = prepare(scene, torch.device("cpu"), torch.float64, "f64", 100)
    assert isinstance(replace(inputs), Inputs) and plan.per_term


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("phase", ["f64", "f32x2"])
def test_cuda(phase):
    """Image and gradient on the GPU equal those of the CPU; the result lies where the tensors of the experiment lie."""
    expected = nb.simulate(base(), backend="torch")
    image = nb.simulate(base(), backend="torch", device="cuda")
    assert image.device.type == "cuda"
    assert (image.cpu() - expected).abs().max() <= 1e-11 * expected.max()
    from nanobragg.torch_backend import simulate

    pairs = simulate(resolve(base()), device="cuda", phase=phase, dtype=torch.float32)
    assert (pairs.double().cpu() - expected).abs().max() <= 1e-5 * expected.max()
    grads = []
    for device in ("cpu", "cuda"):
        misset = torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64, device=device, requires_grad=True)
        nb.simulate(base().replace("crystal.misset_deg", misset), backend="torch").square().sum().backward()
        grads.append(misset.grad.cpu())
    assert (grads[0] - grads[1]).norm() <= 1e-9 * grads[0].norm()
