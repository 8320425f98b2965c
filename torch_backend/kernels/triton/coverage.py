"""What kernel "triton" serves, told before Triton is imported."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import metadata

import torch

from nanobragg.config.quirks import Quirk
from nanobragg.derivation.scene import FactorMode, Scene

OLDEST = (3, 3)
"""Version of Triton from which on its functions take and return tuples."""
OLDEST_CARD = (7, 0)
"""Compute capability that Triton wants."""


def interpreted() -> bool:
    """Whether Triton runs its kernels in Python, on the CPU: for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def lacks(device: torch.device) -> str | None:
    """Why the kernel cannot run on a device; None: it can."""
    reason = _missing()
    if reason is not None or interpreted():
        return reason
    if device.type != "cuda":
        return f"it runs on CUDA devices and not on {device.type}"
    capability = torch.cuda.get_device_capability(device) if torch.version.hip is None else OLDEST_CARD
    if capability < OLDEST_CARD:
        return f"the card has compute capability {'.'.join(map(str, capability))}, and Triton wants 7.0"
    return None


@lru_cache(1)
def _missing() -> str | None:
    """What is wrong with the package triton; None: nothing."""
    try:
        version = metadata.version("triton")
    except metadata.PackageNotFoundError:
        return "the package triton is not installed (pip install 'nanobragg[triton]')"
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        return f"triton {version} is too old: it takes {'.'.join(map(str, OLDEST))}"
    return None


def obstacle(scene: Scene) -> str | None:
    """Why the kernel cannot render a scene; None: it can."""
    modes = (scene.capture_mode, scene.polar_mode, scene.omega_mode)
    for wrong, reason in (
        (
            any(mode is not FactorMode.PER_TERM for mode in modes)
            or scene.orientations_first_pass is not None
            or Quirk.DMIN_ZEROES_WATER in scene.quirks,
            "it has the corrected sum, and quirks are in force that change it",
        ),
        (scene.tricubic and min(scene.table_shape) >= 4, "it takes the nearest structure factor"),
        (scene.n_tables > 1, "it takes one table of structure factors for all wavelengths"),
        (scene.curved, "it has flat detectors"),
        (scene.n_slow * scene.n_fast >= 2**31, "it counts pixels up to 2^31"),
    ):
        if wrong:
            return reason
    return None
