"""The face of an engine: a Scene goes in; photons, gradients and traces come out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from numbers import Integral
from typing import Any, ClassVar

from nanobragg import _core
from nanobragg.config import Experiment
from nanobragg.derivation.crystals.diffuse.scene import DiffuseScene
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.derive import Derivation, derivation
from nanobragg.derivation.scene import Scene
from nanobragg.derivation.vectors import Ops
from nanobragg.errors import ConfigError, CoreError
from nanobragg.lazy import dataclass

Progress = Callable[[int, int], object]
"""Receives (pixels done, pixels in all), in raster order."""
Record = tuple[str, tuple[int, ...], float | tuple[float, ...]]
"""Name of a quantity, (layer, sub slow, sub fast, source, phi, domain) with -1 where it does not apply, value."""

PRECISIONS = ("double", "mixed")
PHASES = ("f64", "f32x2")
CANCELLED = -103
"""Status of the `CoreError` of a rendering that was cancelled (NB_ERR_CANCELLED)."""


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """Where and how to render; what an engine cannot do is refused when the engine is made.

    Raises
    ------
    ConfigError
        For a value that no engine takes.
    """

    kernel: str = "auto"
    """one of `nanobragg.backends.KERNELS`"""
    precision: str = "double"
    """"mixed": lattice factors in single precision, sums and indices in double"""
    n_threads: int | None = None
    """None: as many as there is work for, up to the cores that this process may use"""
    device: Any = None
    """None: that of the experiment's tensors, else the CPU"""
    dtype: Any = None
    """floating type of the result, or its name; None: float64"""
    memory_budget: int | None = None
    """bytes for one block of evaluations; None: what suits the device"""
    phase: str = "f64"
    """arithmetic of the Miller indices: float64, or exact float32 pieces"""
    twice_differentiable: bool = False
    """record the whole sum, so that it can be differentiated again"""

    def __post_init__(self) -> None:
        for name, hint in (("n_threads", "None takes all cores"), ("memory_budget", "bytes; None takes what is free")):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, at_least_one(name, value, hint))
        for name, choices in (("precision", PRECISIONS), ("phase", PHASES)):
            if getattr(self, name) not in choices:
                raise ConfigError(name, getattr(self, name), f"must be one of {', '.join(map(repr, choices))}")
        if not isinstance(self.twice_differentiable, bool):
            raise ConfigError("twice_differentiable", self.twice_differentiable, "must be True or False")


