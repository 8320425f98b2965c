"""The calls that users make: simulate, prepare."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.derivation import panels
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import Notes, resolve
from nanobragg.derivation.scene import Scene
from nanobragg.errors import BackendUnavailableError, ConfigError, IneffectiveWarning, NanoBraggWarning, QuirkWarning
from nanobragg.inspection.consistency import structure_factor_mismatches
from nanobragg.inspection.triggers import triggered

Progress = Callable[[int, int], None]
BACKENDS = ("c", "torch")


def simulate(
    experiment: Experiment,
    *,
    backend: str = "c",
    roi: tuple[slice, slice] | None = None,
    n_threads: int | None = None,
    kernel: str = "auto",
    dtype: Any = None,
    device: Any = None,
    memory_budget: int | None = None,
    progress: bool | Progress | None = None,
) -> Any:
    """Simulate one image: expected photons per pixel.

    Parameters
    ----------
    experiment : Experiment
        What to simulate. The same experiment gives the same image, a random orientation included: see `Crystal`.
    backend : {"c", "torch"}
        The engine; both render the same Scene.
    roi : tuple of slice, optional
        (slow, fast), half-open, on top of ``experiment.sampling.roi``; only these pixels are computed.
    n_threads : int, optional
        Threads; None: all cores that this process may use.
    kernel : {"auto", "scalar", "simd", "simd-baseline", "simd-avx2", "simd-avx512", "fast"}
        Kernel of the C engine; torch ignores it.
    dtype : dtype, optional
        Of the result (and, with torch, of the intensity path); None: float64.
    device : device, optional
        Of the torch engine; None: that of the experiment's tensors, else CPU.
    memory_budget : int, optional
        Bytes that the torch engine may use for one block.
    progress : bool or callable, optional
        True: a bar on stderr. A callable receives (pixels done, pixels in all), in raster order.

    Returns
    -------
    ndarray or Tensor, shape (n_slow, n_fast), float64
        Expected photons per pixel; 0 outside the ROI and the mask. For a detector of several panels, which are rendered
        and decided one by one: (n_panels, n_slow, n_fast) when they agree in shape, else a list; `roi` is then a list
        with one region (or None) for each, and progress is that of each.

    Raises
    ------
    ConfigError
        For an experiment that cannot be simulated; the text names the field, the value and the remedy.
    BackendUnavailableError
        For a backend or kernel that this installation lacks.
    """
    parts = _panels(experiment)
    if parts is not None:
        shared = {"backend": backend, "n_threads": n_threads, "kernel": kernel, "dtype": dtype, "device": device,
                  "memory_budget": memory_budget, "progress": progress}  # fmt: skip
        regions = panels.rois(roi, len(parts))
        return panels.joined(
            [simulate(part, roi=region, **shared) for part, region in zip(parts, regions, strict=True)]
        )
    options = RenderOptions(backend, n_threads, kernel, dtype, device, memory_budget)
    decided = resolve_with_warnings(experiment)
    with _Reporting(progress) as report:
        return options.render(decided, roi, report)


def prepare(experiment: Experiment, backend: str = "c", **options: Any) -> Callable[..., Any]:
    """A callable that renders the experiment repeatedly without deciding and deriving it again.

    Parameters
    ----------
    experiment : Experiment
        What to simulate.
    backend : {"c", "torch"}
        The engine.
    **options
        As for `simulate`: n_threads, kernel, dtype, device, memory_budget.

    Returns
    -------
    callable
        ``render(roi=None, progress=None)`` gives the image, as `simulate` does. With ``render(values={path: value})``
        the named continuous values are replaced and only the derivation is run again, not the decisions;
        ``render(experiment)`` renders another experiment with the same options.
    """
    parts = _panels(experiment)
    if parts is not None:
        return _prepared_panels(parts, backend, options)
    settings = RenderOptions(
        backend,
        options.pop("n_threads", None),
        options.pop("kernel", "auto"),
        options.pop("dtype", None),
        options.pop("device", None),
        options.pop("memory_budget", None),
    )
    if options:
        raise TypeError(f"prepare() got unexpected options: {', '.join(options)}")
    decided = resolve_with_warnings(experiment)
    scenes: dict[str, Scene] = {}

    def render(
        values: dict[str, Any] | Experiment | None = None, *, roi: Any = None, progress: bool | Progress | None = None
    ) -> Any:
        if isinstance(values, Experiment):
            with _Reporting(progress) as report:
                return settings.render(resolve_with_warnings(values), roi, report)
        changed = decided
        for path, value in (values or {}).items():
            changed = changed.replace(path, value)
        with _Reporting(progress) as report:
            if backend == "c" and not values and roi is None:
                if "scene" not in scenes:
                    scenes["scene"] = derive(decided)
                return settings.render_scene(scenes["scene"], report)
            return settings.render(changed, roi, report)

    return render


def _panels(experiment: Experiment) -> list[Experiment] | None:
    """The experiments of the panels of a detector that has several; None: an ordinary one."""
    if isinstance(experiment, Experiment) and isinstance(experiment.detector, tuple):
        return panels.experiments(experiment)
    return None


def _prepared_panels(parts: list[Experiment], backend: str, options: dict[str, Any]) -> Callable[..., Any]:
    renderers = [prepare(part, backend=backend, **options) for part in parts]

    def render(
        values: dict[str, Any] | None = None, *, roi: Any = None, progress: bool | Progress | None = None
    ) -> Any:
        own = panels.values_by_panel(values or {}, len(parts))
        regions = panels.rois(roi, len(parts))
        return panels.joined(
            [render(v, roi=r, progress=progress) for render, v, r in zip(renderers, own, regions, strict=True)]
        )

    return render


def resolve_with_warnings(experiment: Experiment) -> Experiment:
    """Decide the experiment, and warn about settings without effect and quirks that change its pixels."""
    notes = Notes()
    decided = resolve(experiment, notes)
    for text in structure_factor_mismatches(decided):
        warnings.warn(text, NanoBraggWarning, stacklevel=3)
    for text in notes.ineffective:
        warnings.warn(text, IneffectiveWarning, stacklevel=3)
    for trigger in triggered(experiment, decided):
        quirk = trigger.quirk
        warnings.warn(
            f"{quirk.name}: {quirk.text.original} ({trigger.reason}); fidelity='corrected' instead: {quirk.text.corrected}",
            QuirkWarning, stacklevel=3,
        )  # fmt: skip
    return decided


class RenderOptions:
    """Where and how to render, checked once."""

    def __init__(
        self, backend: str, n_threads: int | None, kernel: str, dtype: Any, device: Any, budget: int | None
    ) -> None:
        if backend not in BACKENDS:
            raise ConfigError("backend", backend, f"must be one of {', '.join(map(repr, BACKENDS))}")
        if n_threads is not None:
            n_threads = _whole("n_threads", n_threads, "None takes all cores")
        if budget is not None:
            budget = _whole("memory_budget", budget, "bytes; None takes what is free")
        if backend == "c" and device is not None and str(device) != "cpu":
            raise ConfigError("device", device, "the C engine runs on the CPU", "use backend='torch'")
        if backend == "c":
            from nanobragg.engines import c as backend_c

            backend_c.select_kernel(kernel)
            dtype = None if dtype is None else _floating(dtype)
        self.backend, self.n_threads, self.kernel = backend, n_threads, kernel
        self.dtype, self.device, self.budget = dtype, device, budget

    def render(self, decided: Experiment, roi: Any, progress: Progress | None) -> Any:
        """Render a decided experiment."""
        if self.backend == "c":
            return self.render_scene(derive(decided, roi=roi), progress)
        try:
            from nanobragg import torch_backend
        except ImportError as error:
            raise BackendUnavailableError(
                "backend='torch' needs PyTorch; install it with: pip install 'nanobragg[torch]'"
            ) from error
        return torch_backend.simulate(
            decided,
            roi=roi,
            dtype=self.dtype,
            device=self.device,
            n_threads=self.n_threads,
            memory_budget=self.budget,
            progress=progress,
        )

    def render_scene(self, scene: Scene, progress: Progress | None) -> NDArray[Any]:
        """Render a float scene with the C engine."""
        from nanobragg.engines import c as backend_c

        report = None if progress is None else lambda done: progress(done, scene.n_pixels)
        image = backend_c.render(scene, n_threads=self.n_threads, kernel=self.kernel, progress=report)
        return image if self.dtype is None else image.astype(self.dtype)


def _whole(name: str, value: Any, hint: str) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ConfigError(name, value, "must be a whole number >= 1", hint)
    return int(value)


def _floating(dtype: Any) -> np.dtype[Any]:
    wanted: np.dtype[Any] | None = None
    with contextlib.suppress(TypeError):
        wanted = np.dtype(dtype)
    if wanted is None or wanted.kind != "f":
        raise ConfigError("dtype", dtype, "must be a floating type of numpy", "numpy.float32 or numpy.float64")
    return wanted


def tracer(scene: Scene) -> Callable[[int], tuple[list[Any], float]]:
    """What the C engine computes on the way to a pixel of a float scene.

    Returns
    -------
    callable
        Takes an index into ``scene.pixels``; returns records (name of the quantity, (layer, sub slow, sub fast, source,
        phi, domain), value) in the order of evaluation, and the pixel.
    """
    from nanobragg import _core

    return _core.CoreScene(scene).trace


class _Reporting:
    """Context manager that turns ``progress=True`` into a tqdm bar and passes callables through."""

    def __init__(self, progress: bool | Progress | None) -> None:
        self.progress = progress
        self.bar: Any = None

    def __enter__(self) -> Progress | None:
        if callable(self.progress):
            return self.progress
        return self._advance if self.progress else None

    def _advance(self, done: int, total: int) -> None:
        if self.bar is None:
            from tqdm import tqdm

            self.bar = tqdm(total=total, unit="px", unit_scale=True, leave=False)
        self.bar.update(done - self.bar.n)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
