"""HTML of experiments, their parts and images, as notebooks show it (``_repr_html_``)."""

from __future__ import annotations

import base64
import dataclasses
import html
from collections.abc import Iterator
from typing import Any

import numpy as np

from nanobragg.arrays import is_tensor
from nanobragg.config import Experiment, UnitCell
from nanobragg.config.fields import Config
from nanobragg.config.spoken.speaks import overridden, shown_value, told
from nanobragg.errors import NanoBraggError
from nanobragg.exchange.geometry import of_experiment
from nanobragg.exchange.notebook.layout import layout_svg
from nanobragg.io.images.png import encode_png, preview

_EDGE = 320
"""Longest edge of a picture [pixels]."""
_PICTURES = 4
"""Of many panels, pictures of so many are shown."""
_LEFT = "<td style='text-align:left'>{}</td>"
_ROW = f"<tr>{_LEFT}{_LEFT}<td>{{}}</td>{_LEFT}</tr>"
_HEAD = "".join(
    f"<th scope='col' style='text-align:left'>{name}</th>" for name in ("field", "value", "unit", "meaning")
)
_CELLS = "display:flex;gap:1.5em;align-items:flex-start;flex-wrap:nowrap"


def experiment_html(experiment: Experiment) -> str:
    """The panels as the beam sees them, and what differs from the defaults."""
    try:
        picture = layout_svg(of_experiment(experiment))
    except (NanoBraggError, ArithmeticError, np.linalg.LinAlgError):  # what cannot be placed is still to be read
        picture = ""
    table = part_html(experiment)
    return f"<div style='{_CELLS}'>{picture}<div>{table}</div></div>"


def part_html(part: Config) -> str:
    """A table of the fields that differ from their defaults: value, unit, meaning."""
    rows = "".join(_rows(part, ""))
    head = f"<b>{type(part).__name__}</b>"
    if not rows:
        return f"{head}: defaults throughout"
    return f"{head}<table><thead><tr>{_HEAD}</tr></thead><tbody>{rows}</tbody></table>"


def _rows(part: Any, path: str) -> Iterator[str]:
    known = {field.name: field.metadata for field in dataclasses.fields(part)}
    for name, value in told(part):
        meta, here = known[name], f"{path}{name}"
        if isinstance(value, UnitCell) or (isinstance(value, Config) and next(told(value), None) is None):
            yield _row(here, repr(value), meta)
        elif isinstance(value, Config):
            yield from _rows(value, f"{here}.")
        elif isinstance(value, tuple) and any(isinstance(item, Config) for item in value):
            yield _row(here, f"{len(value)} of them; the first:", meta)
            yield from _rows(value[0], f"{here}[0].")
        else:
            yield _row(here, part._worded(name, value).strip("'"), meta)
    for name, reason in overridden(part).items():
        text = f"<s>{html.escape(shown_value(getattr(part, name)))}</s> has no effect: {html.escape(reason)}"
        yield _ROW.format(f"{path}{name}", text, html.escape(known[name]["unit"]), "")


def _row(path: str, text: str, meta: Any) -> str:
    return _ROW.format(path, html.escape(text), html.escape(meta["unit"]), html.escape(meta["doc"]))


def images_html(images: Any, caption: str) -> str:
    """Small pictures of an image, or of the first panels of several."""
    several = isinstance(images, list) or np.ndim(images) == 3
    shown = list(images)[:_PICTURES] if several else [images]
    more = f" (the first {_PICTURES} of {len(images)} panels)" if several and len(images) > _PICTURES else ""
    return (
        f"<div><div>{html.escape(caption)}{more}</div><div style='{_CELLS}'>{''.join(map(_picture, shown))}</div></div>"
    )


def _picture(image: Any) -> str:
    pixels = np.asarray(image.detach().cpu() if is_tensor(image) else image)
    step = max(1, -(-max(pixels.shape) // _EDGE))
    rows, columns = (n // step * step for n in pixels.shape)
    blocks = pixels[:rows, :columns].reshape(rows // step, step, columns // step, step)
    data = base64.b64encode(encode_png(preview(blocks.max(axis=(1, 3))))).decode()
    return f"<img style='image-rendering:pixelated;border:1px solid #d0d7de' alt='image' src='data:image/png;base64,{data}'>"
