"""Compiles the kernels of Triton to machine code of NVIDIA's cards as `TritonSum` launches them; prints what they use as JSON.

A program of its own: a driver stands in for the card's, which this machine need not have.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import warnings

import torch
import triton
from experiments import base
from nanobragg.torch_backend.kernels.inputs import NAMES, prepare
from nanobragg.torch_backend.kernels.triton import TritonSum, sums
from nanobragg.torch_backend.ops import TORCH_OPS
from triton import knobs
from triton.backends.compiler import GPUTarget

from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve

NEAREST = base().replace("sampling.interpolate", "nearest")
CASES = {
    "square, sm_90": (90, NEAREST, torch.float64, "f64"),
    "gauss, mixed, pairs, sm_80": (
        80, NEAREST.replace("crystal.shape", "gauss").replace("detector.sensor", None), torch.float32, "f32x2",
    ),
}  # fmt: skip
MOVED = ("frame", "cells", "wavenumber", "spot", "table")


class NoCard:
    """A driver without a device: enough for `warmup`, which compiles and launches nothing."""

    def __init__(self, arch):
        self.arch = arch

    def get_current_target(self):
        return GPUTarget("cuda", self.arch, 32)

    def get_current_device(self):
        return self.arch  # compiled kernels are kept by device

    def get_current_stream(self, device=None):
        return 0


def used(cubin):
    """(registers, bytes of stack), by NVIDIA's tool in the package triton."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        tool = [knobs.nvidia.cuobjdump.path, "-res-usage", file.name]
        text = subprocess.run(tool, capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.search(r"REG:(\d+) STACK:(\d+)", text).groups()))


def compiled(arch, experiment, dtype, phase):
    """What every kernel uses that the image, all gradients and two tangents launch."""
    triton.runtime.driver.set_active(NoCard(arch))
    found = {}

    def launch(kernel, grid, *args, **named):
        done = kernel.warmup(*args, grid=grid, **named, enable_fp_fusion=True)
        found.setdefault(kernel.__name__, used(done.asm["cubin"]))

    sums._launch = launch
    scene = derive(resolve(experiment), TORCH_OPS)
    plan, inputs = prepare(scene, torch.device("cpu"), dtype, phase, 10**5)
    of = TritonSum(plan, 2**28)
    of.photons(inputs.tensors(), None)
    of.pull_back(inputs.tensors(), torch.ones(plan.n_pixels, dtype=torch.float64), frozenset(NAMES))
    of.push_forward(inputs.tensors(), {name: torch.stack([getattr(inputs, name)] * 2) for name in MOVED})
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps({name: compiled(*case) for name, case in CASES.items()}, indent=1))
