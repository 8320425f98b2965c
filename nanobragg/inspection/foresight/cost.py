"""What a run takes: evaluations, time, memory, and the setting that makes it long.

The time is the number of evaluations times that of one, by a table of what kernels take. Where it matters, a probe of some
hundredths of a second replaces the table: a few rows across the detector, with the loops of a pixel cut short.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import available_cores
from nanobragg.config.crystal import Shape
from nanobragg.derivation.crystals.diffuse.scene import diffuse_scene
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.decisions.limits import needed_bytes
from nanobragg.derivation.scene import Scene
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import Engine
from nanobragg.errors import CoreError, NanoBraggError
from nanobragg.inspection.coarse import subset
from nanobragg.lazy import dataclass

LONG_SECONDS, LARGE_BYTES = 600.0, 8 * 2**30
"""A run beyond is announced."""
_NANOSECONDS = {"scalar": 110.0, "simd-baseline": 12.0, "simd-avx2": 4.5, "simd-avx512": 3.5, "fast": 2.0, "core": 3.5}
"""CPU time of an evaluation on a Zen 4 core, by kernel (docs/performance.md); benchmarks/estimates.py measures them."""
_NANOSECONDS_ELSEWHERE = 80.0
"""Of kernels that are not listed: plain torch on the CPU."""
_INTERPOLATION, _CULLED = 6.0, 0.5
"""What interpolation, and shapes whose spots end, make of it."""
_DIFFUSE = (2.0, 10.0)
"""Of a term of diffuse scattering, by vectors and one by one."""
_PIXEL_NANOSECONDS, _RUN_SECONDS = 1.5, 0.0015
"""For what is no evaluation: the arrays of pixels, once a pixel and again where it is rendered; decisions and derivation,
once a run."""
_PROBE_SECONDS = 0.02
"""Aimed at; a machine or kernel that is half as fast as the table takes twice that."""
_BANDS = 24
"""Places of the detector that are probed."""
_BAND, _FEW_BANDS = 512, 4
"""Pixels that stand side by side, for kernels prepare orientations once a row of a block; fewest bands of a probe."""


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to take."""

    evaluations: int
    cpu_seconds: float
    """on one thread"""
    threads: int
    bytes: int
    """peak, beside the interpreter"""

    @property
    def seconds(self) -> float:
        """On all threads."""
        return self.cpu_seconds / self.threads

    @property
    def is_long(self) -> bool:
        """Whether it takes longer than `LONG_SECONDS`."""
        return self.seconds > LONG_SECONDS

    @property
    def is_large(self) -> bool:
        """Whether it takes more memory than `LARGE_BYTES`."""
        return self.bytes > LARGE_BYTES


def estimate(
    panels: Sequence[Decided], scenes: Sequence[Scene], chosen: Engine, *, n_images: int = 1, probe: bool | None = None
) -> Estimate:
    """Estimate what rendering takes.

    Parameters
    ----------
    panels, scenes : sequences of Decided, Scene
        One for each panel.
    chosen : Engine
    n_images : int
        Images of a scan.
    probe : bool, optional
        Measure the speed of this machine; None: where the table says that it matters.

    Returns
    -------
    Estimate
    """
    threads = chosen.options.n_threads or available_cores()
    evaluations = sum(scene.evaluations for scene in scenes)
    rendered = sum(scene.n_pixels for scene in scenes)
    area = sum(scene.n_fast * scene.n_slow for scene in scenes)
    seconds = sum(_tabulated(scene, chosen) for scene in scenes)
    if probe or (probe is None and n_images * seconds / threads > LONG_SECONDS / 10):
        largest = max(scenes, key=lambda scene: scene.evaluations)
        measured = _probed(largest, chosen)
        if measured is not None and largest.evaluations:
            seconds = measured * evaluations
    if chosen.ops.is_float:
        first = {id(one): (one, scene) for one, scene in reversed(list(zip(panels, scenes, strict=True)))}
        seconds += sum(_diffuse(one, scene, chosen) for one, scene in first.values())
    seconds += _RUN_SECONDS * len(scenes) + 1e-9 * _PIXEL_NANOSECONDS * (area + rendered)
    need = max(sum(needed.values()) for needed in map(needed_bytes, (one.experiment for one in panels)))
    return Estimate(n_images * evaluations, n_images * seconds, threads, need + 8 * area)


