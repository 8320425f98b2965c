"""Target: random Experiments through construction, resolve, derive and the C engine.

Nothing but a NanoBraggError may come out; what is rendered has the detector's shape and is the same, bit for bit, for
every number of threads and block size; in corrected fidelity a region equals the crop, and the pixels
are finite unless an input is absurdly large or small.
"""

from __future__ import annotations

import dataclasses
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import odd_values
from fuzz_finding import require

import nanobragg as nb
from nanobragg.config.conventions import CONVENTIONS
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.crystals.diffuse import maps
from nanobragg.derivation.crystals.diffuse.scene import diffuse_scene
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.scene import Scene
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.engines import c as backend_c

AFFORDABLE = 200_000
"""Evaluations: about half a second under the sanitizers; the counts below are either small or out of all bounds."""
AFFORDABLE_DIFFUSE = 2_000_000
"""Terms of diffuse scattering, ten for one evaluation."""
maps.LARGEST, maps._SMALL = 1 << 18, 1 << 16  # larger ones are refused, and take seconds
_PARTS: dict[str, type] = {
    "crystal": nb.Crystal, "crystal.unit_cell": nb.UnitCell, "crystal.mosaic": nb.Mosaic, "crystal.diffuse": nb.Diffuse,
    "crystal.sizes": nb.BlockSizes, "crystal.displacement": nb.Displacement, "crystal.damage": nb.Damage, "beam": nb.Beam,
    "beam.divergence": nb.Divergence, "beam.sources": nb.Sources, "beam.spectrum": nb.Spectrum, "detector": nb.Detector,
    "detector.sensor": nb.Sensor, "detector_pose": nb.Pose, "goniometer": nb.Goniometer, "sampling": nb.Sampling,
    "background": nb.Background,
}  # fmt: skip
_FIELDS = {
    f"{part}.{field.name}": field.metadata
    for part, kind in _PARTS.items()
    for field in dataclasses.fields(kind)
    if f"{part}.{field.name}" not in _PARTS
}

Plausible = Callable[[random.Random], Any]


def _vector(low: float, high: float, n: int = 3) -> Plausible:
    return lambda r: tuple(r.uniform(low, high) for _ in range(n))


def _axis(r: random.Random) -> Any:
    x, y, z = r.choice(
        ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0), (0, 0, -1), (1, 1, 0), (0.9998, 0.02, 0), (0, 0, 2))
    )
    wobble = r.choice((0.0, 0.0, 0.01, 0.3))
    return tuple(v + r.uniform(-wobble, wobble) for v in (x, y, z))


def _of(*choices: Any) -> Plausible:
    return lambda r: r.choice(choices)


def _between(low: float, high: float) -> Plausible:
    return lambda r: r.uniform(low, high)


def _symmetric(scale: float, least: float) -> Plausible:
    """Symmetric matrices, most of them with a positive diagonal."""

    def drawn(r: random.Random) -> Any:
        half = np.array([[r.uniform(-scale, scale) for _ in range(3)] for _ in range(3)]) / 3
        return half + half.T * r.choice((1, 1, 1, 0)) + np.eye(3) * r.uniform(least, scale)

    return drawn


def _turns(r: random.Random) -> Any:
    """Rotations about one axis, or something near them."""
    angles = [r.uniform(-0.05, 0.05) for _ in range(r.choice((1, 2, 5)))]
    found = [[[np.cos(x), -np.sin(x), 0], [np.sin(x), np.cos(x), 0], [0, 0, 1]] for x in angles]
    return np.array(found) * r.choice((1, 1, 1, 1, 1.01))


def _diffuse_map(r: random.Random) -> Any:
    shape = r.choice(((2, 2, 2), (11, 6, 4), (1, 3, 3), (20, 20, 20)))
    return np.array([r.uniform(0, 1e4) for _ in range(shape[0] * shape[1] * shape[2])]).reshape(shape)


def _matrix(r: random.Random) -> Any:
    matrix = np.array([[r.uniform(-0.02, 0.02) for _ in range(3)] for _ in range(3)])
    return matrix if r.random() < 0.3 else matrix * (1 if np.linalg.det(matrix) > 0 else -1)


