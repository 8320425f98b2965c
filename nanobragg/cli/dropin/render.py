"""Rendering under the options of the command, with its progress and its printout."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from nanobragg.cli.dropin.report import out_of_range
from nanobragg.cli.progress import ProgressReport
from nanobragg.derivation.derive import Derivation
from nanobragg.errors import BackendUnavailableError, UsageError
from nanobragg.exchange.command_line.reading import CommandLine, Output


def options_of(line: CommandLine) -> Any:
    """Where and how to render, checked.

    Raises
    ------
    UsageError, ConfigError
        For an unknown backend, kernel or number type, or a thread count below 1.
    """
    from nanobragg.api import RenderOptions

    own = line.own
    backend = str(own.get("backend", "c"))
    dtype: Any = own.get("dtype")
    if dtype not in (None, "float32", "float64"):
        raise UsageError(f"--dtype {dtype}: must be float32 or float64")
    if dtype is not None and backend == "torch":
        try:
            import torch
        except ImportError as error:
            raise BackendUnavailableError("--backend torch needs PyTorch: pip install 'nanobragg[torch]'") from error
        dtype = getattr(torch, dtype)
    if "memory" in own and not float(own["memory"]) > 0:
        raise UsageError(f"--memory {own['memory']}: must be > 0 GiB")
    budget = line.max_bytes if "memory" in own else None
    options = RenderOptions(backend, _threads(line), str(own.get("kernel", "auto")), dtype, own.get("device"), budget)
    return options


def _threads(line: CommandLine) -> int | None:
    if "threads" in line.own:
        if int(line.own["threads"]) < 1:
            raise UsageError(f"--threads {line.own['threads']}: must be >= 1")
        return int(line.own["threads"])
    text = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(text) if text.isdigit() and int(text) > 0 else None


def render(line: CommandLine, options: Any, output: Output, d: Derivation, say: Callable[[str], None]) -> Any:
    """The image, with progress lines or bar, or with the printout of -printout."""
    roi = line.roi()
    n_roi = (roi.x_max - roi.x_min + 1) * (roi.y_max - roi.y_min + 1)
    off = d.scene.interpolation_off[0]
    with ProgressReport(
        d.scene.n_pixels, n_roi, shown=output.progress and not output.printout, message=out_of_range(d), message_at=off
    ) as progress:
        if options.backend == "c":
            image = options.render_scene(d.scene, progress)
        else:
            image = options.render(d.experiment, None, progress)
        progress(d.scene.n_pixels, d.scene.n_pixels)
    if output.printout:
        from nanobragg.cli.dropin.printout import printout

        for text in printout(d, output.printout_pixel):
            say(text)
    return image
