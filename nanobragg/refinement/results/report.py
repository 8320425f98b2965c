"""The report of a refinement: one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.io.atomic import write_bytes
from nanobragg.io.optional import needed

_STYLE = (
    "body{font-family:sans-serif;max-width:72em;margin:2em auto;color:#222}table{border-collapse:collapse}"
    "td,th{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:right}td:first-child,th:first-child{text-align:left}"
    "img{max-width:100%}"
)


def page(path: str | PathLike[str], result: Any) -> None:
    """Write the page of a `Refinement`."""
    errors = list(result.errors.values())
    values = _table(
        ["", "start", "refined", "error", ""],
        [
            [name, f"{before:.8g}", f"{after:.8g}", f"{error:.2g}", unit]
            for name, before, after, error, unit in zip(
                result.names, result.start, result.estimate, errors, result.units, strict=True
            )
        ],
    )
    steps = _table(
        ["stage", "evaluations", "chi-squared", ""],
        [[s.name, str(s.evaluations), f"{s.cost:.4g}", s.note] for s in result.steps],
    )
    shells = _table(
        ["d [Angstrom]", "shoeboxes", "chi-squared"],
        [[f"{s.d_max:.2f} - {s.d_min:.2f}", str(s.count), f"{s.chi2:.3f}"] for s in result.shells],
    )
    correlation = _table(
        ["", *(str(i + 1) for i in range(len(result.names)))],
        [[f"{i + 1} {name}", *(f"{v:+.2f}" for v in row)]
         for i, (name, row) in enumerate(zip(result.names, result.correlation, strict=True))],
    )  # fmt: skip
    text = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Refinement</title><style>{_STYLE}</style>"
        f"<h1>Refinement</h1><p>{html.escape(result.message)}</p><p>chi-squared {result.chi2:.3f} over {len(result.spots)} "
        f"shoeboxes, {result.rejected} left out.</p><h2>Values</h2>{values}<h2>Stages</h2>{steps}"
        f"<h2>Resolution</h2>{shells}<h2>Shoeboxes</h2><p>Measured, model before, model after, residual over its standard "
        f"deviation: the strongest, then the worst.</p>{_boxes(result.pictures)}<h2>Offsets</h2><p>Measured less modelled "
        f"centroids, enlarged.</p>{_offsets(result)}<h2>Correlations</h2>{correlation}</html>"
    )
    write_bytes(path, [text.encode()])


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"


def _figure(width: float, height: float) -> tuple[Any, Any]:
    figures = needed("matplotlib.figure", "the report of a refinement")
    figure = figures.Figure(figsize=(width, height), dpi=80, layout="constrained")
    return figure, figure


def _embedded(figure: Any) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}">'


def _boxes(pictures: tuple[Any, ...]) -> str:
    """Four small pictures for each shoebox."""
    if not pictures:
        return "<p>none</p>"
    figure, _ = _figure(2 * len(pictures), 7.5)
    axes = np.atleast_2d(figure.subplots(4, len(pictures), squeeze=False))
    for column, (title, measured, before, after, residual) in enumerate(pictures):
        top = float(np.nanmax([np.nanmax(measured), np.nanmax(after)]))
        for row, (picture, name) in enumerate(
            ((measured, title), (before, "before"), (after, "after"), (residual, "residual"))
        ):
            axis = axes[row, column]
            axis.set_title(name, fontsize=7)
            axis.set_axis_off()
            if row < 3:
                axis.imshow(picture, cmap="Greys", vmin=0, vmax=top, interpolation="nearest")
            else:
                axis.imshow(picture, cmap="RdBu_r", vmin=-5, vmax=5, interpolation="nearest")
    return _embedded(figure)


def _median(offset: NDArray[np.float64]) -> float:
    return float(np.nanmedian(np.linalg.norm(offset, axis=1)))


def _offsets(result: Any) -> str:
    """Arrows over the detector, panel by panel below each other."""
    offset: NDArray[np.float64] = result.observed - result.modelled
    good = np.isfinite(offset).all(1)
    if not good.any():
        return "<p>none</p>"
    figure, _ = _figure(7, 7)
    axis = figure.subplots()
    starts = np.cumsum([0, *(panel.n_slow for panel in result.spots.geometry.panels)])
    fast, slow = result.spots["fast"][good], result.spots["slow"][good] + starts[result.spots["panel"][good]]
    axis.quiver(fast, slow, *offset[good].T, angles="xy", scale_units="xy", scale=0.02, width=0.002)
    axis.set(
        xlabel="fast [pixels]",
        ylabel="slow [pixels]",
        aspect="equal",
        title=f"median {_median(result.observed - result.modelled_at_start):.2f} pixels before, {_median(offset):.2f} after",
    )
    axis.invert_yaxis()
    return _embedded(figure)
