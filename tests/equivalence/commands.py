"""The command lines of the original's own tiny images as experiments, without the package's parser.

Only the flags that occur there, in the order rules that matter there: a vector flag means the custom convention, the
last flag that moves the pivot wins, ``-twotheta_axis`` also sets the angle (docs/command.md, Conventions and pivot).
"""

from __future__ import annotations

import numpy as np

from nanobragg.config import (
    Background,
    Beam,
    Crystal,
    Detector,
    Divergence,
    Experiment,
    Goniometer,
    Mosaic,
    Sampling,
    Sensor,
    Sources,
    UnitCell,
)
from nanobragg.config.structure_factors import StructureFactors

ANGSTROM = 1e-10


def box_factors(limit, default_F=0.0):
    """F = 10 + ((7h + 11k + 13l) mod 97) on the box -limit...limit."""
    axis = np.arange(-limit, limit + 1)
    h, k, l = np.meshgrid(axis, axis, axis, indexing="ij")  # noqa: E741
    return StructureFactors(amplitude=10.0 + (7 * h + 11 * k + 13 * l) % 97, hkl_min=(-limit,) * 3, default_F=default_F)


def flags_of(tokens):
    """List of (flag, values); a value is a token that does not start with a letter after a dash."""
    flags = []
    for token in tokens.split():
        if token[0] == "-" and not token[1:2].isdigit() and token[1:2] != ".":
            flags.append((token[1:], []))
        else:
            flags[-1][1].append(token)
    return flags