_PLAUSIBLE: dict[str, Plausible] = {
    "crystal.a_star_matrix": _matrix,
    "crystal.misset_deg": lambda r: "random" if r.random() < 0.4 else _vector(-180, 180)(r),
    "crystal.misset_seed": _of(1, 7, -3, 0, 2**31),
    "crystal.n_cells": lambda r: tuple(r.choice((1, 1, 2, 3, 5, 12, 2.5)) for _ in range(3)),
    "crystal.size_mm": lambda r: tuple(r.choice((None, 0, 1e-5, 3e-5, 0.2)) for _ in range(3)),
    "crystal.fudge": _of(0.5, 1.0, 2.0, 0.0, -1.0),
    "crystal.unit_cell.a": _between(5, 150),
    "crystal.unit_cell.b": _between(5, 150),
    "crystal.unit_cell.c": _between(5, 150),
    "crystal.unit_cell.alpha": _between(55, 125),
    "crystal.unit_cell.beta": _between(55, 125),
    "crystal.unit_cell.gamma": _between(55, 125),
    "crystal.block_matrix": _symmetric(6.0, 3.0),
    "crystal.n_blocks": _of(0.0, 1, 3.5, 1e6),
    "crystal.volume_mm3": _of(0.0, 1e-9, 1e-4),
    "crystal.sizes.width": _between(0, 1.1),
    "crystal.diffuse.sigma_angstrom": lambda r: r.choice((0.0, 0.2, 1.0)) if r.random() < 0.7 else _vector(0, 0.6)(r),
    "crystal.diffuse.gamma_angstrom": lambda r: r.choice((2.0, 5.0, 30.0, 0.0)) if r.random() < 0.7 else _vector(1, 40)(r),
    "crystal.diffuse.stencil": _of(0, 1, 1, 2, 50, 51),
    "crystal.diffuse.n_orders": _of(1, 2, 20, 0),
    "crystal.diffuse.laue_group": _of("-1", "4/mmm", "m-3m", "P 21 21 21", "9/m"),
    "crystal.diffuse.grid": _of(1, 4, 7, 40),
    "crystal.diffuse.map": _diffuse_map,
    "crystal.diffuse.map_hkl_min": _vector(-4, 1),
    "crystal.displacement.b_angstrom2": _of(0.0, 10.0, -5.0, 200.0),
    "crystal.displacement.u_angstrom2": _symmetric(0.3, 0.0),
    "crystal.damage.dose_mgy": _of(0.0, 2.0, 30.0),
    "crystal.damage.frame_dose_mgy": _of(0.0, 0.5),
    "crystal.damage.b_per_mgy": _of(0.0, 1.0, -0.3),
    "crystal.damage.decay_per_mgy": _of(0.0, 0.1, -0.1),
    "crystal.damage.dose_1_mgy": _of(14.4, 1.0, 0.0),
    "crystal.damage.exponent": _of(1.0, 1.7, 2.0, 0.0),
    "crystal.space_group": _of("P 1", 19, "P 43 21 2", "P 99"),
    "crystal.mosaic.spread_deg": lambda r: r.uniform(0, 20) if r.random() < 0.5 else _vector(0, 3)(r),
    "crystal.mosaic.covariance_deg2": _symmetric(0.5, 0.2),
    "crystal.mosaic.rotations": _turns,
    "crystal.mosaic.weights": lambda r: [r.choice((0.0, 1.0, 2.5)) for _ in range(r.choice((1, 2, 5)))],
    "crystal.mosaic.strain": _of(0.0, 0.003, 0.3),
    "crystal.mosaic.n_domains": _of(1, 2, 5, 2**31),
    "crystal.mosaic.seed": _of(1, 12345678, -5, 0),
    "beam.wavelength_angstrom": _between(0.3, 8),
    "beam.energy_ev": _between(2000, 30000),
    "beam.fluence_per_m2": _of(0.0, 1.0, 1e24, 1e29),
    "beam.flux_per_s": _of(0.0, 1e12),
    "beam.exposure_s": _of(0.0, 0.1, 1.0),
    "beam.size_mm": _of(0.0, 0.05, 1e-6),
    "beam.kahn_factor": _between(-1, 1),
    "beam.dispersion_percent": _of(0.0, 0.5, 20.0, -1.0, 200.0),
    "beam.n_wavelengths": _of(1, 2, 3, 2**31),
    "beam.divergence.h_mrad": _of(0.0, 1.0, 20.0, -1.0),
    "beam.divergence.v_mrad": _of(0.0, 1.0, 20.0, -1.0),
    "beam.divergence.n_h": _of(1, 2, 3, 4),
    "beam.divergence.n_v": _of(1, 2, 3, 4),
    "beam.divergence.h_step_mrad": _of(0.5, 1.0, 7.0),
    "beam.divergence.v_step_mrad": _of(0.5, 1.0, 7.0),
    "beam.spectrum.fwhm_percent": _of(0.0, 0.2, 5.0, 300.0),
    "beam.spectrum.fwhm_ev": _of(0.0, 20.0, 1e5),
    "beam.spectrum.sigma_low_ev": _of(0.0, 30.0, 1e4),
    "beam.spectrum.sigma_high_ev": _of(0.0, 30.0, 1e4),
    "beam.spectrum.separation_ev": _of(0.0, 100.0, 1e5),
    "beam.spectrum.ratio": _of(0.0, 0.5, 2.0),
    "beam.spectrum.duration_fs": _of(0.1, 10.0, 1e5, 0.0),
    "beam.spectrum.jitter_ev": _of(0.0, 5.0, 1e5),
    "beam.spectrum.seed": _of(0, 7, 2**32, -1),
    "beam.spectrum.shot": _of(0, 3, 2**31, 2**32, 2**40),
    "beam.spectrum.n_wavelengths": _of(1, 2, 3, 8, 2**31),
    "beam.spectrum.energy_ev": lambda r: sorted(r.uniform(5000, 15000) for _ in range(r.choice((0, 1, 3)))),
    "beam.spectrum.wavelength_angstrom": lambda r: [r.uniform(0.5, 2) for _ in range(r.choice((1, 2)))],
    "beam.spectrum.weight": lambda r: [r.choice((0.0, 1.0, 2.5)) for _ in range(r.choice((1, 3)))],
    "detector.n_fast": _of(1, 5, 8, 13, 10**12),
    "detector.n_slow": _of(1, 4, 7, 12, 10**12),
    "detector.pixel_size_mm": _of(0.05, 0.1, 1.0, 5.0, (0.3, 0.7)),
    "detector.size_mm": _of((5.0, 5.0), (None, 3.3), (8.0, 7.1)),
    "detector.distance_mm": _of(1.0, 50.0, 100.0, 5000.0),
    "detector.close_distance_mm": _of(1.0, 50.0, -20.0, 99.0),
    "detector.beam_center_mm": _vector(-5, 12, 2),
    "detector.beam_center_convention_mm": _of((1.0, 2.0), (None, 3.0), (4.0, None)),
    "detector.org_px": _of((1.0, 2.0), (None, 3.0), (4.0, None)),
    "detector.close_point_mm": _of((1.0, 2.0), (None, 3.0), (4.0, None)),
    "detector.rotation_deg": _vector(-40, 40),
    "detector.twotheta_deg": _of(0.0, 10.0, -30.0, 90.0, 170.0),
    "detector.pix0_mm": _vector(-60, 120),
    "detector.mask": lambda r: np.array([[r.random() < 0.7 for _ in range(8)] for _ in range(7)]),
    "detector.sensor.thickness_um": _of(0.0, 100.0, 450.0, -50.0),
    "detector.sensor.attenuation_um": _of(0.0, 234.0, float("inf")),
    "detector.sensor.n_layers": _of(1, 2, 4),
    "detector_pose.shift_mm": _vector(-10, 10),
    "detector_pose.rotation_deg": _vector(-20, 20),
    "detector_pose.origin_mm": lambda r: "sample" if r.random() < 0.5 else _vector(-50, 50)(r),
    "goniometer.phi_start_deg": _of(0.0, -0.2, 30.0, 360.0),
    "goniometer.osc_deg": _of(0.0, 0.2, 1.0, -1.0, 90.0),
    "goniometer.step_deg": _of(0.1, 0.2, 0.5, 0.0),
    "goniometer.n_steps": _of(1, 2, 3, 2**31),
    "sampling.oversample": _of(1, 1, 2, 3, 2**16),
    "sampling.d_min_angstrom": _of(1.0, 3.0, 30.0),
    "sampling.roi": lambda r: tuple(slice(*sorted((r.randint(0, 9), r.randint(0, 9)))) for _ in range(2)),
    "background.water_um": _of(0.0, 2.0, 100.0),
    "beam.sources.direction": lambda r: [_axis(r) for _ in range(2)],
    "beam.sources.wavelength_angstrom": lambda r: [r.uniform(0.5, 2) for _ in range(2)],
    "beam.sources.weight": lambda r: [r.choice((0.0, 0.5, 1.0, -1.0)) for _ in range(2)],
}  # fmt: skip


