"""Comparisons of two images; a failing one names the pixel that differs most, and where its two traces part."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from twin_trace import TracedTwin

import nanobragg as nb
from nanobragg.inspection.tracing.quantities import SCENE, place_of

SHOWN = 12
"""Entries of the traces that are printed, from the first one that differs."""


def worst_pixel(experiment, got, expected, names=("got", "expected")):
    """Text about the pixel in which two images differ most, for the message of a failing assertion.

    The traces are those of the scalar kernel and of the literal twin: the vector kernels keep none, and the original's is
    known for a few pixels only. Where they agree, the fault lies in what is not traced.
    """
    difference = np.abs(np.asarray(got, float) - np.asarray(expected, float))
    at = np.unravel_index(int(np.where(np.isnan(difference), np.inf, difference).argmax()), difference.shape)
    slow, fast = pixel = (int(at[0]), int(at[1]))
    lines = [f"worst pixel: slow {slow} fast {fast}, {names[0]} {got[pixel]:.17g}, {names[1]} {expected[pixel]:.17g}"]
    try:
        lines += two_traces(experiment, pixel)
    except Exception as error:  # the failure that is to be explained must not be hidden
        lines.append(f"no traces: {type(error).__name__}: {error}")
    return "\n".join(["", *lines])


def assert_agree(experiment, got, expected, tolerance, about="", names=("scalar kernel", "twin")):
    """Hold the largest difference of two images to `tolerance` in units of the second's maximum."""
    worst = np.abs(got - expected).max() / max(np.abs(expected).max(), 1e-300)
    if not worst <= tolerance:
        raise AssertionError(f"{worst:.2g} of the maximum {about}" + worst_pixel(experiment, got, expected, names))


def two_traces(experiment, pixel):
    """Lines: the first quantity in which the traces part, and both from there on; the pixel's own where they agree."""
    ours, twin = of_scalar_kernel(experiment, pixel), TracedTwin(experiment, pixel).trace()
    found = nb.compare_traces(ours, twin)
    yield from itertools.takewhile(lambda line: not line.startswith("how the difference grows"), found.lines())
    in_twin = {step.key: step for step in twin.steps}
    both = [(step, in_twin[step.key]) for step in ours.steps if step.key in in_twin]
    parted = found.first and (found.first.name, found.first.index)
    first = next((i for i, (step, _) in enumerate(both) if (step.key == parted if parted else step.index != SCENE)), 0)
    yield f"{'the traces from there on':<56} {'scalar kernel':>24} {'twin':>24}"
    for a, b in both[first : first + SHOWN]:
        for i, (x, y) in enumerate(zip(a.numbers, b.numbers, strict=False)):
            label = f"{a.name} {place_of(a.index)}" if i == 0 else ""
            yield f"  {label:<54} {x + 0.0:>24.16g} {y + 0.0:>24.16g}"
    left = len(both) - first - SHOWN
    if left > 0:
        yield f"  ... and {left} more"


def of_scalar_kernel(experiment, pixel):
    """The scalar kernel's trace, with F_latt as the twin records it: without its sign."""
    trace = nb.trace(experiment, pixel)
    steps = [dataclasses.replace(s, value=abs(s.value)) if s.name == "F_latt" else s for s in trace.steps]
    return dataclasses.replace(trace, source="scalar kernel", steps=steps)
