"""From a decided experiment to the image, for those who work with decided experiments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nanobragg.torch_backend.engine import TorchEngine
from torch import Tensor

from nanobragg.derivation.crystals.lattices import with_one_background
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.engines.c import beneath
from nanobragg.engines.diffuse import with_diffuse
from nanobragg.engines.engine import Progress, RenderOptions
from nanobragg.engines.together import image_of
from nanobragg.imaging.background import with_background


def simulate(
    decided: Decided | Sequence[Decided],
    *,
    roi: tuple[slice, slice] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Tensor:
    """Simulate one image: expected photons per pixel, differentiable with respect to every tensor in the experiment.

    Parameters
    ----------
    decided : Decided, or sequence of them
        One for each lattice in the beam, from `nanobragg.derivation.resolve.resolve`.
    roi : tuple of slice, optional
        (slow, fast), half-open; only these pixels are computed.
    progress : callable, optional
        Receives (pixels done, pixels in all).
    **options
        As for `nanobragg.simulate`: kernel, precision, dtype, device, n_threads, memory_budget, phase,
        twice_differentiable. Geometry, orientations and indices are float64 with every dtype, or float32 pairs with
        ``phase="f32x2"``, for devices on which float64 is slow. ``memory_budget`` are the bytes that one block of
        evaluations may take, forward or backward; the image and the table come on top. ``twice_differentiable`` lets
        autograd record the whole sum, and memory grows with the problem. ``kernel="compiled"`` makes one loop of the
        evaluations of square crystals without interpolation; its first call takes a minute, and a C++ compiler.

    Returns
    -------
    Tensor, shape (n_slow, n_fast)
        0 outside the ROI and the mask.

    Raises
    ------
    ConfigError
        For an option that does not exist, or a derivation that fails.
    BackendUnavailableError
        For a device or kernel that this machine or build of torch does not have.

    Notes
    -----
    Gradients are those of the sum as it is computed. None passes through what is discrete: counts, the nearest index at which
    an amplitude is looked up (only the amplitude itself gets one), the edge of a top-hat, `d_min`, the cut of a round
    divergence, and whether a stencil fits into the table. At a spread, angle or range of exactly 0 the gradient is the
    right-hand or the zero value, never NaN.

    Backward and forward mode sweep over the same blocks as the image, so that their memory is bounded by `memory_budget`
    too; under quirks that make a pixel depend on what came before, autograd records the whole sum instead.

    Batches: make the decisions once and map the rest, for example
    ``torch.func.vmap(lambda m: render({"crystal.misset_deg": m}))(missets)`` with
    ``render = nanobragg.prepare(experiment, backend="torch")``. The batch is a loop inside; the tangents of one point
    (``torch.func.jacfwd``) share one sweep.
    """
    chosen = RenderOptions(**options)
    parts = [decided] if isinstance(decided, Decided) else list(decided)
    experiment = parts[0].experiment
    engine = TorchEngine(chosen, beneath(chosen)).beside(experiment)
    apart = with_one_background([engine.derivation(one, roi=roi).scenes for one in parts])
    image = image_of(engine, [scene for scenes in apart for scene in scenes], progress=progress)
    for one, (first, *_) in zip(parts, apart, strict=True):
        image = with_diffuse(engine, image, one, first)
    whole: Tensor = with_background(image, experiment, apart[0][0], engine.ops)
    return whole
