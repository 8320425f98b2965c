"""The picture of an image that `nanoBragg view` and `show` draw."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.exchange.geometry import of_experiment
from nanobragg.exchange.notebook.layout import in_laboratory, on_plane
from nanobragg.inspection.pictures.assembled import as_panels, assembled, below_each_other
from nanobragg.io.geometry.record import Geometry, Panel
from nanobragg.io.optional import needed

_BRIGHT, _DIM = 99.9, 50.0
"""Percentiles of the pixels above 0 that are shown black, and where the scale turns from linear to logarithmic."""
_BETWEEN = "#dde7f3"
"""Color of what is no pixel."""
_OF_CRYSTALS = ("tab:orange", "tab:blue", "tab:green", "tab:red", "tab:purple")
"""Colors of the marks, crystal by crystal, then again."""
_NAMED = 40
"""Panels get their names written beside them up to so many."""
_ROUND = (20, 15, 10, 8, 6, 5, 4, 3.5, 3, 2.5, 2.2, 2, 1.8, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1, 1, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Resolutions of rings [Angstrom]."""


def show(image: Any, experiment: Experiment | None = None, *, maximum: float | None = None, title: str = "") -> Any:
    """A picture of an image, as `nanoBragg view` draws it: notebooks show it, and it can be saved.

    Parameters
    ----------
    image : (n_slow, n_fast) array or tensor; (n_panels, n_slow, n_fast), or a list of one for each panel
        As `simulate` and the readers return it; negative and undefined pixels are white.
    experiment : Experiment, optional
        For resolution rings, the beam center, and the places of panels, which are put together as the beam sees them.
    maximum : float, optional
        Shown black; None: automatic.
    title : str
        Above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        ``show(image, experiment).savefig("image.png")`` writes it.

    Raises
    ------
    ConfigError
        When the image is not that of the detector.
    BackendUnavailableError
        Without matplotlib.
    """
    return drawn(image, None if experiment is None else of_experiment(experiment), title, maximum)


def drawn(
    image: Any, geometry: Geometry | None, title: str, maximum: float | None = None, *,
    spots: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]] | None = None, marks: bool = True, what: str = "nb.show",
) -> Any:  # fmt: skip
    """The figure.

    Parameters
    ----------
    image : array or list of arrays
        As for `show`; panels may also stand below each other in one array.
    geometry : Geometry, optional
        Of the panels, for rings, beam center and places.
    title : str
        Above the picture.
    maximum : float, optional
        Shown black.
    spots : tuple of four arrays, optional
        Crystal, panel, fast, slow [pixels] of places that are marked with a square, of every crystal in another color.
    marks : bool
        Whether rings, beam center and names are drawn.
    what : str
        Who asks for matplotlib, for the message when it is missing.
    """
    figures, colors = needed("matplotlib.figure", what), needed("matplotlib.colors", what)
    arrays = as_panels(image, geometry)
    if geometry is not None and len(arrays) > 1:
        place: _Place = _Laboratory(geometry.along_beam())
        laid = assembled(arrays, geometry)
        values, extent = laid.values, laid.extent
    else:
        place = _Rows(geometry)
        values = np.asarray(below_each_other(arrays), np.float64)
        extent = (0.0, float(values.shape[1]), float(values.shape[0]), 0.0)
    lit = values[values > 0]
    top = maximum or (float(np.percentile(lit, _BRIGHT)) if lit.size else 1.0)
    knee = min(float(np.percentile(lit, _DIM)) if lit.size else 1.0, top / 2)
    n_slow, n_fast = values.shape
    figure = figures.Figure(figsize=(8.0, 8.0 * n_slow / n_fast + 0.4), dpi=max(100.0, n_fast / 8.0), layout="tight")
    axes = figure.add_subplot()
    axes.set_facecolor(_BETWEEN)
    grey = needed("matplotlib", what).colormaps["Greys"].with_extremes(bad=(0, 0, 0, 0))
    norm = colors.AsinhNorm(linear_width=knee, vmin=0, vmax=top)
    axes.imshow(np.clip(values, 0, None), cmap=grey, interpolation="nearest", norm=norm, extent=extent)
    axes.set(title=title, xlabel=place.labels[0], ylabel=place.labels[1])
    if marks and place.geometry is not None:
        _mark(axes, place)
    if spots is not None and len(spots[0]):
        crystal, *places = spots
        for number in np.unique(crystal):
            x, y = place.spots(*(values[crystal == number] for values in places))
            color = _OF_CRYSTALS[int(number) % len(_OF_CRYSTALS)]
            axes.plot(x, y, "s", color=color, fillstyle="none", markersize=5, markeredgewidth=0.6)
    axes.set(xlim=extent[:2], ylim=extent[2:])
    figure._repr_png_ = partial(_png, figure)  # what a notebook asks for; without pyplot it knows no figures
    return figure