_SPECTRA: tuple[dict[str, Any], ...] = (
    {"kind": "tophat", "fwhm_percent": 1.0, "n_wavelengths": 3}, {"kind": "gaussian", "fwhm_ev": 40.0},
    {"kind": "gaussian", "fwhm_percent": 0.5, "n_wavelengths": 17}, {"kind": "two_color", "separation_ev": 100.0},
    {"kind": "pink", "sigma_low_ev": 60.0, "sigma_high_ev": 20.0}, {"kind": "sase", "n_wavelengths": 9, "shot": 2},
    {"kind": "given", "energy_ev": [9000.0, 9100.0, 9300.0], "weight": [1.0, 0.0, 2.0]},
)  # fmt: skip


_DIFFUSE: tuple[dict[str, Any], ...] = (
    {"sigma_angstrom": 0.3, "gamma_angstrom": 20.0}, {"sigma_angstrom": (0.3, 0.1, 0.5), "gamma_angstrom": (4.0, 9.0, 30.0)},
    {"sigma_angstrom": 0.3, "gamma_angstrom": 3.0, "method": "fft", "grid": 7}, {"sigma_angstrom": 0.5, "table": "static"},
    {"sigma_angstrom": 0.4, "laue_group": "4/mmm"}, {"sigma_angstrom": 0.4, "stencil": 2, "n_orders": 2},
    {"map": np.linspace(0, 1e5, 512).reshape(8, 8, 8), "map_hkl_min": (-2.0, -1.5, -2.0), "grid": 2},
)  # fmt: skip


