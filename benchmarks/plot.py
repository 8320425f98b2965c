"""Plots of a benchmark report: time over evaluations, speed over threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def plot(report: dict[str, Any], folder: Path) -> None:
    """Write scaling.png into the folder."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 4), constrained_layout=True)
    for name, fit in report["scaling"].items():
        x = np.array(fit["evaluations"])
        left.loglog(x, fit["seconds"], "o", label=f"over {name}: {fit['b_ns']:.2f} ns per evaluation")
        fitted = x[x >= 1e7]
        line = fit["a"] + fit["b_ns"] * 1e-9 * fitted
        left.loglog(fitted, line, "-", color=left.lines[-1].get_color(), linewidth=0.8)
    left.set(xlabel="evaluations", ylabel="CPU time [s]")
    left.legend()
    counts = [int(n) for n in report["threads"]]
    right.plot(counts, list(report["threads"].values()), "o-")
    right.plot(counts, counts, ":", color="grey")
    right.set(xlabel="threads", ylabel="times as fast as one", xticks=counts, ylim=(0, None))
    figure.savefig(folder / "scaling.png", dpi=120)
