"""The calls that users make: simulate, prepare."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from nanobragg.config import Experiment
from nanobragg.derivation import panels
from nanobragg.derivation.crystals import lattices
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.derive import derivation
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.scene import Scene
from nanobragg.engines.choice import engine
from nanobragg.engines.diffuse import with_diffuse
from nanobragg.engines.engine import Engine, Progress, RenderOptions
from nanobragg.engines.together import image_and_mean_wavelength_of, image_of
from nanobragg.errors import ConfigError, PlausibilityWarning
from nanobragg.imaging.background import with_background
from nanobragg.inspection.foresight.pictures import image_doubt
from nanobragg.inspection.foresight.plausible import typed_doubts
from nanobragg.inspection.foresight.warned import warn_about, warn_of_long_run, warn_of_values
from nanobragg.lazy import dataclass


def simulate(
    experiment: Experiment,
    *,
    backend: str = "c",
    roi: Any = None,
    channels: str | None = None,
    parts: bool = False,
    out: Any = None,
    progress: bool | Progress | None = None,
    n_threads: int | None = RenderOptions.n_threads,
    kernel: str = RenderOptions.kernel,
    precision: str = RenderOptions.precision,
    dtype: Any = RenderOptions.dtype,
    device: Any = RenderOptions.device,
    memory_budget: int | None = RenderOptions.memory_budget,
    phase: str = RenderOptions.phase,
    twice_differentiable: bool = RenderOptions.twice_differentiable,
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
    channels : {None, "mean_wavelength"}
        "mean_wavelength": a second image is returned, see below.
    parts : bool
        What the photons come from, apart: a dict of images, see below.
    out : ndarray or Tensor, shape (n_slow, n_fast), optional
        Where the image is written; it is returned; not with parts. Of several panels: one with the shape
        (n_panels, n_slow, n_fast), or a list.
    progress : bool or callable, optional
        True: a bar on stderr. A callable receives (pixels done, pixels in all), in raster order.
    n_threads : int, optional
        Threads; None: as many as there is work for, up to the cores that this process may use (one in the workers of a pool).
    kernel : str
        With "c": "auto", "scalar", "simd", "simd-baseline", "simd-avx2", "simd-avx512", "fast" (mixed precision). With
        "torch": "auto", "core" (the C engine under autograd; CPU, float64, corrected fidelity), "eager" (an implementation of
        its own in plain torch, which comparisons use), "compiled", "triton" (CUDA, corrected fidelity, nearest structure factors,
        flat detectors); "auto" takes triton on CUDA where it serves, core on the CPU where gradients or tangents are wanted and
        it has them, else eager. The names of the C engine's kernels mean "auto" there.
    precision : {"double", "mixed"}
        "mixed": lattice factors in single precision, indices and sums in double; off by up to 1e-6 of the image's largest
        value where it holds a Bragg peak.
    dtype : dtype or str, optional
        Of the result (and, with torch, of the intensity path); None: float64.
    device : device, optional
        Of the torch engine; None: that of the experiment's tensors, else CPU.
    memory_budget : int, optional
        Bytes that the torch engine may use for one block.
    phase : {"f64", "f32x2"}
        Arithmetic of the torch engine's Miller indices: float64, or exact float32 pieces for devices on which float64 is
        slow.
    twice_differentiable : bool
        torch: let autograd record the whole sum, so that it can be differentiated again; memory grows with the problem.

    Returns
    -------
    ndarray or Tensor, shape (n_slow, n_fast), float64
        Expected photons per pixel; 0 outside the ROI and the mask. For a detector of several panels, which are rendered
        and decided one by one: (n_panels, n_slow, n_fast) when they agree in shape, else a list; `roi` is then a list
        with one region (or None) for each, and progress is that of each.
        With ``channels="mean_wavelength"``: (image, mean wavelength [Angstrom] of the photons that the spots give to each
        pixel), NaN where they give none; both differentiable with torch.
        With ``parts=True`` in place of the image a dict of images that add up to it, but for rounding: "bragg", the spots,
        "diffuse", where the crystal has diffuse scattering, and "background", water and amorphous bodies. Several crystals have
        "bragg[0]", "bragg[1]" and so on.

    Raises
    ------
    ConfigError
        For an experiment that cannot be simulated; the text names the field, the value and the remedy.
    BackendUnavailableError
        For a backend or kernel that this installation lacks.
    """
    options = RenderOptions(n_threads=n_threads, kernel=kernel, precision=precision, dtype=dtype, device=device,
                            memory_budget=memory_budget, phase=phase, twice_differentiable=twice_differentiable)  # fmt: skip
    warn_of_values(experiment, stacklevel=3)
    decided = decide(experiment)
    request = Request(roi, channels, parts, out, progress)
    return rendered(engine(backend, options), experiment, decided, request, warn=True)


