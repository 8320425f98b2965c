"""Runs the kernels of Triton in its interpreter, on the CPU, beside plain torch and the C core; prints what it found as JSON.

A program of its own: Triton reads TRITON_INTERPRET once, and its interpreter changes modules for good.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "1"
sys.path[:0] = [str(Path(__file__).parent)]

import numpy as np  # noqa: E402
import torch  # noqa: E402
import triton.runtime.interpreter as interpreter  # noqa: E402
from experiments import BLOCK, GAUSSIAN, base, with_values  # noqa: E402

_patched: set[str] = set()


def _call(function, *args, **named):
    """As the interpreter's, which patches the language again at every call of a device function, so that calls grow slower."""
    module = function.fn.__module__
    if module.startswith("triton.") and module not in _patched:
        _patched.add(module)
        interpreter._patch_lang(function.fn)
    return function.rewrite()(*args, **named)


interpreter.InterpretedFunction.__call__ = _call

from nanobragg.torch_backend.function import TorchSum  # noqa: E402
from nanobragg.torch_backend.kernels.evaluations import Eager  # noqa: E402
from nanobragg.torch_backend.kernels.inputs import NAMES, prepare  # noqa: E402
from nanobragg.torch_backend.kernels.triton import TritonSum  # noqa: E402
from nanobragg.torch_backend.ops import TORCH_OPS  # noqa: E402

import nanobragg as nb  # noqa: E402
from nanobragg.derivation.derive import derive  # noqa: E402
from nanobragg.derivation.resolve import resolve  # noqa: E402
from nanobragg.engines import c as backend_c  # noqa: E402

CPU = torch.device("cpu")
UNREAD = ("arcs", "bend", "domains", "cells_first")
"""Inputs that a flat detector in corrected fidelity does not move."""
DOUBLE, MIXED, PAIRS = (torch.float64, "f64"), (torch.float32, "f64"), (torch.float32, "f32x2")
ONE_PASS = {"detector.sensor": None, "beam.n_wavelengths": None, "beam.dispersion_percent": 0.0}
MASK = np.random.default_rng(2).uniform(size=(5, 6)) > 0.3


def varied(**settings):
    """The experiment of the torch tests, nearest structure factors."""
    changed = {path.replace("__", "."): value for path, value in settings.items()}
    return with_values(base(), {"sampling.interpolate": "nearest", **changed})


def many_domains():
    """Enough orientations for two programs to share those of a pixel."""
    mosaic = nb.Mosaic(spread_deg=0.9, n_domains=20)
    return with_values(varied(crystal__mosaic=mosaic), {**ONE_PASS, "detector.n_fast": 3, "detector.n_slow": 2})


CASES = {
    "square": (varied(), DOUBLE, MIXED, PAIRS),
    "round": (varied(crystal__shape="round"), DOUBLE, MIXED),
    "gauss": (varied(crystal__shape="gauss"), DOUBLE, MIXED),
    "tophat": (varied(crystal__shape="tophat"), DOUBLE),
    "matrix of a block": (
        with_values(varied(), {"crystal.shape": "gauss", "crystal.n_cells": (1, 1, 1), "crystal.block_matrix": BLOCK,
                               **ONE_PASS}), DOUBLE,
    ),
    "sub-pixels": (
        with_values(varied(), {**ONE_PASS, "sampling.oversample": 2, "detector.pixel_size_mm": (2.0, 1.7)}), DOUBLE,
    ),
    "weighted domains, d_min": (
        with_values(varied(), {"crystal.mosaic": GAUSSIAN, "sampling.d_min_angstrom": 6.0, **ONE_PASS}), DOUBLE,
    ),
    "mask, point pixels, unpolarized": (
        with_values(varied(), {**ONE_PASS, "detector.mask": MASK, "detector.point_pixel": True, "beam.polarized": False}),
        DOUBLE,
    ),
    "large square": (with_values(varied(), {**ONE_PASS, "crystal.n_cells": (13, 9, 20)}), DOUBLE, MIXED, PAIRS),
    "one cell along a, no table": (
        with_values(varied(), {**ONE_PASS, "crystal.n_cells": (1, 3, 2),
                               "crystal.structure_factors": nb.StructureFactors.constant(40.0)}), DOUBLE,
    ),
    "many domains": (many_domains(), DOUBLE),
    "two tables": (None, DOUBLE),
}  # fmt: skip


def off(found, expected):
    """Norm of the difference over the norm."""
    size = float(expected.double().norm())
    return float((found.double() - expected.double()).norm()) / size if size else float(found.double().norm())


def two_tables():
    """A scene whose two sources see different structure factors."""
    scene = derive(resolve(with_values(varied(), {"detector.sensor": None, "crystal.mosaic": nb.Mosaic()})), TORCH_OPS)
    other = scene.f_table * torch.linspace(0.5, 1.5, scene.f_table.numel(), dtype=torch.float64).view(
        scene.f_table.shape
    )
    return replace(scene, f_table=torch.cat([scene.f_table, other]), n_tables=2, source_table=np.array([1, 0]))


