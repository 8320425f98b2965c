"""The C engine: a Scene becomes an image, block by block, on threads that hold no GIL."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg import _core
from nanobragg.arrays import available_cores
from nanobragg.backends import KERNELS
from nanobragg.derivation.crystals.diffuse.scene import DiffuseScene
from nanobragg.derivation.scene import Scene
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.engines import derivatives
from nanobragg.engines.cores import core_of
from nanobragg.engines.diffuse import by_core
from nanobragg.engines.engine import Engine, Progress, Record, RenderOptions, at_least_one, cancelled
from nanobragg.engines.threads import in_order
from nanobragg.errors import BackendUnavailableError, ConfigError

_BLOCK_EVALUATIONS = 65536
# by the scalar kernel: about 10 ms at the 100-180 ns that an evaluation costs
_VECTOR_BLOCK_EVALUATIONS = 1 << 20
# by a vector kernel: some 3 ms
_VECTOR_BLOCK = 512
_LEAST_VECTOR_BLOCK = 64
# pixels, where there are enough of them: the vector kernels prepare every orientation once per row of a block
_LEAST_EVALUATIONS = 1024
_LEAST_VECTOR_EVALUATIONS = 1 << 16
# in a block, so that threads do not ask for work and report more often than every 0.1 ms
_BLOCKS_PER_THREAD = 32
# so that waiting for the last block costs at most some 3 % of the run
_LEAST_SHARE = 1 << 13
_LEAST_VECTOR_SHARE = 1 << 18
# evaluations that make a thread worth while where nobody says how many there shall be: 1 ms
_UNHEARD_EVALUATIONS = 1 << 20
# in a block that runs in the calling thread, which hears no signal meanwhile: 0.2 s by the scalar kernel


def select_kernel(kernel: str, precision: str = "double") -> str:
    """Return the name of the kernel that runs on scenes that it covers.

    Raises
    ------
    ConfigError
        For a name that does not exist, or a kernel that has no mixed precision.
    BackendUnavailableError
        For a kernel that this build lacks or this machine cannot run.
    """
    if kernel not in KERNELS["c"]:
        elsewhere = next(
            (f"{kernel!r} is a kernel of backend={b!r}" for b, names in KERNELS.items() if kernel in names), ""
        )
        raise ConfigError("kernel", kernel, f"must be one of {', '.join(KERNELS['c'])}", elsewhere)
    if precision == "mixed":
        if kernel not in ("auto", "simd", "fast"):
            raise ConfigError("precision", precision, f"is not one that kernel={kernel!r} has", "write kernel='auto'")
        kernel = "fast"
    vector = [name for name in _core.available_kernels if name.startswith("simd-")]
    wanted = vector[-1] if vector and kernel in ("auto", "simd") else "scalar" if kernel == "auto" else kernel
    if wanted in _core.available_kernels:
        return wanted
    here = ", ".join(_core.available_kernels)
    raise BackendUnavailableError(f"kernel={kernel!r}: not available here; write one of {here}, or 'auto'")


def block_size(scene: Scene, n_threads: int, kernel: str = "scalar") -> int:
    """Pixels per block: some milliseconds of work, whole rows or a multiple of 16, enough blocks for every thread."""
    per_pixel = max(1, scene.evaluations_per_pixel)
    fair = -(-scene.n_pixels // (n_threads * _BLOCKS_PER_THREAD))
    if kernel == "scalar":
        wanted, units = _BLOCK_EVALUATIONS // per_pixel, [16]
        fair = max(fair, _LEAST_EVALUATIONS // per_pixel)
    else:
        wanted, units = max(_VECTOR_BLOCK, _VECTOR_BLOCK_EVALUATIONS // per_pixel), [scene.n_fast, 16]
        fair = max(fair, _LEAST_VECTOR_BLOCK, _LEAST_VECTOR_EVALUATIONS // per_pixel)
    size = max(1, min(wanted, fair))
    unit = next((unit for unit in units if size >= unit), 1)
    return size - size % unit


def shares(scene: Scene, kernel: str) -> int:
    """Threads among which the work is divided where nobody says how many: as many as there is work for."""
    least = _LEAST_SHARE if kernel == "scalar" else _LEAST_VECTOR_SHARE
    return max(1, min(available_cores(), scene.evaluations // least))


class CEngine(Engine):
    """The engine in C.

    Raises
    ------
    ConfigError
        For an option that it does not have.
    BackendUnavailableError
        For a kernel that this build lacks or this machine cannot run.
    """

    name = "c"
    ops = FLOAT_OPS

    def __init__(self, options: RenderOptions) -> None:
        elsewhere = "use backend='torch'"
        if options.device is not None and str(options.device) != "cpu":
            raise ConfigError("device", options.device, "the C engine runs on the CPU", elsewhere)
        if options.phase != "f64":
            raise ConfigError("phase", options.phase, "the C engine has 'f64'", elsewhere)
        if options.twice_differentiable:
            raise ConfigError("twice_differentiable", True, "the C engine has no second derivatives", elsewhere)
        super().__init__(options)
        self._kernel = select_kernel(options.kernel, options.precision)
        self._dtype = None if options.dtype is None else _floating(options.dtype)

    @property
    def kernel_name(self) -> str:
        """See `Engine.kernel_name`."""
        return self._kernel

    def kernel(self, scene: Scene) -> str:
        """See `Engine.kernel`."""
        if self._kernel == "scalar":
            return "scalar"
        core = core_of(scene)
        if core.simd_obstacle:
            return f"scalar ({core.simd_obstacle})"
        return f"{self._kernel}, scalar for {core.simd_exception}" if core.simd_exception else self._kernel

    def photons(
        self,
        scene: Scene,
        *,
        weights: NDArray[np.float64] | None = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Any:
        """See `Engine.photons`."""
        core = core_of(scene)
        values = np.empty(core.n_pixels)
        channels = self._render(core, scene, values, progress, cancel, weights=weights)
        return values if weights is None else (values, channels)

    def image(
        self,
        scene: Scene,
        *,
        weights: NDArray[np.float64] | None = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
        out: NDArray[Any] | None = None,
        block: int | None = None,
    ) -> Any:
        """See `Engine.image`; float64 unless the options say otherwise.

        Parameters
        ----------
        block : int, optional
            Pixels per block, instead of `block_size`. The image does not depend on it, bit for bit.
        """
        core, shape = core_of(scene), (scene.n_slow, scene.n_fast)
        whole = core.n_pixels == scene.n_slow * scene.n_fast
        image: NDArray[Any]
        if out is not None and _fits(out, shape):
            image = out
        else:
            image = np.empty(shape, self._dtype) if whole else np.zeros(shape, self._dtype)
        values = image.reshape(-1) if whole else np.empty(core.n_pixels, image.dtype)
        channels = self._render(core, scene, values, progress, cancel, block, weights)
        if not whole:
            if image is out:
                image[...] = 0.0
            image.reshape(-1)[scene.pixels] = values
        if out is not None and image is not out:
            out[...] = image
            image = out
        if channels is None:
            return image
        spread = np.zeros((len(channels), scene.n_slow * scene.n_fast), image.dtype)
        spread[:, scene.pixels] = channels
        return image, spread.reshape(-1, *shape)

    def diffuse(self, found: DiffuseScene, *, cancel: Callable[[], bool] | None = None) -> NDArray[np.float64]:
        """See `Engine.diffuse`."""
        scene = found.scene
        photons = by_core(found, self._kernel, self.options.n_threads, cancel)
        if scene.n_pixels == scene.n_slow * scene.n_fast:
            return photons.reshape(scene.n_slow, scene.n_fast)
        image = np.zeros(scene.n_slow * scene.n_fast)
        image[scene.pixels] = photons
        return image.reshape(scene.n_slow, scene.n_fast)

    @staticmethod
    def ratio(x: Any, y: Any) -> Any:
        """See `Engine.ratio`."""
        return np.divide(x, y, out=np.full_like(x, np.nan), where=y != 0)

    def _render(
        self,
        core: _core.CoreScene,
        scene: Scene,
        values: NDArray[Any],
        progress: Progress | None,
        cancel: Callable[[], bool] | None,
        block: int | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64] | None:
        """Render into `values` (n_pixels,), rounded to their type, in the calling thread where that is quick enough.

        Returns the channels.
        """
        kernel = "scalar" if core.simd_obstacle else self._kernel
        n_threads = self.options.n_threads or shares(scene, kernel)
        block = block_size(scene, n_threads, kernel) if block is None else at_least_one("block", block)
        channels = None if weights is None else np.empty((len(weights), core.n_pixels))
        rows = None if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
        run = _Run(core, kernel, values, block, progress, cancel, rows, channels)
        if min(n_threads, run.n_blocks) <= 1 and block * scene.evaluations_per_pixel <= _UNHEARD_EVALUATIONS:
            run.here()
        else:
            run.on_threads(n_threads)
        return channels

    def derivative_obstacle(self, scene: Scene) -> str | None:
        """See `Engine.derivative_obstacle`."""
        return derivatives.obstacle(scene)

    def pull_back(
        self,
        scene: Scene,
        cotangent: NDArray[Any],
        wanted: Collection[str],
        *,
        entries: NDArray[Any] | None = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> dict[str, NDArray[np.float64]]:
        """See `Engine.pull_back`."""
        how = derivatives.How(self._kernel, self._n_threads, progress, cancel)
        return derivatives.pull_back(scene, cotangent, wanted, how, entries)

    def push_forward(
        self,
        scene: Scene,
        tangents: Mapping[str, NDArray[Any]],
        *,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> NDArray[np.float64]:
        """See `Engine.push_forward`."""
        return derivatives.push_forward(
            scene, tangents, derivatives.How(self._kernel, self._n_threads, progress, cancel)
        )

    @property
    def _n_threads(self) -> int:
        return self.options.n_threads or available_cores()

    def tracer(self, scene: Scene) -> Callable[[int], tuple[list[Record], float]]:
        """See `Engine.tracer`; by the scalar kernel."""
        return core_of(scene).trace


def beneath(options: RenderOptions) -> CEngine:
    """The C engine for an engine that puts it under autograd: double precision, with the options' threads."""
    return CEngine(RenderOptions(n_threads=options.n_threads))


