"""How well a few mosaic domains, and few orientations of diffuse scattering, stand for all (docs/crystals.md, Convergence)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from nanobragg.arrays import detached
from nanobragg.backends import DEFAULT_BACKEND
from nanobragg.constants import RTD
from nanobragg.derivation.crystals.diffuse.scene import diffuse_scene, of_all_orientations
from nanobragg.derivation.crystals.displacement import longest_scattering_vector
from nanobragg.derivation.crystals.mosaic import domains
from nanobragg.derivation.crystals.relaxed import LARGEST
from nanobragg.derivation.derive import Derivation
from nanobragg.derivation.prediction.spots import spread
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.engines.choice import engine
from nanobragg.inspection.coarse import grid, subset

PER_AXIS = {"gaussian": 1.0, "ball": 0.4472136, "cap": 0.4963784, "diffbragg": 0.5773503}
"""Standard deviation of the rotations about an axis, over the spread."""


def mean_rotation_deg(d: Derivation) -> float:
    """By how much the mean orientation of the domains is off [degrees]."""
    found = domains(d.experiment, d.decided.cell, FLOAT_OPS)
    if found.rotation is None:
        return 0.0
    r, n = found.rotation, len(found.rotation[0])
    weight = np.ones(n) if found.weight is None else found.weight
    turn = [float(np.mean(weight * (r[i] - r[j]))) / 2 for i, j in ((7, 5), (2, 6), (3, 1))]
    return math.sqrt(sum(x * x for x in turn)) * RTD


def relative_error(d: Derivation) -> float:
    """Expected difference from an image of very many domains, relative L2 norm of the spots at the corner of the detector.

    For spots of the width b and a broadening m across the ray, n random domains give m/(b sqrt n), as follows from the
    integrals of squared Gaussians; the evenly spread draws of gaussian and ball are nearer by 1 + 1.5 (b/m)^1.6 sqrt(n), as was
    measured to a fifth with 10 to 200 domains, and beyond `LARGEST` of them by 0.9 + 2.6 b/m.
    """
    mosaic, scene = d.experiment.crystal.mosaic, d.scene
    n = scene.n_domains
    if n < 2 or mosaic.model == "given" or mosaic.largest_spread == 0:
        return 0.0
    lengths = [edge * float(count) for edge, count in zip(d.decided.cell.lengths, scene.n_cells, strict=True)]
    block = spread(scene) * float(np.mean([1 / length for length in lengths]))
    spreads = [math.radians(detached(x)) for x in mosaic.spreads]
    if mosaic.covariance_deg2 is not None:
        spreads = [math.radians(mosaic.largest_spread)] * 3
    mean = math.sqrt(sum(x * x for x in spreads) / 3) * PER_AXIS[mosaic.model]
    broadening = mean * longest_scattering_vector(d.decided)
    error = broadening / block / math.sqrt(n)
    if mosaic.model in ("gaussian", "ball"):
        ratio = block / broadening
        error /= min(1 + 1.5 * ratio**1.6 * math.sqrt(n), 20.0) if n <= LARGEST else min(0.9 + 2.6 * ratio, 4.0)
    return error


def sampling(d: Derivation) -> list[str]:
    """What there is to tell of the domains of an experiment; nothing of a single one."""
    n = d.scene.n_domains
    error, off = relative_error(d), mean_rotation_deg(d)
    found = []
    if error > 0:
        found.append(
            f"{n} mosaic domains: spots at the corner of the detector are off by about {min(error, 1.0):.1%} (relative L2) "
            "from those of very many"
        )
    if n > 1 and d.experiment.crystal.mosaic.largest_spread > 0:
        found.append(f"the mean orientation of the domains is off by {off:.2g} degrees")
    return found


_ESTIMATED = 256
"""Pixels at which few orientations are compared with all."""
_MOST_EVALUATIONS = 1 << 26


def diffuse_sampling(d: Derivation) -> list[str]:
    """What there is to tell of the orientations and the neighbors of diffuse scattering."""
    diffuse = d.experiment.crystal.diffuse
    if not diffuse.acts:
        return []
    near = d.decided.carried(d.experiment.replace("crystal.diffuse.method", "stencil"), {"cell", "size", "placement"})
    few = diffuse_scene(near, d.scene, FLOAT_OPS)  # without a map, which takes long, the orientations are the same
    assert few is not None
    told = []
    count, total = few.scene.n_domains, d.scene.n_phi * d.scene.n_domains
    if count < total:
        per_pixel = few.evaluations_per_pixel // count * total
        part = subset(d.scene, grid(d.scene, max(1, min(_ESTIMATED, _MOST_EVALUATIONS // per_pixel))))
        chosen = engine(DEFAULT_BACKEND)
        values = [
            chosen.diffuse(replace(one, scene=replace(one.scene, pixels=part.pixels)))
            for one in (few, of_all_orientations(few, d.scene))
        ]
        off = float(np.abs(values[0] - values[1]).max() / max(values[1].max(), 1e-300))
        told.append(
            f"diffuse scattering: {count} orientation{'s' * (count > 1)} for {total}, off by {off:.2g} of its largest value at "
            f"{part.n_pixels} pixels"
        )
    if diffuse.map is None and diffuse.method == "stencil":
        edges = [length * 1e10 for length in d.decided.cell.lengths]
        t = min(
            2 * math.pi * detached(g) * (diffuse.stencil + 0.5) / edge
            for g, edge in zip(diffuse.gammas, edges, strict=True)
        )
        beyond = min(1.0, 4 / math.pi / t)
        told.append(f"diffuse scattering: of reflections all alike those beyond the stencil are about {beyond:.0%}")
    return told