def figures(experiment, dtype, phase):
    """How far image, gradients and tangents are from those of plain torch in float64, and the image from the C core's."""
    scene = two_tables() if experiment is None else derive(resolve(experiment), TORCH_OPS)
    plan, inputs = prepare(scene, CPU, dtype, phase, 10**5)
    exact, wide = prepare(scene, CPU, torch.float64, "f64", 10**5)
    ours, theirs = TritonSum(plan, 2**28), TorchSum(exact, Eager())
    image, expected = ours.photons(inputs.tensors(), None), theirs.photons(wide.tensors(), None)
    by_core = torch.from_numpy(backend_c.render(scene.plain()).ravel()[scene.pixels])
    cotangent = torch.from_numpy(np.random.default_rng(5).standard_normal(plan.n_pixels))
    wanted = frozenset(NAMES)
    grads = ours.pull_back(inputs.tensors(), cotangent, wanted)
    true = theirs.pull_back(wide.tensors(), cotangent, wanted)
    draws = np.random.default_rng(3)
    tangents = {
        name: torch.from_numpy(draws.standard_normal((3, *t.shape))).to(t.dtype) * t.abs().amax()
        for name, t in zip(NAMES, inputs.tensors(), strict=True) if name not in UNREAD
    }  # fmt: skip
    pushed = ours.push_forward(inputs.tensors(), tangents)
    along = theirs.push_forward(wide.tensors(), {name: t.double() for name, t in tangents.items()})
    return {
        "image": float((image - expected).abs().max() / expected.max()),
        "core": float((image - by_core).abs().max() / by_core.max()),
        "gradients": {name: off(grads[name], true[name]) for name in NAMES},
        "tangents": off(pushed, along),
    }


def small_budget():
    """An image in two parts for want of memory: how far it and its gradients are from those in one."""
    detector = nb.Detector(n_fast=20, n_slow=18, pixel_size_mm=2.0, distance_mm=60.0)
    scene = derive(resolve(with_values(varied(), {**ONE_PASS, "detector": detector, "crystal.mosaic": nb.Mosaic(),
                                                  "goniometer": nb.Goniometer()})), TORCH_OPS)  # fmt: skip
    plan, inputs = prepare(scene, CPU, torch.float64, "f64", 10**5)
    done = []
    image = TritonSum(plan, 1).photons(inputs.tensors(), lambda *report: done.append(report))
    whole, small = TritonSum(plan, 2**28), TritonSum(plan, 1)
    cotangent, wanted = torch.ones(plan.n_pixels, dtype=torch.float64), frozenset({"cells", "frame"})
    grads = [of.pull_back(inputs.tensors(), cotangent, wanted) for of in (whole, small)]
    return {
        "progress": done,
        "image": off(image, whole.photons(inputs.tensors(), None)),
        "gradients": max(off(grads[1][name], grads[0][name]) for name in wanted),
    }


def through_simulate():
    """kernel="triton" as users ask for it: image and gradients against kernel="core", and what is said."""
    grads, images = {}, {}
    paths = ("crystal.misset_deg", "crystal.unit_cell.b", "beam.wavelength_angstrom", "detector.distance_mm")
    for kernel in ("core", "triton"):
        leaves = {p: torch.tensor(varied().get(p), dtype=torch.float64, requires_grad=True) for p in paths}
        render = nb.prepare(varied(), backend="torch", kernel=kernel)
        images[kernel] = render(leaves)
        grads[kernel] = torch.autograd.grad(images[kernel].square().sum(), list(leaves.values()))
    mixed = nb.simulate(varied(), backend="torch", kernel="triton", precision="mixed").detach()
    said = {}
    for name, call in {
        "curved": lambda: nb.simulate(varied(detector__curved=True), backend="torch", kernel="triton"),
        "tricubic": lambda: nb.simulate(base(), backend="torch", kernel="triton"),
        "quirks": lambda: nb.simulate(varied().with_fidelity("reference"), backend="torch", kernel="triton"),
        "twice": lambda: nb.simulate(varied(), backend="torch", kernel="triton", twice_differentiable=True),
        "nan": lambda: table_gradient(float("nan")),
    }.items():
        try:
            call()
        except nb.ConfigError as error:
            said[name] = str(error)
    return {
        "image": off(images["triton"].detach(), images["core"].detach()),
        "mixed": off(mixed, images["core"].detach()),
        "gradients": [off(a, b) for a, b in zip(grads["triton"], grads["core"], strict=True)],
        "said": said,
        "repeated": torch.equal(table_gradient(1.0), table_gradient(1.0)),
    }


def table_gradient(weight):
    """Gradient of the amplitudes, where the pixels count this much."""
    table = varied().crystal.structure_factors
    amplitude = torch.tensor(table.amplitude, requires_grad=True)
    moving = nb.StructureFactors(amplitude=amplitude, hkl_min=table.hkl_min, default_F=table.default_F)
    image = nb.simulate(varied(crystal__structure_factors=moving), backend="torch", kernel="triton")
    return torch.autograd.grad((image * weight).sum(), amplitude)[0]


def main():
    """Everything, as JSON."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    numbers = {(torch.float64, "f64"): "double", (torch.float32, "f64"): "mixed", (torch.float32, "f32x2"): "pairs"}
    found = {
        f"{name}, {numbers[kind]}": figures(experiment, *kind)
        for name, (experiment, *kinds) in CASES.items() for kind in kinds
    }  # fmt: skip
    print(json.dumps({"cases": found, "budget": small_budget(), "simulate": through_simulate()}, indent=1))


if __name__ == "__main__":
    main()
