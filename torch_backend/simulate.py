"""From a decided experiment to the image, on any device."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from nanobragg.torch_backend.function import image_values
from nanobragg.torch_backend.kernels.inputs import prepare
from nanobragg.torch_backend.ops import TORCH_OPS
from torch import Tensor

from nanobragg.config import Experiment
from nanobragg.derivation.derive import derive
from nanobragg.derivation.scene import Scene
from nanobragg.errors import BackendUnavailableError, ConfigError

BYTES_PER_EVALUATION = 352
"""alive at the peak of a block (measured for a square crystal with the nearest amplitude: forward 110, backward 330)"""
DEFAULT_BUDGET = {"cpu": 11 * 2**20, "compiled": 44 * 2**20, "cuda": 2**30}
"""[bytes] on a CPU, what keeps a block in the caches; compiled loops keep less of it alive"""
DTYPES = (torch.float64, torch.float32)
PHASES = ("f64", "f32x2")


def simulate(
    decided: Experiment,
    *,
    roi: tuple[slice, slice] | None = None,
    dtype: torch.dtype | None = None,
    device: Any = None,
    n_threads: int | None = None,
    memory_budget: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    phase: str = "f64",
    twice_differentiable: bool = False,
    compiled: bool = False,
) -> Tensor:
    """Simulate one image: expected photons per pixel, differentiable with respect to every tensor in the experiment.

    Parameters
    ----------
    decided : Experiment
        From `nanobragg.derivation.resolve.resolve`.
    roi : tuple of slice, optional
        (slow, fast), half-open; only these pixels are computed.
    dtype : dtype, optional
        Of the intensities and the result, float64 (default) or float32. Geometry, orientations and indices are float64
        in either case, or float32 pairs with ``phase="f32x2"``.
    device : device, optional
        None: that of the experiment's tensors, else the CPU. The derivation runs on the CPU.
    n_threads : int, optional
        Limit on torch's threads during the call.
    memory_budget : int, optional
        Bytes that one block of evaluations may take, forward or backward; the image and the table come on top.
    progress : callable, optional
        Receives (pixels done, pixels in all).
    phase : {"f64", "f32x2"}
        Arithmetic of the Miller indices: float64, or exact float32 pieces for devices on which float64 is slow.
    twice_differentiable : bool
        Let autograd record the whole sum, so that it can be differentiated again; memory grows with the problem.
    compiled : bool
        Let torch.compile make one loop of the evaluations of square crystals without interpolation; never needed. The first
        call takes a minute, and a C++ compiler.

    Returns
    -------
    Tensor, shape (n_slow, n_fast)
        0 outside the ROI and the mask.

    Raises
    ------
    ConfigError
        For an option that is not one of those above, or a derivation that fails.
    BackendUnavailableError
        For a device that this machine or build of torch does not have.

    Notes
    -----
    Gradients are those of the sum as it is computed. None passes through what is discrete: counts, the nearest index at which
    an amplitude is looked up (only the amplitude itself gets one), the edge of a top-hat, `d_min`, the cut of a round
    divergence, and whether a stencil fits into the table. At a spread, angle or range of exactly 0 the gradient is the
    right-hand or the zero value, never NaN.

    Backward and forward mode sweep over the same blocks as the image, so that their memory is bounded by `memory_budget`
    too; under quirks that make a pixel depend on what came before, autograd records the whole sum instead.

    Batches: make the decisions once and map the rest, for example
    ``torch.func.vmap(lambda m: render({"crystal.misset_deg": m}))(missets)`` with
    ``render = nanobragg.prepare(experiment, backend="torch")``. The batch is a loop inside; the tangents of one point
    (``torch.func.jacfwd``) share one sweep.
    """
    dtype = torch.float64 if dtype is None else dtype
    if dtype not in DTYPES:
        raise ConfigError("dtype", dtype, "must be torch.float64 or torch.float32")
    if phase not in PHASES:
        raise ConfigError("phase", phase, f"must be one of {', '.join(map(repr, PHASES))}")
    if memory_budget is not None and not memory_budget > 0:
        raise ConfigError("memory_budget", memory_budget, "must be > 0", "bytes for one block of evaluations")
    place = _device_of(decided) if device is None else _device(device)
    kind = "compiled" if compiled and place.type == "cpu" else place.type
    budget = DEFAULT_BUDGET.get(kind, DEFAULT_BUDGET["cuda"]) if memory_budget is None else memory_budget
    with _threads(n_threads):
        scene = derive(decided, TORCH_OPS, roi=roi)
        return render_scene(
            scene,
            place,
            dtype,
            phase,
            max(1, int(budget) // BYTES_PER_EVALUATION),
            twice_differentiable,
            progress,
            compiled,
        )


def render_scene(
    scene: Scene,
    device: torch.device,
    dtype: torch.dtype = torch.float64,
    phase: str = "f64",
    block: int = 2**15,
    twice_differentiable: bool = False,
    progress: Callable[[int, int], None] | None = None,
    compiled: bool = False,
) -> Tensor:
    """The image of a Scene made with `TORCH_OPS`; `block` evaluations are worked on together."""
    plan, inputs = prepare(scene, device, dtype, phase, block, compiled)
    values = image_values(plan, inputs, twice_differentiable, progress)
    if plan.n_pixels == scene.n_slow * scene.n_fast:
        return values.view(scene.n_slow, scene.n_fast)
    image = values.new_zeros(scene.n_slow * scene.n_fast)
    return image.index_put((plan.pixels,), values).view(scene.n_slow, scene.n_fast)


def _device(device: Any) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (AssertionError, RuntimeError, TypeError) as error:  # torch's ways to say "no such device here"
        raise BackendUnavailableError(f"device={device!r}: {str(error).splitlines()[0]}; use device='cpu'") from None
    return place


def _device_of(node: Any) -> torch.device:
    """The device of the experiment's tensors: the first that is not the CPU, else the CPU."""
    found = next((t.device for t in tensors_of(node) if t.device.type != "cpu"), None)
    return torch.device("cpu") if found is None else found


def tensors_of(node: Any) -> Iterator[Tensor]:
    """All tensors in a config object."""
    if isinstance(node, Tensor):
        yield node
    elif is_dataclass(node):
        for field in fields(node):
            yield from tensors_of(getattr(node, field.name))
    elif isinstance(node, tuple | list):
        for item in node:
            yield from tensors_of(item)


@contextlib.contextmanager
def _threads(n: int | None) -> Iterator[None]:
    """torch's number of threads, restored afterwards."""
    before = torch.get_num_threads()
    if n is not None:
        torch.set_num_threads(min(n, before))
    try:
        yield
    finally:
        if n is not None:
            torch.set_num_threads(before)
