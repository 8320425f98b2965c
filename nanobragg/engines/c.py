"""The C engine: a Scene becomes an image, block by block, on threads that hold no GIL."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nanobragg import _core
from nanobragg.derivation.scene import Scene
from nanobragg.errors import BackendUnavailableError, ConfigError, CoreError

KERNELS = ("auto", "scalar", "simd", "simd-baseline", "simd-avx2", "simd-avx512", "fast")
"""Names that `kernel` may have."""

CANCELLED = -103
"""Status of a render that `cancel_check` ended (NB_ERR_CANCELLED)."""

_BLOCK_EVALUATIONS = 65536
# by the scalar kernel: about 10 ms at the 100-180 ns that an evaluation costs
_VECTOR_BLOCK_EVALUATIONS = 1 << 20
# by a vector kernel: some 3 ms
_VECTOR_BLOCK = 512
_LEAST_VECTOR_BLOCK = 64
# pixels, where there are enough of them: the vector kernels prepare every orientation once per row of a block
_BLOCKS_PER_THREAD = 32
# so that waiting for the last block costs at most some 3 % of the run
_POLL_SECONDS = 0.1
# how long a signal or cancel_check may go unnoticed


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def select_kernel(kernel: str) -> str:
    """Return the name of the kernel that runs on scenes that it covers.

    Raises
    ------
    ConfigError
        For a name that does not exist.
    BackendUnavailableError
        For a kernel that this build lacks or this machine cannot run.
    """
    if kernel not in KERNELS:
        raise ConfigError("kernel", kernel, f"must be one of {', '.join(KERNELS)}")
    vector = [name for name in _core.available_kernels if name.startswith("simd-")]
    wanted = vector[-1] if vector and kernel in ("auto", "simd") else "scalar" if kernel == "auto" else kernel
    if wanted in _core.available_kernels:
        return wanted
    here = ", ".join(_core.available_kernels)
    raise BackendUnavailableError(f"kernel={kernel!r}: this machine and build have {here}; use one of these or 'auto'")


def chosen_kernel(scene: Scene, kernel: str = "auto") -> str:
    """Return the name of the kernel that renders the scene, with the reason in parentheses if it is the scalar one."""
    name = select_kernel(kernel)
    obstacle = "" if name == "scalar" else _core.CoreScene(scene).simd_obstacle
    return f"scalar ({obstacle})" if obstacle else name


def block_size(scene: Scene, n_threads: int, kernel: str = "scalar") -> int:
    """Pixels per block: some milliseconds of work, whole rows or a multiple of 16, enough blocks for every thread."""
    per_pixel = max(1, scene.evaluations_per_pixel)
    fair = -(-scene.n_pixels // (n_threads * _BLOCKS_PER_THREAD))
    if kernel == "scalar":
        wanted, units = _BLOCK_EVALUATIONS // per_pixel, [16]
    else:
        wanted, units = max(_VECTOR_BLOCK, _VECTOR_BLOCK_EVALUATIONS // per_pixel), [scene.n_fast, 16]
        fair = max(fair, _LEAST_VECTOR_BLOCK)
    size = max(1, min(wanted, fair))
    unit = next((unit for unit in units if size >= unit), 1)
    return size - size % unit


def render(
    scene: Scene,
    *,
    n_threads: int | None = None,
    kernel: str = "auto",
    progress: Callable[[int], object] | None = None,
    cancel_check: Callable[[], bool] | None = None,
    block: int | None = None,
) -> NDArray[np.float64]:
    """Render a scene.

    Parameters
    ----------
    scene : Scene
        With numpy arrays.
    n_threads : int, optional
        Threads; all cores that the process may use when None. The image does not depend on it, bit for bit.
    kernel : str
        One of `KERNELS`. "auto" and "simd": the fastest double-precision kernel of this machine. "fast": lattice factors
        of square crystals of 9 to 200 cells in mixed precision, off by up to 1e-6 of the image's largest value where it
        holds a Bragg peak. A scene that the vector kernels do not cover is left to the scalar one (see `chosen_kernel`).
    progress : callable, optional
        Called from the calling thread with the number of rendered pixels that are finished without a gap, in raster
        order; the last call has all of them.
    cancel_check : callable, optional
        Called from the calling thread about ten times a second; a true result ends the run.
    block : int, optional
        Pixels per block, instead of `block_size`. The image does not depend on it, bit for bit.

    Returns
    -------
    ndarray of float64, shape (n_slow, n_fast)
        Expected photons per pixel; 0 where no pixel is rendered.

    Raises
    ------
    ConfigError
        For an unknown kernel or a thread count below 1.
    BackendUnavailableError
        For a kernel that this build does not contain.
    CoreError
        For a scene that cannot be rendered, or with the status `CANCELLED`.
    KeyboardInterrupt
        Ctrl-C ends a run within a second; no thread stays behind.
    """
    name = select_kernel(kernel)
    n_threads = available_cores() if n_threads is None else _at_least_one("n_threads", n_threads)
    core = _core.CoreScene(scene)
    if core.simd_obstacle:
        name = "scalar"
    block = block_size(scene, n_threads, name) if block is None else _at_least_one("block", block)
    values = np.zeros(core.n_pixels)
    _render_blocks(core, name, values, n_threads, block, progress, cancel_check)
    if len(values) == scene.n_slow * scene.n_fast:
        return values.reshape(scene.n_slow, scene.n_fast)
    image = np.zeros(scene.n_slow * scene.n_fast)
    image[scene.pixels] = values
    return image.reshape(scene.n_slow, scene.n_fast)


def _render_blocks(
    core: _core.CoreScene,
    kernel: str,
    values: NDArray[np.float64],
    n_threads: int,
    block: int,
    progress: Callable[[int], object] | None,
    cancel_check: Callable[[], bool] | None,
) -> None:
    """Render every block into `values`; the calling thread only waits, so that it can hear a signal."""
    n_pixels = len(values)
    begins = iter(range(0, n_pixels, block))
    next_block = threading.Lock()
    reports: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()
    cancel = _core.CancelFlag()

    def work() -> None:
        try:
            while True:
                with next_block:
                    begin = next(begins, None)
                if begin is None or cancel:
                    return
                if not core.render(begin, min(begin + block, n_pixels), values, cancel, kernel):
                    return
                reports.put(begin)
        except BaseException as error:
            reports.put(error)

    n_blocks = -(-n_pixels // block)
    threads = [threading.Thread(target=work, name=f"nanobragg-{i}") for i in range(min(n_threads, n_blocks))]
    try:
        for thread in threads:
            thread.start()
        _wait(reports, n_pixels, block, progress, cancel_check)
    except BaseException:
        cancel.set()
        raise
    finally:
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _wait(
    reports: queue.SimpleQueue[int | BaseException],
    n_pixels: int,
    block: int,
    progress: Callable[[int], object] | None,
    cancel_check: Callable[[], bool] | None,
) -> None:
    """Wait until every block has been reported, and tell how far the run is."""
    early: set[int] = set()  # finished blocks behind the first gap
    done = 0
    while done < n_pixels:
        if cancel_check is not None and cancel_check():
            raise CoreError(_core.strerror(CANCELLED), CANCELLED)
        try:
            report = reports.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
        if isinstance(report, BaseException):
            raise report
        early.add(report)
        before = done
        while done in early:
            early.remove(done)
            done += block
        if progress is not None and done > before:
            progress(min(done, n_pixels))


def _at_least_one(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigError(name, value, "must be an integer >= 1")
    return int(value)