def _plausible(path: str, r: random.Random) -> Any:
    if path in _PLAUSIBLE:
        return _PLAUSIBLE[path](r)
    meta = _FIELDS[path]
    if path == "detector.convention":
        return r.choice(list(CONVENTIONS))
    if meta["kind"] == "bool":
        return r.random() < 0.5
    if meta["kind"] == "enum":
        return r.choice(meta["choices"])
    return _axis(r)


def _amplitudes(r: random.Random) -> dict[str, Any]:
    """Arguments of a StructureFactors constructor, with its name."""
    if r.random() < 0.4:
        return {"constant": odd_values.thing(r) if r.random() < 0.1 else r.choice((10.0, 1.0, 1e-3, -4.0, 1e6))}
    n, spread = r.randint(1, 40), r.choice((1, 3, 6))
    hkl: Any = [[r.randint(-spread, spread) for _ in range(3)] for _ in range(n)]
    amplitude: Any = [r.uniform(-5, 100) for _ in range(n)]
    if r.random() < 0.15:
        amplitude[r.randrange(n)] = odd_values.number(r)
    if r.random() < 0.1:
        hkl[r.randrange(n)][r.randrange(3)] = r.choice((0.5, 2**31, -(2**40), 10**30, 20_000, float("nan")))
    if r.random() < 0.05:
        amplitude = odd_values.thing(r)
    return {
        "hkl": hkl,
        "amplitude": amplitude,
        "default_F": r.choice((0.0, 0.0, 3.0, -1.0, odd_values.number(r) if r.random() < 0.3 else 0.0)),
        "energies": r.choice(((), (), (), (9000.0,), (9000.0, 9500.0, 12000.0), (0.0, 1.0))),
    }