def _diffuse(decided: Decided, scene: Scene, chosen: Engine) -> float:
    """CPU seconds of the diffuse scattering of a crystal, once for all sizes of its blocks; not those of making a map."""
    diffuse = decided.experiment.crystal.diffuse
    if not diffuse.acts or diffuse.method == "fft":
        return 0.0
    found = diffuse_scene(decided, scene, FLOAT_OPS)
    assert found is not None
    return 1e-9 * _DIFFUSE["scalar" in chosen.kernel(scene)] * found.evaluations_per_pixel * scene.n_pixels


def _tabulated(scene: Scene, chosen: Engine) -> float:
    """CPU seconds of all evaluations, without running any."""
    try:
        kernel = chosen.kernel(scene)
    except NanoBraggError:
        kernel = ""
    name = kernel.replace(",", " ").split(" ")[0]
    ns = _NANOSECONDS.get(name, _NANOSECONDS_ELSEWHERE)
    if scene.tricubic:
        ns *= _INTERPOLATION
    if scene.shape in (Shape.GAUSS, Shape.TOPHAT):
        ns *= _CULLED
    return 1e-9 * ns * scene.evaluations


def _probed(scene: Scene, chosen: Engine) -> float | None:
    """CPU seconds of one evaluation on this machine; None: the engine renders no scenes of plain numbers, or refuses."""
    if not chosen.ops.is_float or scene.n_pixels == 0:
        return None
    aim = _PROBE_SECONDS / max(1e-12, _tabulated(scene, chosen) / scene.evaluations)
    alone = engine(chosen.name, replace(chosen.options, n_threads=1))
    short = _cut(scene, aim)
    try:
        small, few = _timed(short, alone, 1)
        bands = aim / (_BAND * short.evaluations_per_pixel)
        large, many = _timed(short, alone, min(bands, 2 * _PROBE_SECONDS / max(small, 1e-9)))
    except CoreError:
        return None
    if many <= few or large <= small:
        return large / many
    return (large - small) / (many - few)


def _timed(scene: Scene, alone: Engine, bands: float) -> tuple[float, int]:
    """CPU seconds of bands of a scene, and how many evaluations they have."""
    count = int(np.clip(bands, 1, max(1, scene.n_pixels // _BAND)))
    length = min(_BAND, scene.n_pixels)
    if count > _BANDS:
        length, count = length * count // _BANDS, _BANDS
    part = subset(scene, _bands(scene.n_pixels, length, count))
    part = replace(part, first_pass=(0, 0), orientations_first_pass=None, interpolation_off=(part.n_pixels, 0))
    start = time.process_time()
    alone.photons(part)
    return time.process_time() - start, part.evaluations


def _bands(n: int, length: int, count: int) -> NDArray[np.int64]:
    """Positions of evenly spread runs of pixels, count * length <= n."""
    begins = ((np.arange(count) + 0.5) * n / count - length / 2).astype(np.int64)
    return np.ravel(begins[:, None] + np.arange(length))


def _cut(scene: Scene, evaluations: float) -> Scene:
    """The scene with the longest loops of a pixel cut until a few bands have no more evaluations."""
    least = min(scene.n_pixels, _FEW_BANDS * _BAND)
    while scene.evaluations_per_pixel * least > max(evaluations, 1) and (shorter := _shorter(scene)) is not None:
        scene = shorter
    return scene


def _shorter(scene: Scene) -> Scene | None:
    """The scene with its longest loop halved; None: no loop is left."""
    longest = max(scene.oversample**2, scene.n_sources, scene.n_phi, scene.n_domains)
    if longest == 1:
        return None
    if scene.oversample**2 == longest:
        return replace(scene, oversample=max(1, scene.oversample // 2))
    if scene.n_sources == longest:
        return scene.with_sources(slice(scene.n_sources // 2))
    phi, domains = scene.n_phi, scene.n_domains
    phi, domains = (phi // 2, domains) if phi == longest else (phi, domains // 2)
    weight = None if scene.domain_weight is None else scene.domain_weight[:domains]
    return replace(scene, orientations=np.ascontiguousarray(scene.orientations[:phi, :domains]), domain_weight=weight)