def at_least_one(name: str, value: Any, hint: str = "") -> int:
    """The value as a whole number >= 1, or a ConfigError."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ConfigError(name, value, "must be a whole number >= 1", hint)
    return int(value)


class Engine(ABC):
    """An engine with its options, made by `nanobragg.engines.choice.engine`."""

    name: ClassVar[str]
    ops: ClassVar[Ops]
    """what its Scenes are derived with"""
    has_devices: ClassVar[bool] = False
    """whether it runs elsewhere than on the CPU"""
    wraps: ClassVar[bool] = False
    """whether it is handed an engine for Scenes of plain arrays, which it may put under autograd"""

    def __init__(self, options: RenderOptions, core: Engine | None = None) -> None:
        self.options, self.core = options, core

    def beside(self, experiment: Experiment) -> Engine:
        """The engine on the device of the experiment's tensors, where the options name none."""
        return self

    def independent(self) -> Engine:
        """The engine with a kernel that shares no code with another engine, for comparisons."""
        return self

    def derivation(self, decided: Decided, *, roi: Any = None) -> Derivation:
        """A decided experiment with its Scene, as this engine wants it (see `nanobragg.derivation.derive.derivation`)."""
        return derivation(decided, self.ops, roi=roi)

    def obstacle(self, scene: Scene) -> str | None:
        """Why the engine cannot render the scene, before it starts; None: it can."""
        return None

    @property
    def kernel_name(self) -> str:
        """The kernel that the options choose, for scenes that it covers."""
        return self.options.kernel

    @abstractmethod
    def kernel(self, scene: Scene) -> str:
        """What renders the scene, why it is not what was asked for, and what it leaves to another kernel."""

    @abstractmethod
    def photons(
        self,
        scene: Scene,
        *,
        weights: Any = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Any:
        """Expected photons of the rendered pixels.

        Parameters
        ----------
        scene : Scene
            Derived with `ops`.
        weights : ndarray or Tensor, shape (n, n_sources), optional
            Asks for n further sums over the spots, without the background, in which every source's contribution is
            multiplied by its weight: the channels.
        progress : callable, optional
            Receives (pixels done, pixels in all), in raster order.
        cancel : callable, optional
            Asked about ten times a second; a true answer ends the rendering with a `CoreError` of status `CANCELLED`.

        Returns
        -------
        photons : ndarray or Tensor, shape (n_pixels,)
        channels : ndarray or Tensor, shape (n, n_pixels)
            With `weights` alone.
        """

    @abstractmethod
    def image(
        self,
        scene: Scene,
        *,
        weights: Any = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
        out: Any = None,
    ) -> Any:
        """As `photons`, as an image of the whole detector (n_slow, n_fast): 0 where no pixel is rendered.

        Parameters
        ----------
        out : ndarray or Tensor, shape (n_slow, n_fast), optional
            Where the image is written.
        """

    @abstractmethod
    def diffuse(self, found: DiffuseScene, *, cancel: Callable[[], bool] | None = None) -> Any:
        """Expected photons of diffuse scattering.

        Parameters
        ----------
        found : DiffuseScene
            Derived with `ops`.
        cancel : callable, optional
            As for `photons`.

        Returns
        -------
        ndarray or Tensor, shape (n_slow, n_fast)
            As `image`.
        """

    def image_and_mean_wavelength(self, scene: Scene, **options: Any) -> tuple[Any, Any]:
        """The image, and the mean wavelength [Angstrom] of the photons that the spots give to each pixel.

        It is NaN where they give none. `options` are those of `image`.
        """
        image, (spots, weighted) = self.image(scene, weights=self.wavelength_rows(scene), **options)
        return image, self.ratio(weighted, spots)

    def wavelength_rows(self, scene: Scene) -> Any:
        """Weights (2, n_sources) of channels whose ratio, the second over the first, is a mean wavelength [Angstrom]."""
        return self.ops.stack([scene.wavelength * 0.0 + 1.0, scene.wavelength * 1e10])

    @staticmethod
    @abstractmethod
    def ratio(x: Any, y: Any) -> Any:
        """x/y, and NaN where y is 0."""

    def derivative_obstacle(self, scene: Scene) -> str | None:
        """Why `pull_back` and `push_forward` do not cover the scene; None: they do."""
        return None

    @abstractmethod
    def pull_back(
        self,
        scene: Scene,
        cotangent: Any,
        wanted: Collection[str],
        *,
        entries: Any = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        """Gradients of a function of the pixels with respect to fields of the scene.

        Parameters
        ----------
        scene : Scene
            Derived with `ops`.
        cotangent : array, shape (n_pixels,)
            Derivative of the function by each pixel of `photons`.
        wanted : collection of str
            Names of continuous Scene fields.
        entries : array of int64, shape (n,), optional
            Places in the flattened ``scene.f_table``, ascending: its gradient (n,) is that of these entries alone. Nothing of
            the size of the table is then made.
        progress, cancel : callable, optional
            As for `photons`.

        Returns
        -------
        dict
            A gradient of the field's shape for each name.
        """

    @abstractmethod
    def push_forward(
        self,
        scene: Scene,
        tangents: Mapping[str, Any],
        *,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Any:
        """Derivatives of the pixels along directions in the space of the scene's fields.

        Parameters
        ----------
        scene : Scene
            Derived with `ops`.
        tangents : mapping
            For continuous Scene fields, by name: K directions, with the shape (K, *field's shape).
        progress, cancel : callable, optional
            As for `photons`.

        Returns
        -------
        array, shape (K, n_pixels)
        """

    @abstractmethod
    def tracer(self, scene: Scene) -> Callable[[int], tuple[list[Record], float]]:
        """Everything that is computed on the way to one pixel.

        Parameters
        ----------
        scene : Scene
            Derived with `ops`.

        Returns
        -------
        callable
            Takes an index into ``scene.pixels``; returns records, in the order of evaluation, and the expected photons.
        """


def cancelled() -> CoreError:
    """What a rendering ends with that `cancel` has ended."""
    return CoreError(_core.strerror(CANCELLED), CANCELLED)