def make(r: random.Random) -> dict[str, Any]:
    """Values by path, on top of a small experiment, and options of the call."""
    case: dict[str, Any] = {
        "detector.n_fast": 8, "detector.n_slow": 7, "detector.pixel_size_mm": 1.0, "detector.distance_mm": 50.0,
        "sampling.oversample": r.choice((1, 1, 2)),
        "crystal.n_cells": r.choice(((1, 1, 1), (3, 3, 3), (2, 5, 4))),
    }  # fmt: skip
    if r.random() < 0.98:
        case["crystal.unit_cell"] = (
            r.uniform(20, 90),
            r.uniform(20, 90),
            r.uniform(20, 90),
            90,
            90,
            r.uniform(70, 110),
        )
    odd = r.random() < 0.35
    for path in r.sample(sorted(_FIELDS), r.choice((0, 1, 2, 4, 8, 16))):
        if path.startswith(("beam.sources.", "beam.spectrum.", "crystal.diffuse.")) and r.random() < 0.8:
            continue
        if path == "crystal.structure_factors":
            continue
        case[path] = _plausible(path, r)
        if odd and r.random() < 0.25:
            case[path] = odd_values.number(r) if r.random() < 0.5 else odd_values.thing(r)
        elif odd and r.random() < 0.15 and isinstance(case[path], tuple):
            changed = list(case[path])
            changed[r.randrange(len(changed))] = odd_values.number(r)
            case[path] = tuple(changed)
    if any(path.startswith("beam.sources.") for path in case):
        for name in ("direction", "wavelength_angstrom"):
            case.setdefault(f"beam.sources.{name}", _plausible(f"beam.sources.{name}", r))
    if r.random() < 0.2:
        case.update({f"beam.spectrum.{name}": value for name, value in r.choice(_SPECTRA).items()})
    if "detector.mask" in case and r.random() < 0.8:
        case.update({"detector.n_fast": 8, "detector.n_slow": 7})
    if r.random() < 0.1:
        case.update({f"crystal.diffuse.{name}": value for name, value in r.choice(_DIFFUSE).items()})
    case["structure factors"] = _amplitudes(r)
    some = sorted(quirk.name for quirk in Quirk if r.random() < 0.3 and quirk.name)
    one = r.choice([quirk.name for quirk in Quirk])
    case["quirks"] = r.choice(("reference", "reference", "corrected", "corrected", [one], [one], some))
    case["call"] = {
        "n_threads": r.choice((None, 1, 2, 3)),
        "kernel": r.choice(("auto", "scalar", "simd-baseline", "simd-avx2", "simd-avx512", "fast")),
    }
    if r.random() < 0.2:
        case["call"]["roi"] = r.choice(
            ((slice(0, 3), slice(2, 5)), (slice(None), slice(-3, None)), odd_values.thing(r))
        )
    if r.random() < 0.05:
        case["call"][r.choice(("n_threads", "kernel", "dtype", "backend"))] = r.choice((0, -1, "x", 1.5, "float32"))
    case["panels"] = r.random() < 0.05
    case["lattices"] = r.random() < 0.1
    return case