def _floating(dtype: Any) -> np.dtype[Any]:
    wanted: np.dtype[Any] | None = None
    with contextlib.suppress(TypeError):
        wanted = np.dtype(dtype)
    if wanted is None or wanted.kind != "f":
        raise ConfigError("dtype", dtype, "must be a floating type of numpy", "numpy.float32 or numpy.float64")
    return wanted


def _fits(out: Any, shape: tuple[int, int]) -> bool:
    """Whether pixels can be written into the array as they come; one that can take no image at all is refused."""
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype.kind != "f" or not out.flags.writeable:
        found = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ConfigError("out", found, f"must be a writable array of floats with the shape {shape}")
    return bool(out.flags.c_contiguous)


def render(
    scene: Scene,
    *,
    n_threads: int | None = None,
    kernel: str = "auto",
    progress: Progress | None = None,
    cancel_check: Callable[[], bool] | None = None,
    block: int | None = None,
) -> NDArray[np.float64]:
    """The image of a scene, as `CEngine.image` with these options."""
    engine = CEngine(RenderOptions(kernel=kernel, n_threads=n_threads))
    return engine.image(scene, progress=progress, cancel=cancel_check, block=block)


def chosen_kernel(scene: Scene, kernel: str = "auto") -> str:
    """As `CEngine.kernel` with this kernel."""
    return CEngine(RenderOptions(kernel=kernel)).kernel(scene)


