"""Rendering under the options of the command, with its progress and its printout."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from nanobragg.backends import DEFAULT_BACKEND
from nanobragg.cli.dropin.printout import printout
from nanobragg.cli.dropin.report import out_of_range
from nanobragg.cli.progress import ProgressReport
from nanobragg.derivation.derive import Derivation, derive
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import Engine, RenderOptions
from nanobragg.errors import UsageError
from nanobragg.exchange.command_line.reading import CommandLine, Output


def engine_of(line: CommandLine, backend: str | None = None) -> Engine:
    """The engine of the command, or the one of a name without what another engine alone understands.

    It is the independent one of its name, so that a comparison of two runs is one of two implementations.

    Raises
    ------
    UsageError, ConfigError
        For an unknown backend, kernel or number type, or a thread count below 1.
    BackendUnavailableError
        For a backend, kernel or device that is not here.
    """
    own = line.own
    dtype = own.get("dtype")
    if dtype not in (None, "float32", "float64"):
        raise UsageError(f"--dtype {dtype}: must be float32 or float64")
    if "memory" in own and not float(own["memory"]) > 0:
        raise UsageError(f"--memory {own['memory']}: must be > 0 GiB")
    options = RenderOptions(
        kernel=str(own.get("kernel", RenderOptions.kernel)),
        n_threads=_threads(line),
        dtype=dtype,
        device=own.get("device"),
        memory_budget=line.max_bytes if "memory" in own else None,
    )
    name = backend or str(own.get("backend", DEFAULT_BACKEND))
    return engine(name, options, lenient=backend is not None).independent()


def _threads(line: CommandLine) -> int | None:
    if "threads" in line.own:
        if int(line.own["threads"]) < 1:
            raise UsageError(f"--threads {line.own['threads']}: must be >= 1")
        return int(line.own["threads"])
    text = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(text) if text.isdigit() and int(text) > 0 else None


def render(line: CommandLine, chosen: Engine, output: Output, d: Derivation, say: Callable[[str], None]) -> Any:
    """The image, with progress lines or bar, or with the printout of -printout."""
    roi = line.roi()
    n_roi = (roi.x_max - roi.x_min + 1) * (roi.y_max - roi.y_min + 1)
    off = d.scene.interpolation_off[0]
    with ProgressReport(
        d.scene.n_pixels, n_roi, shown=output.progress and not output.printout, message=out_of_range(d), message_at=off
    ) as progress:
        scene = d.scene if chosen.ops.is_float else derive(d.decided, chosen.ops)
        # the files hold float32: what is in numpy anyhow is rounded block by block
        files_hold = np.empty((scene.n_slow, scene.n_fast), np.float32) if chosen.ops.is_float else None
        image = chosen.image(scene, progress=progress, out=files_hold)
        progress(d.scene.n_pixels, d.scene.n_pixels)
    if output.printout:
        for text in printout(d, output.printout_pixel):
            say(text)
    return image