def check(case: dict[str, Any], folder: Path) -> str:
    """Build and render the case; return what became of it."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return _check(case)
        except nb.NanoBraggError as error:
            require(
                0 < len(str(error)) < 2000, f"the message of {type(error).__name__} has {len(str(error))} characters"
            )
            return "refused"


def _check(case: dict[str, Any]) -> str:
    experiment = _build(case)
    call = dict(case["call"])
    if isinstance(experiment.crystal, tuple):
        return _check_lattices(experiment, call)
    if isinstance(experiment.detector, tuple):
        if any(p.n_fast * p.n_slow > 200 for p in experiment.detector):
            return "too long"
        first = resolve(experiment.replace(detector=experiment.detector[0]))
        if _diffuse_too_long(first, derive(first)):
            return "too long"
        image = nb.simulate(experiment, **call)
        require(image.shape[0] == 2, f"two panels give {image.shape}")
        return "rendered"
    decided = resolve(experiment)
    scene = derive(decided)
    if scene.n_pixels * scene.evaluations_per_pixel > AFFORDABLE or scene.n_fast * scene.n_slow > 10 * AFFORDABLE:
        return "too long"
    if _diffuse_too_long(decided, scene):
        return "too long"
    nb.explain(experiment)
    image = nb.simulate(experiment, **call)
    detector = decided.experiment.detector
    require(image.shape == (detector.n_slow, detector.n_fast), f"shape {image.shape}")
    for kernel in (*{case["call"]["kernel"], "auto"} - {"scalar"}, "scalar"):
        whole = backend_c.render(scene, n_threads=1, kernel=kernel)
        for n_threads, block in ((2, 1), (3, 7)):
            again = backend_c.render(scene, n_threads=n_threads, block=block, kernel=kernel)
            require(
                again.tobytes() == whole.tobytes(), f"{n_threads} threads, blocks of {block}, {kernel}: another image"
            )
    repeatable = not isinstance(experiment.crystal.misset_deg, str) or experiment.crystal.misset_seed is not None
    if repeatable and experiment.fidelity == "corrected" and isinstance(call.get("roi"), tuple):
        roi = call["roi"]
        part = nb.simulate(experiment, roi=roi, kernel="scalar")
        if experiment.crystal.diffuse.acts:
            whole = nb.simulate(experiment, kernel="scalar", n_threads=1)
        require(part[roi].tobytes() == whole[roi].tobytes(), f"the region {roi} differs from the crop")
    if not np.isfinite(whole).all():
        corrected = experiment.fidelity == "corrected" and not _extreme(case)
        require(not corrected, f"corrected fidelity gives {whole[~np.isfinite(whole)][0]}")
        return "not finite"
    return "rendered"


def _check_lattices(experiment: nb.Experiment, call: dict[str, Any]) -> str:
    """Two crystals that are one: each has a part of its own, beside the background."""
    detectors = experiment.detector if isinstance(experiment.detector, tuple) else (experiment.detector,)
    decided = [resolve(experiment.replace(crystal=one, detector=detectors[0])) for one in experiment.crystal]
    scenes = [derive(one) for one in decided]
    if sum(5 * scene.n_pixels * scene.evaluations_per_pixel for scene in scenes) > AFFORDABLE:
        return "too long"
    if any(_diffuse_too_long(one, scene) for one, scene in zip(decided, scenes, strict=True)):
        return "too long"
    nb.explain(experiment)
    call.pop("roi", None)
    parts = nb.simulate(experiment, parts=True, **call)
    names = {"bragg[0]", "bragg[1]", "background"}
    if experiment.crystal[0].diffuse.acts:
        names |= {"diffuse[0]", "diffuse[1]"}
    require(set(parts) == names, f"two crystals give {list(parts)}")
    return "rendered"


def _diffuse_too_long(decided: Decided, scene: Scene) -> bool:
    """Whether the terms of diffuse scattering are too many, at every orientation of the scene, which explain looks at too."""
    if not decided.experiment.crystal.diffuse.acts:
        return False
    # a map takes long itself, and is not larger than maps.LARGEST
    near = decided.carried(decided.experiment.replace("crystal.diffuse.method", "stencil"), set())
    found = diffuse_scene(near, scene, FLOAT_OPS)
    assert found is not None
    terms = (
        found.evaluations_per_pixel // found.scene.n_domains * max(found.scene.n_domains, scene.n_phi * scene.n_domains)
    )
    return scene.n_pixels * terms > AFFORDABLE_DIFFUSE


def _extreme(value: Any) -> bool:
    """Whether a number among the input may overflow when it is squared and multiplied, as an amplitude of 1e200 does."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | np.ndarray):
        return any(_extreme(item) for item in value)
    return isinstance(value, int | float | np.number) and value != 0 and not 1e-60 < abs(value) < 1e60


def _build(case: dict[str, Any]) -> nb.Experiment:
    arguments: dict[str, dict[str, Any]] = {"crystal": {}}
    for path, value in case.items():
        part, _, name = path.rpartition(".")
        if part:
            arguments.setdefault(part, {})[name] = value
    factors = case["structure factors"]
    if "constant" in factors:
        arguments["crystal"]["structure_factors"] = nb.StructureFactors.constant(factors["constant"])
    else:
        table = nb.StructureFactors.from_arrays(
            factors["hkl"], factors["amplitude"], default_F=factors["default_F"], max_bytes=2**22
        )
        if factors["energies"]:
            table = nb.StructureFactors.by_energy(dict.fromkeys(factors["energies"], table))
        arguments["crystal"]["structure_factors"] = table
    cell = arguments["crystal"].get("unit_cell")
    edges = arguments.pop("crystal.unit_cell", None)
    if isinstance(cell, tuple):
        names = ("a", "b", "c", "alpha", "beta", "gamma")
        arguments["crystal"]["unit_cell"] = nb.UnitCell(**{**dict(zip(names, cell, strict=True)), **(edges or {})})
    for part in sorted((p for p in arguments if "." in p), key=len, reverse=True):
        outer, _, name = part.partition(".")
        arguments.setdefault(outer, {})[name] = _PARTS[part](**arguments.pop(part))
    parts: dict[str, Any] = {name: _PARTS[name](**arguments.pop(name)) for name in list(arguments)}
    if case["panels"]:
        parts["detector"] = (parts["detector"], parts["detector"])
    if case["lattices"]:
        parts["crystal"] = (parts["crystal"], parts["crystal"])
    return nb.Experiment(quirks=case["quirks"], **parts)
