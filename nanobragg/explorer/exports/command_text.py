"""An experiment as a command line of `nanoBragg`, as far as its flags can say it; what they cannot is found by reading it."""

from __future__ import annotations

import os
import shlex
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

from nanobragg.api import decide
from nanobragg.arrays import detached, elements
from nanobragg.config import Experiment
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.errors import ConfigError, NanoBraggError
from nanobragg.io.matrix import write_matrix

TABLE, MATRIX = "experiment.hkl", "experiment.mat"
_NUMBERS = (
    ("-fudge", "crystal.fudge"), ("-mosaic", "crystal.mosaic.spread_deg"), ("-mosaic_domains", "crystal.mosaic.n_domains"),
    ("-mosaic_seed", "crystal.mosaic.seed"), ("--blocks", "crystal.n_blocks"), ("--volume-mm3", "crystal.volume_mm3"),
    ("-lambda", "beam.wavelength_angstrom"), ("-energy", "beam.energy_ev"), ("-fluence", "beam.fluence_per_m2"),
    ("-flux", "beam.flux_per_s"), ("-exposure", "beam.exposure_s"), ("-beamsize", "beam.size_mm"),
    ("-beam_vector", "beam.direction"), ("-polar_vector", "beam.polarization_axis"), ("-polar", "beam.kahn_factor"),
    ("-dispersion", "beam.dispersion_percent"), ("-dispsteps", "beam.n_wavelengths"),
    ("-detpixels_f", "detector.n_fast"), ("-detpixels_s", "detector.n_slow"), ("-pixel", "detector.pixel_size_mm"),
    ("-distance", "detector.distance_mm"), ("-close_distance", "detector.close_distance_mm"),
    ("-twotheta", "detector.twotheta_deg"), ("-twotheta_axis", "detector.twotheta_axis"),
    ("-fdet_vector", "detector.fast_axis"), ("-sdet_vector", "detector.slow_axis"), ("-odet_vector", "detector.normal_axis"),
    ("-pix0_vector_mm", "detector.pix0_mm"), ("-pivot", "detector.pivot"),
    ("-detector_thick", "detector.sensor.thickness_um"), ("-detector_abs", "detector.sensor.attenuation_um"),
    ("-detector_thicksteps", "detector.sensor.n_layers"),
    ("-phi", "goniometer.phi_start_deg"), ("-osc", "goniometer.osc_deg"), ("-phistep", "goniometer.step_deg"),
    ("-phisteps", "goniometer.n_steps"), ("-spindle_axis", "goniometer.axis"),
    ("-oversample", "sampling.oversample"), ("-dmin", "sampling.d_min_angstrom"), ("-water", "background.water_um"),
    ("-hdivrange", "beam.divergence.h_mrad"), ("-vdivrange", "beam.divergence.v_mrad"),
    ("-hdivsteps", "beam.divergence.n_h"), ("-vdivsteps", "beam.divergence.n_v"),
    ("-hdivstep", "beam.divergence.h_step_mrad"), ("-vdivstep", "beam.divergence.v_step_mrad"),
)  # fmt: skip
"""Flags whose values are those of a field as they stand."""
_EACH = (
    (("-Na", "-Nb", "-Nc"), "crystal.n_cells"), (("-detector_rotx", "-detector_roty", "-detector_rotz"), "detector.rotation_deg"),
    (("-Xbeam", "-Ybeam"), "detector.beam_center_convention_mm"), (("-ORGX", "-ORGY"), "detector.org_px"),
    (("-Xclose", "-Yclose"), "detector.close_point_mm"), (("-sample_x", "-sample_y", "-sample_z"), "crystal.size_mm"),
)  # fmt: skip
"""Flags for the elements of a field."""
_SHAPES = {"square": "-square_xtal", "round": "-round_xtal", "gauss": "-gauss_xtal", "tophat": "-tophat_spots"}