def prepare(experiment: Experiment, backend: str = "c", **options: Any) -> Callable[..., Any]:
    """A callable that renders the experiment repeatedly without deciding and deriving it again.

    Parameters
    ----------
    experiment : Experiment
        What to simulate.
    backend : {"c", "torch"}
        The engine.
    **options
        As for `simulate`: n_threads, kernel, precision, dtype, device, memory_budget, phase, twice_differentiable.

    Returns
    -------
    callable
        ``render(roi=None, channels=None, parts=False, out=None, progress=None)`` gives the image, as `simulate` does. With
        ``render(values={path: value})`` the named continuous values are replaced and only the derivation is run again,
        not the decisions; ``render(experiment)`` renders another experiment with the same options.
    """
    return prepared(experiment, backend, options)


def prepared(
    experiment: Experiment, backend: str, options: dict[str, Any], *, n_images: int = 1, stacklevel: int = 2
) -> Callable[..., Any]:
    """As `prepare`, for so many images; warnings name the caller of the caller, with `stacklevel` 2 and so on."""
    unknown = options.keys() - {field.name for field in fields(RenderOptions)}
    if unknown:
        raise TypeError(f"prepare() got unexpected options: {', '.join(sorted(unknown))}")
    chosen = engine(backend, RenderOptions(**options))
    warn_of_values(experiment, stacklevel=stacklevel + 2)
    decided = decide(experiment)
    plain = chosen.ops.is_float
    derived = [[derivation(one) if plain or one.experiment.quirks else None for one in part] for part in decided]
    doubtful = bool(typed_doubts(experiment))
    for lattice, found in zip(_columns(decided), _columns(derived), strict=True):
        doubtful = warn_about(lattice, found, doubtful=doubtful, stacklevel=stacklevel + 2)
    if all(d is not None for part in derived for d in part):
        warn_of_long_run(*_of_sizes(decided, derived), chosen, n_images=n_images, stacklevel=stacklevel + 2)
    # tensors may change in place, and carry a graph
    scenes = [[d.scenes for d in part if d is not None] for part in derived] if plain else []
    first = iter([not doubtful])

    def render(
        values: dict[str, Any] | Experiment | None = None,
        *,
        roi: Any = None,
        channels: str | None = None,
        parts: bool = False,
        out: Any = None,
        progress: bool | Progress | None = None,
    ) -> Any:
        request = Request(roi, channels, parts, out, progress)
        if isinstance(values, Experiment):
            warn_of_values(values, stacklevel=3)
            return rendered(chosen, values, decide(values), request, warn=True)
        if values:
            own = panels.values_by_panel(values, len(decided)) if panels.several(experiment) else [values]
            changed = [_changed(part, new) for part, new in zip(decided, own, strict=True)]
            return rendered(chosen, experiment, changed, request, look=next(first, False))
        known = scenes if roi is None else ()
        return rendered(chosen, experiment, decided, request, scenes=known, look=next(first, False))

    return render


def decide(experiment: Experiment) -> list[list[Decided]]:
    """The decided experiments of every panel: one for each lattice."""
    return [[resolve(one) for one in lattices.experiments(part)] for part in panels.experiments(experiment)]


def _changed(part: Sequence[Decided], values: dict[str, Any]) -> list[Decided]:
    """The lattices of a panel with some values replaced."""
    own = lattices.values_by_lattice(values, len(part)) if len(part) > 1 else [values]
    return [one.with_values(new) for one, new in zip(part, own, strict=True)]