class _Run:
    """One rendering: blocks of pixels, written into `values`."""

    def __init__(
        self,
        core: _core.CoreScene,
        kernel: str,
        values: NDArray[Any],
        block: int,
        progress: Progress | None,
        cancel: Callable[[], bool] | None,
        weights: NDArray[np.float64] | None,
        channels: NDArray[np.float64] | None,
    ) -> None:
        self.core, self.kernel, self.values, self.block = core, kernel, values, block
        self.weights, self.channels = weights, channels
        self.progress, self.cancel = progress, cancel
        self.n_pixels, self.n_blocks = len(values), -(-len(values) // block)
        self.flag = _core.CancelFlag()

    def here(self) -> None:
        """Render in the calling thread."""
        room = self._room()
        for begin in range(0, self.n_pixels, self.block):
            self._check_cancelled()
            self._render(begin, room)
            self._tell(begin + self.block)

    def on_threads(self, n_threads: int) -> None:
        """Render on threads; the calling one only waits, so that it can hear a signal."""
        begins = range(0, self.n_pixels, self.block)

        def part(begin: int) -> int:
            self._render(begin, self._room())
            return begin

        for begin in in_order(part, begins, n_threads, self.flag, self.cancel):
            self._tell(begin + self.block)

    def _room(self) -> NDArray[np.float64] | None:
        """Where a block is rendered to before it is rounded; None: into `values` themselves."""
        return None if self.values.dtype == np.float64 else np.empty(min(self.block, self.n_pixels))

    def _render(self, begin: int, room: NDArray[np.float64] | None) -> None:
        end = min(begin + self.block, self.n_pixels)
        out = self.values[begin:end] if room is None else room[: end - begin]
        done = self.core.render(begin, end, out, self.flag, self.kernel, self.weights, self.channels)
        if done and room is not None:
            with np.errstate(over="ignore"):
                self.values[begin:end] = out

    def _check_cancelled(self) -> None:
        if self.cancel is not None and self.cancel():
            raise cancelled()

    def _tell(self, done: int) -> None:
        if self.progress is not None:
            self.progress(min(done, self.n_pixels), self.n_pixels)