def _png(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


class _Place:
    """Where pixels of panels are drawn."""

    labels: tuple[str, str]

    def __init__(self, geometry: Geometry | None) -> None:
        self.geometry = geometry
        counts = [0] if geometry is None else [0, *(panel.n_slow for panel in geometry.panels)]
        self.starts = np.cumsum(counts)

    def at(self, i: int, fast: NDArray[Any], slow: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Places on the axes of (fast, slow) of panel i."""
        raise NotImplementedError

    def spots(self, panel: Any, fast: Any, slow: Any) -> NDArray[np.float64]:
        """(2, n) places on the axes of spots on several panels."""
        found = np.zeros((2, len(panel)))
        for i in np.unique(panel):
            here = panel == i
            found[:, here] = self.at(int(i), np.asarray(fast, float)[here], np.asarray(slow, float)[here])
        return found


class _Rows(_Place):
    """One panel, or several below each other, in pixels."""

    labels = ("fast [pixels]", "slow [pixels]")

    def at(self, i: int, fast: NDArray[Any], slow: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return fast, slow + (self.starts[i] if i < len(self.starts) else 0)


class _Laboratory(_Place):
    """Panels where they stand, seen along the beam."""

    labels = ("seen along the beam [mm]", "[mm]")

    def at(self, i: int, fast: NDArray[Any], slow: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        assert self.geometry is not None
        return on_plane(self.geometry.panels[i], fast, slow)


def resolution(
    panel: Panel, beam: NDArray[Any], wavelength: float, fast: NDArray[Any], slow: NDArray[Any]
) -> NDArray[np.float64]:
    """Spacing d = lambda/(2 sin theta) [Angstrom] at places of a panel [pixels]."""
    position = in_laboratory(panel, fast, slow)
    cosine = position @ beam / np.linalg.norm(position, axis=-1)
    return np.asarray(wavelength / (2 * np.sqrt(np.maximum((1 - cosine) / 2, 1e-12))))


def beam_center(panel: Panel, beam: NDArray[Any]) -> NDArray[np.float64]:
    """(fast, slow) where the beam meets the plane of a panel [pixels]; infinite where it does not."""
    along = float(beam @ panel.normal)
    if abs(along) < 1e-6:
        return np.full(2, np.inf)
    corner, right, below = in_laboratory(panel, np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    point = panel.distance / along * beam - corner
    return np.asarray(np.linalg.lstsq(np.stack([right - corner, below - corner], axis=1), point, rcond=None)[0])


def _mark(axes: Any, place: _Place) -> None:
    """Rings at round resolutions, a cross where the beam meets a panel, and the names of the panels."""
    geometry = place.geometry
    assert geometry is not None
    several = 1 < len(geometry.panels) <= _NAMED
    maps = []
    for i, panel in enumerate(geometry.panels):
        if several:
            (x,), (y,) = place.at(i, np.array([panel.n_fast / 2]), np.array([panel.n_slow / 2]))
            axes.annotate(panel.name, (x, y), color="tab:red", fontsize=6, ha="center", alpha=0.7)
        if geometry.wavelength is None or geometry.beam is None:
            continue
        center = beam_center(panel, geometry.beam)
        if (center >= 0).all() and center[0] <= panel.n_fast and center[1] <= panel.n_slow:
            axes.plot(*place.at(i, center[:1], center[1:]), "+", color="tab:red", markersize=12)
        step = max(1, max(panel.n_slow, panel.n_fast) // 400)
        slow, fast = np.mgrid[0 : panel.n_slow + 1 : step, 0 : panel.n_fast + 1 : step].astype(float)
        maps.append((*place.at(i, fast, slow), resolution(panel, geometry.beam, geometry.wavelength, fast, slow)))
    if not maps:
        return
    levels = round_levels(min(float(d.min()) for *_, d in maps), max(float(d.max()) for *_, d in maps))
    for x, y, d in maps:
        inside = [level for level in levels if d.min() < level < d.max()]
        if inside and min(d.shape) > 1:
            # 1/d is smooth through the center, d is not
            rings = axes.contour(
                x, y, 1 / d, levels=sorted(1 / level for level in inside), colors="tab:blue", linewidths=0.6
            )
            axes.clabel(rings, fmt=lambda value: f"{1 / value:.3g} Å", fontsize=7)


def round_levels(low: float, high: float) -> list[float]:
    """About five round resolutions between two, denser towards the edge of the image."""
    inside = [float(d) for d in _ROUND if low < d < high]
    return inside[:: -max(1, len(inside) // 5)] if inside else []