def _columns(parts: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """What belongs to each lattice, panel by panel."""
    return [list(column) for column in zip(*parts, strict=True)]


def _of_sizes(parts: Sequence[Sequence[Decided]], derived: Any) -> tuple[list[Decided], list[Scene]]:
    """Every scene of every lattice and panel, with what it was derived from."""
    pairs = [(one, scene) for one, d in zip(_flat(parts), _flat(derived), strict=True) for scene in d.scenes]
    return [one for one, _ in pairs], [scene for _, scene in pairs]


def _flat(parts: Sequence[Sequence[Any]]) -> list[Any]:
    return [one for part in parts for one in part]


@dataclass(frozen=True)
class Request:
    """What a call asks for, beside the experiment."""

    roi: Any
    channels: str | None
    parts: bool
    out: Any
    progress: bool | Progress | None
    cancel: Callable[[], bool] | None = None
    """as of `Engine.image`"""

    def __post_init__(self) -> None:
        if self.channels not in (None, "mean_wavelength"):
            raise ConfigError("channels", self.channels, "must be None or 'mean_wavelength'")
        if not isinstance(self.parts, bool):
            raise ConfigError("parts", self.parts, "must be True or False")
        if self.parts and self.out is not None:
            raise ConfigError(
                "out", type(self.out).__name__, "does not go with parts=True, which returns several images"
            )


def rendered(
    chosen: Engine,
    experiment: Experiment,
    parts: Sequence[Sequence[Decided]],
    request: Request,
    *,
    warn: bool = False,
    look: bool = False,
    scenes: Sequence[Sequence[Sequence[Scene]]] = (),
) -> Any:
    """The image of an experiment whose parts, the lattices of every panel, are decided (and derived); warnings name the
    caller's caller. `warn`: of everything; `look`: of an image with nothing in it alone."""
    several = panels.several(experiment)
    regions = panels.rois(request.roi, len(parts)) if several else [request.roi]
    images, more, missing = [], [], []
    doubtful = warn and bool(typed_doubts(experiment))
    if not scenes:
        derived = [
            [chosen.derivation(one, roi=region) for one in part] for part, region in zip(parts, regions, strict=True)
        ]
        scenes = [[d.scenes for d in part] for part in derived]
        if warn:
            for lattice, of_it in zip(_columns(parts), _columns(derived), strict=True):
                doubtful = warn_about(lattice, of_it, doubtful=doubtful, stacklevel=4)
            warn_of_long_run(*_of_sizes(parts, derived), chosen, stacklevel=4)
    for i, (of_lattices, apart) in enumerate(zip(parts, scenes, strict=True)):
        decided = of_lattices[0]
        own = lattices.with_one_background(apart)
        together, scene = _flat(own), own[0][0]
        into = panels.part_of(request.out, i, len(parts)) if several else request.out
        here = chosen.beside(decided.experiment)
        shares = _shares(own) if request.parts else {"image": together}
        first, *others = shares
        found: dict[str, Any] = {}
        with _Reporting(request.progress) as report:
            if request.channels is None:
                found[first] = image_of(here, shares[first], progress=report, cancel=request.cancel, out=into)
            else:
                found[first], wavelength = image_and_mean_wavelength_of(here, shares[first], progress=report, out=into)
                more.append(wavelength)
        if (warn or look) and not doubtful and (len(own) == 1 or not request.parts):
            missing.append(image_doubt(found[first], scene))
        for j, (one, (first_size, *_)) in enumerate(zip(of_lattices, own, strict=True)):
            if request.parts and one.experiment.crystal.diffuse.acts:
                name = "diffuse" if len(own) == 1 else f"diffuse[{j}]"
                found[name] = with_diffuse(here, 0.0 * found[first], one, first_size)
            elif not request.parts:
                found[first] = with_diffuse(here, found[first], one, first_size)
        found |= {name: image_of(here, shares[name]) for name in others}
        last = list(shares)[-1]
        image = found[last]
        found[last] = with_background(image, decided.experiment, scene, chosen.ops, n_threads=chosen.options.n_threads,
                                      kernel=chosen.options.kernel)  # fmt: skip
        if into is not None and found[last] is not into:
            into.copy_(found[last])
        images.append(found)
    if missing and all(missing):
        warnings.warn(PlausibilityWarning(missing[0]), stacklevel=3)
    result: Any = {name: _whole([found[name] for found in images], several) for name in images[0]}
    if not request.parts:
        (result,) = result.values() if request.out is None else [request.out]
    return result if request.channels is None else (result, _whole(more, several))


def _shares(own: Sequence[Sequence[Scene]]) -> dict[str, Sequence[Scene]]:
    """The scenes of each part of an image, see `Scene.parts`; the background, which comes last, is that of the first one."""
    names = ["bragg"] if len(own) == 1 else [f"bragg[{i}]" for i in range(len(own))]
    spots = {name: [scene.parts()["bragg"] for scene in scenes] for name, scenes in zip(names, own, strict=True)}
    return {**spots, "background": [own[0][0].parts()["background"]]}


def _whole(images: list[Any], several: bool) -> Any:
    return panels.joined(images) if several else images[0]


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