class CommandText:
    """The command line of an experiment, the files that it reads, and the fields that it does not hold."""

    def __init__(self, experiment: Experiment) -> None:
        if isinstance(experiment.crystal, tuple) or isinstance(experiment.detector, tuple):
            raise ConfigError(
                "experiment", "several crystals or panels", "are more than a command line holds", "export TOML"
            )
        self.experiment = experiment
        self.needs_table = self.needs_matrix = False
        self.flags = list(self._flags())
        self.lost = self._lost()

    @property
    def text(self) -> str:
        """As it is typed, with a remark on what is lost."""
        line = shlex.join(["nanoBragg", *self.flags]).replace(" -", " \\\n  -")
        if not self.lost:
            return f"{line}\n"
        return f"# not on this command line, which has no flag for it: {', '.join(self.lost)}\n{line}\n"

    def write_files(self, folder: str) -> list[str]:
        """Write what the command reads; returns the names."""
        crystal, names = self.experiment.crystal, []
        if self.needs_table:
            crystal.structure_factors.to_hkl(os.path.join(folder, TABLE))
            names.append(TABLE)
        if self.needs_matrix:
            wavelength = detached(self.experiment.beam.wavelength_angstrom or 1.0)
            write_matrix(os.path.join(folder, MATRIX), crystal.a_star_matrix, wavelength)
            names.append(MATRIX)
        return names

    def _flags(self) -> Iterator[str]:
        experiment, crystal = self.experiment, self.experiment.crystal
        yield from ("--fidelity", "reference" if experiment.fidelity == "reference" else "corrected")
        table = crystal.structure_factors
        if table.has_table:
            self.needs_table = True
            yield from ("-hkl", TABLE)
        if detached(table.default_F) != 0 or not table.has_table:
            yield from ("-default_F", _number(table.default_F))
        if crystal.a_star_matrix is not None:
            self.needs_matrix = True
            yield from ("-mat", MATRIX)
        elif crystal.unit_cell is not None:
            cell = crystal.unit_cell
            yield from ("-cell", *map(_number, (cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma)))
        if isinstance(crystal.misset_deg, str):
            yield from ("-misset", "random", "-misset_seed", str(crystal.orientation_seed))
        else:
            yield from ("-misset", *map(_number, elements(crystal.misset_deg)))
        yield _SHAPES[crystal.shape]
        yield f"-{experiment.detector.convention}" if experiment.detector.convention != "custom" else "-mosflm"
        for flag, path in _NUMBERS:
            yield from self._valued(flag, path)
        for flags, path in _EACH:
            value = self._at(path)
            for flag, item in zip(flags, () if value is None else elements(value), strict=False):
                if item is not None:
                    yield from (flag, _number(item))
        detector, sampling = experiment.detector, experiment.sampling
        switches = {
            "-nopolar": not experiment.beam.polarized, "-curved_det": detector.curved, "-point_pixel": detector.point_pixel,
            "-interpolate": sampling.interpolate == "tricubic", "-nointerpolate": sampling.interpolate == "nearest",
            "-oversample_thick": sampling.oversample_thick, "-oversample_polar": sampling.oversample_polar,
            "-oversample_omega": sampling.oversample_omega,
            "-square_div": experiment.beam.divergence is not None and not experiment.beam.divergence.round,
        }  # fmt: skip
        yield from (flag for flag, on in switches.items() if on)
        if sampling.roi is not None:
            slow, fast = (
                part.indices(n) for part, n in zip(sampling.roi, (detector.n_slow, detector.n_fast), strict=True)
            )
            yield from ("-roi", str(fast[0]), str(fast[1] - 1), str(slow[0]), str(slow[1] - 1))

    def _at(self, path: str) -> Any:
        node: Any = self.experiment
        for name in path.split("."):
            node = getattr(node, name, None)
            if node is None:
                return None
        return node

    def _valued(self, flag: str, path: str) -> Iterator[str]:
        value = self._at(path)
        decides = self.experiment.beam.flux_decides
        if value is None or (path == "beam.fluence_per_m2" and decides) or (path == "beam.exposure_s" and not decides):
            return
        if isinstance(value, str):
            yield from (flag, value)
        elif isinstance(value, tuple) and flag in ("-pixel", "-mosaic"):
            yield from (flag, _number(value[0]))
        else:
            yield from (flag, *map(_number, elements(value) if isinstance(value, tuple) else [value]))

    def _lost(self) -> list[str]:
        """Fields whose value is another one when the line is read."""
        with tempfile.TemporaryDirectory() as folder:
            names = self.write_files(folder)
            flags = [os.path.join(folder, token) if token in names else token for token in self.flags]
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    read = Experiment.from_nanobragg_args(flags)
                    theirs, ours = (_decided(one) for one in (read, self.experiment))
            except NanoBraggError as error:
                return [str(error)]
        return [
            path
            for path in _differing(ours, theirs, "")
            if path not in ("crystal.structure_factors", "crystal.space_group")
        ]


def _decided(experiment: Experiment) -> dict[str, Any]:
    """Plain data of the decided experiment, with an energy as the wavelength that a command line makes of it."""
    decided = decide(experiment)[0][0].experiment
    if decided.beam.energy_ev is not None:
        wavelength = 1e10 * wavelength_m(decided, FLOAT_OPS)
        beam = decided.beam.with_value("energy_ev", None).with_value("wavelength_angstrom", wavelength)
        decided = decided.replace(beam=beam)
    return decided.to_dict()


def _number(value: Any) -> str:
    number = float(detached(value))
    return repr(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _differing(a: Any, b: Any, path: str) -> Iterator[str]:
    if path == "crystal.structure_factors":
        return
    if isinstance(a, dict) and isinstance(b, dict):
        for key in a:
            yield from _differing(a[key], b.get(key), f"{path}.{key}".strip("."))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        if any(not _same(x, y) for x, y in zip(a, b, strict=True)):
            yield path
    elif not _same(a, b):
        yield path


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= 1e-12 * max(abs(a), abs(b))
    return bool(a == b)
