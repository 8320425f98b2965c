"""The torch engine: a Scene of tensors becomes an image, on any device."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from nanobragg.torch_backend.core import CoreSum, continuous
from nanobragg.torch_backend.derived import derived, moved_by, tensors_of
from nanobragg.torch_backend.diffuse import photons as diffuse_photons
from nanobragg.torch_backend.function import at_most, differentiable, image_values, watched
from nanobragg.torch_backend.kernels import fused
from nanobragg.torch_backend.kernels import triton as on_cuda
from nanobragg.torch_backend.kernels.evaluations import evaluations
from nanobragg.torch_backend.kernels.inputs import Inputs, Plan, pixels_on, prepare
from nanobragg.torch_backend.kernels.triton import coverage
from nanobragg.torch_backend.memory import Fitting, fitting
from nanobragg.torch_backend.ops import TORCH_OPS
from nanobragg.torch_backend.trace import tracer
from torch import Tensor

from nanobragg.arrays import is_transformed
from nanobragg.backends import KERNELS
from nanobragg.config import Experiment
from nanobragg.derivation.crystals.diffuse.scene import DiffuseScene
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.derive import Derivation
from nanobragg.derivation.scene import Scene
from nanobragg.engines.engine import Engine, Progress, Record, RenderOptions, cancelled
from nanobragg.errors import BackendUnavailableError, ConfigError

BYTES_PER_EVALUATION = 352
"""alive at the peak of a block (measured for a square crystal with the nearest amplitude: forward 110, backward 330)"""
DEFAULT_BUDGET = {"cpu": 11 * 2**20, "compiled": 44 * 2**20, "cuda": 2**30}
"""[bytes] on a CPU, what keeps a block in the caches; compiled loops keep less of it alive"""
ONE_THREAD = 2**17
"""Evaluations of a block up to which one thread works on them: operations of torch take some 0.1 ms then, and threads that wait
for each other at the end of each are up to 40 times slower as soon as another program takes a core."""
DTYPES = (torch.float64, torch.float32)


class TorchEngine(Engine):
    """The engine in torch: differentiable with respect to every tensor that the Scene was derived from.

    Parameters
    ----------
    options : RenderOptions
    core : Engine, optional
        An engine for Scenes of plain arrays, which kernel "core" puts under autograd.

    Raises
    ------
    ConfigError
        For an option that it does not have.
    BackendUnavailableError
        For a device or kernel that this machine or build of torch does not have.
    """

    name = "torch"
    ops = TORCH_OPS
    has_devices = wraps = True

    def __init__(self, options: RenderOptions, core: Engine | None = None) -> None:
        super().__init__(options, core)
        self.chosen = chosen_kernel(options.kernel)
        self._sums: WeakKeyDictionary[Scene, CoreSum] = WeakKeyDictionary()
        self.device = torch.device("cpu") if options.device is None else _device(options.device)
        self.dtype = _dtype(options.dtype)
        narrow = options.precision == "mixed" or self.dtype == torch.float32
        self.working_dtype = torch.float32 if narrow else torch.float64
        """of lattice factors and structure factors"""
        if self.chosen == "core" and self._core_lacks():
            raise ConfigError("kernel", "core", f"cannot serve here: {self._core_lacks()}", "kernel='eager' can")

    def beside(self, experiment: Experiment) -> TorchEngine:
        """See `Engine.beside`."""
        if self.options.device is not None:
            return self
        found = next((t.device for t in tensors_of(experiment) if t.device.type != "cpu"), None)
        return self if found is None else TorchEngine(replace(self.options, device=found), self.core)

    def independent(self) -> TorchEngine:
        """See `Engine.independent`."""
        return self if self.chosen != "auto" else TorchEngine(replace(self.options, kernel="eager"))

    def derivation(self, decided: Decided, *, roi: Any = None) -> Derivation:
        """See `Engine.derivation`."""
        return derived(decided, roi=roi, twice_differentiable=self.options.twice_differentiable)

    def kernel(self, scene: Scene) -> str:
        """See `Engine.kernel`."""
        if self.chosen == "compiled" and not fused.serves_scene(scene, self.options.phase):
            return f"torch eager on {self.device}; compiled serves square crystals with the nearest amplitude"
        reason = self._triton_obstacle(scene)
        if self.chosen == "triton" and reason is not None:
            return f"none: torch triton does not serve here, {reason}"
        if self.chosen == "triton" or (self.chosen == "auto" and reason is None):
            return f"torch triton on {self.device}; gradients too"
        if self.chosen != "auto":
            return f"torch {self.chosen} on {self.device}"
        if self.device.type == "cuda":
            return f"torch eager on {self.device}; gradients too: triton does not serve here, {reason}"
        reason = self._core_obstacle(scene)
        gradients = f"; gradients too: core lacks them, {reason}" if reason else "; gradients by core"
        return f"torch eager on {self.device}{gradients}"

    def photons(
        self,
        scene: Scene,
        *,
        weights: Tensor | None = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Any:
        """See `Engine.photons`; every channel is a sweep of its own."""
        ask = _asking(progress, cancel)
        if self._takes_core(scene):
            return self._by_core(scene, weights, ask)
        with at_most(self._n_threads()), fitting(self.device, self._budget()):
            plan, inputs = prepare(scene, self.device, self.working_dtype, self.options.phase, self._block())
            render = self._rendering(scene, plan, ask)
            values = render(inputs).to(self.dtype)
            if weights is None:
                return values
            spots = replace(inputs, background=torch.zeros_like(inputs.background))
            channels = [render(replace(spots, weight=spots.weight * row)) for row in weights.to(self.device)]
            return values, torch.stack(channels).to(self.dtype)

    def _rendering(self, scene: Scene, plan: Plan, ask: Progress | None) -> Callable[[Inputs], Tensor]:
        """What makes pixels of inputs: the kernels of this engine but "core"."""
        if self._takes_triton(scene):
            budget = self._budget()
            whole = Fitting(on_cuda.TritonSum(plan, budget), self.device, budget)
            return lambda inputs: differentiable(whole, inputs.tensors(), ask)
        kernel, twice, n_threads = evaluations(self.chosen, plan), self.options.twice_differentiable, self._n_threads()
        return lambda inputs: image_values(plan, inputs, kernel, twice, ask, n_threads, self._budget())

    def _by_core(self, scene: Scene, weights: Tensor | None, ask: Progress | None) -> Any:
        """`photons` of kernel "core"."""
        assert self.core is not None
        values = differentiable(self._core_sum(scene), continuous(scene), ask)
        if weights is None:
            return values
        channels = []
        for row in weights:
            part = replace(scene, weight=scene.weight * row, background=torch.zeros_like(scene.background))
            channels.append(differentiable(CoreSum(self.core, part), continuous(part), ask))
        return values, torch.stack(channels)

    def image(
        self,
        scene: Scene,
        *,
        weights: Tensor | None = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
        out: Tensor | None = None,
    ) -> Any:
        """See `Engine.image`. `out` takes no image that is differentiated."""
        found = self.photons(scene, weights=weights, progress=progress, cancel=cancel)
        image = _spread(scene, found if weights is None else found[0])
        if out is not None:
            _check_out(out, image)
            image = out.copy_(image)
        return image if weights is None else (image, torch.stack([_spread(scene, row) for row in found[1]]))

    def diffuse(self, found: DiffuseScene, *, cancel: Callable[[], bool] | None = None) -> Tensor:
        """See `Engine.diffuse`; it cannot be ended."""
        by_core = self.chosen in ("auto", "core") and not self.options.twice_differentiable
        with at_most(self._n_threads()):
            values = diffuse_photons(found, self.device, by_core=by_core, n_threads=self.options.n_threads)
        return _spread(found.scene, values.to(self.dtype))

    @staticmethod
    def ratio(x: Tensor, y: Tensor) -> Tensor:
        """See `Engine.ratio`; no gradient passes where y is 0."""
        lit = y != 0
        return torch.where(lit, x / torch.where(lit, y, torch.ones_like(y)), torch.full_like(x, torch.nan))

    def pull_back(
        self,
        scene: Scene,
        cotangent: Tensor,
        wanted: Collection[str],
        *,
        entries: Any = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> dict[str, Tensor]:
        """See `Engine.pull_back`; progress is that of the image, and what follows cannot be ended."""
        leaves = {name: getattr(scene, name).detach().clone().requires_grad_() for name in wanted}
        with torch.enable_grad():
            values = self.photons(replace(scene, **leaves), progress=progress, cancel=cancel)
        grads = torch.autograd.grad(values, list(leaves.values()), cotangent, materialize_grads=True)
        found = dict(zip(leaves, grads, strict=True))
        if entries is not None and "f_table" in found:
            found["f_table"] = found["f_table"].flatten()[torch.as_tensor(entries, device=found["f_table"].device)]
        return found

    def push_forward(
        self,
        scene: Scene,
        tangents: Mapping[str, Tensor],
        *,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Tensor:
        """See `Engine.push_forward`; progress is that of the image, and what follows cannot be ended."""
        names = list(tangents)

        def pixels(*values: Tensor) -> Tensor:
            changed: dict[str, Any] = dict(zip(names, values, strict=True))
            return self.photons(replace(scene, **changed), progress=progress, cancel=cancel)

        point = tuple(getattr(scene, name).detach() for name in names)

        def along(*direction: Tensor) -> Tensor:
            tangent: Tensor = torch.func.jvp(pixels, point, direction)[1]
            return tangent

        with warnings.catch_warnings():  # torch compiles rules of its own for forward mode by what it deprecates
            warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
            pushed: Tensor = torch.func.vmap(along)(*tangents.values())
        return pushed

    def jacobian(self, scene: Scene) -> tuple[Tensor, tuple[Tensor, ...]] | None:
        """Pixels (1 + K, n_pixels) of a scene by kernel "core", and K derivatives by what it was derived from, in one sweep.

        These are by the elements of the parameters, which come last. None where that does not serve (see `derived.moved_by`).
        """
        moved = moved_by(scene)
        if moved is None or not self._takes_core(scene):
            return None
        # the image is proportional to the fluence: along the fluence itself its derivative is the image
        point = tuple(tensor.detach() for tensor in continuous(scene))
        still = torch.zeros(len(next(iter(moved[0].values()))), dtype=torch.float64)
        along = {
            name: torch.cat(
                [scene.fluence.detach()[None] if name == "fluence" else torch.zeros_like(column[:1]), column]
            )
            for name, column in {"fluence": still, **moved[0]}.items()
        }
        return self._core_sum(scene).push_forward(point, along), moved[1]

    def tracer(self, scene: Scene) -> Callable[[int], tuple[list[Record], float]]:
        """See `Engine.tracer`; in float64 on the CPU."""
        return tracer(scene)

    def _core_lacks(self) -> str | None:
        """Which option kernel "core" does not have; None: it has them all."""
        options = self.options
        for wrong, reason in (
            (self.core is None, "no engine is at hand that it could put under autograd"),
            (self.device.type != "cpu", "it runs on the CPU"),
            (self.working_dtype != torch.float64, "it computes in double precision"),
            (options.phase != "f64", "its Miller indices are float64"),
            (options.twice_differentiable, "it has no second derivatives"),
        ):
            if wrong:
                return reason
        return None

    def _core_obstacle(self, scene: Scene) -> str | None:
        """Why kernel "core" has no derivatives of the scene; None: it has."""
        lacks = self._core_lacks()
        if lacks is not None or self.core is None:
            return lacks
        return self._core_sum(scene).obstacle(continuous(scene))

    def _core_sum(self, scene: Scene) -> CoreSum:
        """The sum of the scene by the core."""
        assert self.core is not None
        if scene not in self._sums:
            self._sums[scene] = CoreSum(self.core, scene)
        return self._sums[scene]

    def _takes_core(self, scene: Scene) -> bool:
        """Whether kernel "core" renders: it was asked for, or derivatives are wanted; and it has them."""
        if self.chosen not in ("auto", "core"):
            return False
        if self.chosen == "auto" and not any(watched(tensor) for tensor in continuous(scene)):
            return False
        reason = self._core_obstacle(scene)
        if reason is not None and self.chosen == "core":
            raise ConfigError(
                "kernel", "core", f"has no derivatives of this experiment: {reason}", "kernel='eager' has"
            )
        return reason is None

    def _triton_obstacle(self, scene: Scene) -> str | None:
        """Why kernel "triton" does not render the scene; None: it does."""
        if self.options.twice_differentiable:
            return "it has no second derivatives"
        return coverage.lacks(self.device) or coverage.obstacle(scene)

    def _takes_triton(self, scene: Scene) -> bool:
        """Whether kernel "triton" renders: wherever it can on CUDA, and where it was asked for."""
        if self.chosen == "auto" and self.device.type == "cuda":
            return self._triton_obstacle(scene) is None
        if self.chosen != "triton":
            return False
        missing = coverage.lacks(self.device)
        if missing is not None:
            raise BackendUnavailableError(f"kernel='triton': {missing}; use kernel='auto' or 'eager', or device='cuda'")
        reason = self._triton_obstacle(scene)
        if reason is not None:
            raise ConfigError("kernel", "triton", f"does not render this experiment: {reason}", "kernel='eager' does")
        return True

    def _n_threads(self) -> int | None:
        """Threads of torch: as asked for; one for blocks that are too small to be worth more; None: all of them."""
        small = self.device.type == "cpu" and self.chosen != "compiled" and self._block() <= ONE_THREAD
        return 1 if small and self.options.n_threads is None else self.options.n_threads

    def _budget(self) -> int:
        """Bytes that a block may take."""
        kind = self.device.type if self.device.type != "cpu" or self.chosen != "compiled" else "compiled"
        return self.options.memory_budget or DEFAULT_BUDGET.get(kind, DEFAULT_BUDGET["cuda"])

    def _block(self) -> int:
        """Evaluations that are worked on together."""
        return max(1, self._budget() // BYTES_PER_EVALUATION)


def chosen_kernel(kernel: str) -> str:
    """The kernel that a name asks for; names of another engine's kernels leave the choice open.

    Raises
    ------
    ConfigError
        For a name that does not exist.
    """
    if kernel not in KERNELS["torch"]:
        if any(kernel in names for names in KERNELS.values()):
            return "auto"
        raise ConfigError("kernel", kernel, f"must be one of {', '.join(KERNELS['torch'])}")
    return kernel


def spread(scene: Scene, rows: Tensor) -> Tensor:
    """Rendered pixels (K, n_pixels) that no autograd follows as images (K, n_slow, n_fast)."""
    if scene.n_pixels != scene.n_slow * scene.n_fast:
        images, part = _zeros(len(rows) * scene.n_slow * scene.n_fast, rows).view(len(rows), -1), scene.rectangle
        if part is None:
            rows = images.index_copy_(1, pixels_on(scene.pixels, rows.device), rows)
        else:
            inside = images.view(-1, scene.n_slow, scene.n_fast)[:, *part]
            inside.copy_(rows.view(inside.shape))
            rows = images
    return rows.view(-1, scene.n_slow, scene.n_fast)


def _spread(scene: Scene, values: Tensor) -> Tensor:
    """Rendered pixels (n_pixels,) as an image."""
    if not watched(values):
        return spread(scene, values[None])[0]
    if scene.n_pixels != scene.n_slow * scene.n_fast:
        pixels = pixels_on(scene.pixels, values.device)
        image = _zeros(scene.n_slow * scene.n_fast, values)
        # in place, but for the transforms that cannot have it: a copy of a large detector costs more than a small region
        put = image.index_put if is_transformed(values) else image.index_put_
        values = put((pixels,), values)
    return values.view(scene.n_slow, scene.n_fast)


def _zeros(n: int, like: Tensor) -> Tensor:
    """Zeros; on a CPU memory that nobody has touched yet, so that a large detector costs nothing where it is not looked at."""
    if like.device.type != "cpu" or is_transformed(like):
        return like.new_zeros(n)
    return torch.from_numpy(np.zeros(n, str(like.dtype).removeprefix("torch.")))


def _dtype(dtype: Any) -> torch.dtype:
    """A number type, or the one of that name."""
    wanted = getattr(torch, dtype, dtype) if isinstance(dtype, str) else torch.float64 if dtype is None else dtype
    if wanted not in DTYPES:
        raise ConfigError("dtype", dtype, "must be torch.float64 or torch.float32")
    found: torch.dtype = wanted
    return found


def _device(device: Any) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (AssertionError, RuntimeError, TypeError) as error:  # torch's ways to say "no such device here"
        raise BackendUnavailableError(f"device={device!r}: {str(error).splitlines()[0]}; use device='cpu'") from None
    return place


def _asking(progress: Progress | None, cancel: Callable[[], bool] | None) -> Progress | None:
    """The progress of a rendering that can be cancelled after every block."""
    if cancel is None:
        return progress

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(done, total)
        if cancel():
            raise cancelled()

    return report


def _check_out(out: Any, image: Tensor) -> None:
    if not isinstance(out, Tensor) or out.shape != image.shape or not out.is_floating_point():
        found = f"{out.dtype} of shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
        raise ConfigError("out", found, f"must be a tensor of floats with the shape {tuple(image.shape)}")
    if image.requires_grad:
        raise ConfigError("out", "tensor", "cannot take an image that is differentiated", "leave it out, or detach")
