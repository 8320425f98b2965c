"""Masks as lists of rectangles, and back."""

from __future__ import annotations

from typing import Any

import numpy as np


def mask_without(rectangles: Any, n_fast: int, n_slow: int) -> Any:
    """A mask of rectangles (fast start, slow start, fast end, slow end), half-open; True = rendered."""
    if not rectangles:
        return None
    mask = np.ones((n_slow, n_fast), bool)
    for f0, s0, f1, s1 in rectangles:
        mask[max(0, s0) : s1, max(0, f0) : f1] = False
    return mask


def rectangles(mask: Any) -> list[list[int]]:
    """Masked pixels as rectangles: runs along the fast axis, joined over equal rows."""
    if mask is None or mask.all():
        return []
    done: list[list[int]] = []
    running: dict[tuple[int, int], list[int]] = {}
    for s, row in enumerate(~np.asarray(mask, bool)):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        runs = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
        running = {run: running[run] if run in running else [run[0], s, run[1], s + 1] for run in runs}
        for rectangle in running.values():
            rectangle[3] = s + 1
            if rectangle not in done:
                done.append(rectangle)
    return done