def experiment_of(arguments, files):
    """The experiment of one command line; `files` maps the names of matrix and source files to their text."""
    crystal, beam, detector, goniometer, sampling, background = {}, {}, {}, {}, {}, {}
    divergence, sensor, mosaic, size = {}, {}, {}, [None] * 3
    cells, center, org = [1, 1, 1], [None, None], [None, None]
    table, default_F, matrix, source_file = None, 0.0, None, None
    custom, pivot = False, "beam"
    vectors = {
        "beam_vector": (beam, "direction"), "polar_vector": (beam, "polarization_axis"),
        "spindle_axis": (goniometer, "axis"), "fdet_vector": (detector, "fast_axis"),
        "sdet_vector": (detector, "slow_axis"), "odet_vector": (detector, "normal_axis"),
        "twotheta_axis": (detector, "twotheta_axis"),
    }  # fmt: skip
    plain = {
        "lambda": (beam, "wavelength_angstrom"), "energy": (beam, "energy_ev"), "polar": (beam, "kahn_factor"),
        "dispersion": (beam, "dispersion_percent"), "fluence": (beam, "fluence_per_m2"), "flux": (beam, "flux_per_s"),
        "exposure": (beam, "exposure_s"), "beamsize": (beam, "size_mm"), "distance": (detector, "distance_mm"),
        "close_distance": (detector, "close_distance_mm"), "pixel": (detector, "pixel_size_mm"),
        "twotheta": (detector, "twotheta_deg"), "phi": (goniometer, "phi_start_deg"), "osc": (goniometer, "osc_deg"),
        "hdivrange": (divergence, "h_mrad"), "vdivrange": (divergence, "v_mrad"), "mosaic": (mosaic, "spread_deg"),
        "detector_thick": (sensor, "thickness_um"), "detector_abs": (sensor, "attenuation_um"),
        "dmin": (sampling, "d_min_angstrom"), "water": (background, "water_um"), "fudge": (crystal, "fudge"),
    }  # fmt: skip
    counts = {
        "detpixels_x": (detector, "n_fast"), "detpixels_y": (detector, "n_slow"),
        "oversample": (sampling, "oversample"), "phisteps": (goniometer, "n_steps"),
        "hdivsteps": (divergence, "n_h"), "vdivsteps": (divergence, "n_v"),
        "dispsteps": (beam, "n_wavelengths"), "mosaic_domains": (mosaic, "n_domains"),
        "detector_thicksteps": (sensor, "n_layers"), "misset_seed": (crystal, "misset_seed"),
    }  # fmt: skip
    switches = {
        "oversample_thick": (sampling, "oversample_thick", True),
        "oversample_polar": (sampling, "oversample_polar", True),
        "oversample_omega": (sampling, "oversample_omega", True), "round_xtal": (crystal, "shape", "round"),
        "gauss_xtal": (crystal, "shape", "gauss"), "tophat_spots": (crystal, "shape", "tophat"),
        "nointerpolate": (sampling, "interpolate", "nearest"), "point_pixel": (detector, "point_pixel", True),
        "nopolar": (beam, "polarized", False), "curved_det": (detector, "curved", True),
    }  # fmt: skip
    rotation = [0.0, 0.0, 0.0]
    for flag, values in flags_of(arguments):
        if flag in ("Xbeam", "Ybeam", "distance"):
            pivot = "beam"
        if flag in ("ORGX", "ORGY", "close_distance", "twotheta", "twotheta_axis"):
            pivot = "sample"
        if flag in vectors:
            part, name = vectors[flag]
            part[name], custom = tuple(map(float, values)), True
            if flag == "twotheta_axis":
                detector["twotheta_deg"] = float(values[0])
        elif flag in plain:
            part, name = plain[flag]
            part[name] = float(values[0])
        elif flag in counts:
            part, name = counts[flag]
            part[name] = int(values[0])
        elif flag in switches:
            part, name, value = switches[flag]
            part[name] = value
        elif flag in ("adxv", "denzo", "xds", "dials", "mosflm"):
            detector["convention"] = flag
        elif flag == "hkl":
            table = {"v.hkl": 8, "w.hkl": 16}[values[0]]
        elif flag == "default_F":
            default_F = float(values[0])
        elif flag == "cell":
            crystal["unit_cell"] = UnitCell(*map(float, values))
        elif flag == "mat":
            matrix = np.array(files[values[0]].split(), dtype=float).reshape(3, 3).T
        elif flag == "misset":
            crystal["misset_deg"] = "random" if values[0] == "random" else tuple(map(float, values))
        elif flag == "N":
            cells = [int(values[0])] * 3
        elif flag in ("Na", "Nb", "Nc"):
            cells["abc".index(flag[1])] = int(values[0])
        elif flag == "xtalsize":
            size = [float(values[0])] * 3
        elif flag in ("Xbeam", "Ybeam"):
            center["XY".index(flag[0])] = float(values[0])
        elif flag in ("ORGX", "ORGY"):
            org["XY".index(flag[3])] = float(values[0])
        elif flag.startswith("detector_rot"):
            rotation["xyz".index(flag[-1])] = float(values[0])
        elif flag == "roi":
            x0, x1, y0, y1 = map(int, values)
            sampling["roi"] = (slice(y0, y1 + 1), slice(x0, x1 + 1))
        elif flag == "sourcefile":
            source_file = files[values[0]]
        elif flag != "seed":
            raise ValueError(f"no rule for -{flag}")

    if "energy_ev" in beam:
        beam["wavelength_angstrom"] = 12398.42 / beam.pop("energy_ev")
    if matrix is not None:
        crystal["a_star_matrix"] = matrix * (1e-10 / (beam["wavelength_angstrom"] / 1e10))
    if source_file is not None:
        wave = beam["wavelength_angstrom"]
        rows = [list(map(float, line.split())) for line in source_file.splitlines()]
        defaults = (-10.0, -0.0, -0.0, 1.0, wave * ANGSTROM)
        rows = np.array([row + list(defaults[len(row) :]) for row in rows])
        beam["sources"] = Sources(direction=rows[:, :3], weight=rows[:, 3], wavelength_angstrom=rows[:, 4] / ANGSTROM)
    if custom:
        detector["pivot"] = pivot
    return Experiment(
        crystal=Crystal(
            n_cells=tuple(cells), size_mm=None if size[0] is None else tuple(size), mosaic=Mosaic(**mosaic),
            structure_factors=box_factors(table, default_F), **crystal,
        ),
        beam=Beam(divergence=Divergence(**divergence) if divergence else None, **beam),
        detector=Detector(
            beam_center_convention_mm=None if center == [None, None] else tuple(center),
            org_px=None if org == [None, None] else tuple(org), rotation_deg=tuple(rotation),
            sensor=Sensor(**sensor) if sensor else None, **detector,
        ),
        goniometer=Goniometer(**goniometer), sampling=Sampling(**sampling), background=Background(**background),
        quirks="reference",
    )  # fmt: skip
