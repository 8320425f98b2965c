"""An experiment as a command line of `nanoBragg`, as far as its flags can say it; what they cannot is found by reading it."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nanobragg.api import decide
from nanobragg.arrays import detached, elements, is_tensor
from nanobragg.config import Experiment
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.sources import source_list, wavelength_m
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.errors import NanoBraggError
from nanobragg.explorer.session import SEED
from nanobragg.io.atomic import write_bytes
from nanobragg.io.images.smv import save_smv
from nanobragg.io.sourcefile import write_sourcefile

TABLE, MATRIX, SOURCES, MASK = "experiment.hkl", "experiment.mat", "experiment_sources.txt", "experiment_mask.img"
EXPERIMENT = "experiment.toml"
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
_SPREAD = ("beam.divergence.", "beam.dispersion_percent", "beam.n_wavelengths")
_EACH = (
    (("-Na", "-Nb", "-Nc"), "crystal.n_cells"), (("-detector_rotx", "-detector_roty", "-detector_rotz"), "detector.rotation_deg"),
    (("-Xbeam", "-Ybeam"), "detector.beam_center_convention_mm"), (("-ORGX", "-ORGY"), "detector.org_px"),
    (("-Xclose", "-Yclose"), "detector.close_point_mm"), (("-sample_x", "-sample_y", "-sample_z"), "crystal.size_mm"),
)  # fmt: skip
"""Flags for the elements of a field."""
_PLACES = (
    "convention", "pivot", "distance_mm", "close_distance_mm", "beam_center_mm", "beam_center_convention_mm", "close_point_mm",
    "org_px", "pix0_mm", "fast_axis", "slow_axis", "normal_axis", "rotation_deg", "twotheta_deg", "twotheta_axis",
)  # fmt: skip
"""Fields of a detector that say where it stands, and nothing else."""
_PLACED = ("beam", "fast", "slow", "normal", "pix0", "distance", "close_distance", "distance_to_plane")
"""Where it stands."""
_SHAPES = {"square": "-square_xtal", "round": "-round_xtal", "gauss": "-gauss_xtal", "tophat": "-tophat_spots"}


class CommandText:
    """The command line of an experiment, the files that it reads, and the fields that it does not hold.

    What flags cannot say is said by an experiment file: ``nanoBragg run experiment.toml``. With a readout also what the
    detector makes of the image, which no flag says: expected values, or counts.
    """

    def __init__(self, experiment: Experiment, readout: Readout | None = None, *, noise: bool = False) -> None:
        self.experiment, self.readout = experiment, readout
        self.run = f"nanoBragg run {EXPERIMENT} --set run.{f'seed={SEED}' if noise else 'noise=false'}"
        self._beyond = _beyond(experiment)
        self.files: dict[str, Callable[[str], object]] = {}
        """what the command reads, by name: writes it to a path"""
        self.flags: list[str] = []
        self.lost: list[str] = []
        if not self._beyond:
            self._decided = decide(experiment)[0][0]
            self.flags = list(self._flags())
            self.lost = [*self._lost(), *([] if readout is None else ["readout"])]

    @property
    def whole(self) -> bool:
        """Whether the flags say all of it."""
        return not (self._beyond or self.lost)

    @property
    def text(self) -> str:
        """As it is typed, with a remark on what is lost."""
        line = re.sub(r" (?=--?[A-Za-z])", " \\\\\n  ", shlex.join(["nanoBragg", *self.flags]))
        if self._beyond:
            return f"# {self._beyond}, for which there are no flags\n{self.run}\n"
        if not self.lost:
            return f"{line}\n"
        return (
            f"# not on this command line, which has no flag for it: {', '.join(self.lost)}\n"
            f"# with it: {self.run}\n{line}\n"
        )

    def write_files(self, folder: str) -> list[str]:
        """Write what the command reads; returns the names."""
        for name, write in self.files.items():
            write(os.path.join(folder, name))
        return list(self.files)

    def _table(self, path: str) -> None:
        self.experiment.crystal.structure_factors.to_hkl(path)

    def _matrix(self, path: str) -> None:
        matrix = self.experiment.crystal.a_star_matrix
        rows = np.asarray(matrix.detach() if is_tensor(matrix) else matrix, np.float64).T * self._wavelength
        lines = [" ".join(map(repr, row)) for row in rows.tolist()]  # MOSFLM's eight decimals would move spots
        write_bytes(path, ["\n".join([*lines, ""]).encode()])

    def _sources(self, path: str) -> None:
        found = _sources_of(self._decided)
        write_sourcefile(path, found[0], found[1], found[2])

    def _mask(self, path: str) -> None:
        save_smv(path, np.asarray(self.experiment.detector.mask, np.uint16), ())

    @property
    def _pulse(self) -> float:
        """Energy of this pulse over that of the mean one, which a file of sources does not hold."""
        spectrum = self.experiment.beam.spectrum
        if spectrum is None or spectrum.kind != "sase":
            return 1.0
        return float(source_list(self._decided.experiment, self._decided.placement, FLOAT_OPS).energy)

    @property
    def _wavelength(self) -> float:
        """The central one [Angstrom]."""
        return float(1e10 * wavelength_m(self._decided.experiment, FLOAT_OPS))

    def _flags(self) -> Iterator[str]:
        experiment, crystal = self.experiment, self.experiment.crystal
        yield from ("--fidelity", "reference" if experiment.fidelity == "reference" else "corrected")
        table = crystal.structure_factors
        if experiment.detector.mask is not None:
            self.files[MASK] = self._mask
            yield from ("-mask", MASK)
        if table.has_table:
            self.files[TABLE] = self._table
            yield from ("-hkl", TABLE)
        if detached(table.default_F) != 0 or not table.has_table:
            yield from ("-default_F", _number(table.default_F))
        if crystal.a_star_matrix is not None:
            self.files[MATRIX] = self._matrix
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
        beam = experiment.beam
        listed = beam.sources is not None or beam.spectrum is not None
        if listed:
            self.files[SOURCES] = self._sources
            yield from ("-sourcefile", SOURCES)
        if beam.wavelength_angstrom is None and beam.energy_ev is None:
            yield from ("-lambda", _number(self._wavelength))
        for flag, path in _NUMBERS:
            if not (listed and path.startswith(_SPREAD)):  # the directions and wavelengths are in the file
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
            "-square_div": not listed and beam.divergence is not None and not beam.divergence.round,
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
        if value is None and path == "detector.sensor.attenuation_um" and self.experiment.detector.sensor is not None:
            value = self._decided.experiment.detector.sensor.attenuation_um  # of the material, at this energy
        if path in ("beam.fluence_per_m2", "beam.flux_per_s") and value is not None:
            value = detached(value) * self._pulse
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
            names = [name for name in self.files if name != TABLE]  # it may be large, and tells nothing of the flags
            for name in names:
                self.files[name](os.path.join(folder, name))
            flags = [os.path.join(folder, token) if token in names else token for token in self.flags]
            if TABLE in self.files:
                where = flags.index(TABLE) - 1
                flags[where : where + 2] = ["-default_F", "1"] if "-default_F" not in flags else []
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    theirs = decide(Experiment.from_nanobragg_args(flags))[0][0]
                    return list(self._differing(theirs))
            except NanoBraggError as error:
                return [str(error)]

    def _differing(self, theirs: Decided) -> Iterator[str]:
        """Paths of what is another value; what stands in a file is compared as numbers."""
        ours = self._decided
        known = ["crystal.structure_factors", "crystal.space_group", "detector.name", "fidelity"]
        if all(_near(a, b) for a, b in zip(_sources_of(ours), _sources_of(theirs), strict=True)):
            known += ["beam.sources", "beam.spectrum", "beam.n_wavelengths", "beam.wavelength_angstrom", "beam.divergence",
                      "beam.dispersion_percent"]  # fmt: skip
        axes = [(one.cell.a_star, one.cell.b_star, one.cell.c_star) for one in (ours, theirs)]
        if _near(*axes):
            known += ["crystal.a_star_matrix", "crystal.unit_cell", "crystal.misset_deg"]
        if _near(ours.size.n_cells, theirs.size.n_cells):
            known += ["crystal.size_mm", "crystal.n_cells"]
        if all(_near(getattr(ours.placement, name), getattr(theirs.placement, name)) for name in _PLACED):
            known += [f"detector.{name}" for name in _PLACES]
        if self._pulse != 1.0:
            known += ["beam.fluence_per_m2", "beam.flux_per_s"]
        if not (ours.experiment.beam.flux_decides or theirs.experiment.beam.flux_decides):
            known += ["beam.exposure_s", "beam.flux_per_s"]  # idle
        sensors = [one.experiment.detector.sensor for one in (ours, theirs)]
        if None not in sensors and _near(*(detached(one.attenuation_um) for one in sensors)):
            known.append("detector.sensor.material")
        masks = [np.asarray(one.experiment.detector.mask) for one in (ours, theirs)]
        if np.array_equal(masks[0], masks[1]):
            known.append("detector.mask")
        for path in _differing(_plain(ours.experiment), _plain(theirs.experiment), ""):
            if not any(path == one or path.startswith(f"{one}.") for one in known):
                yield path


def _beyond(experiment: Experiment) -> str:
    """What no flags begin to say; empty: nothing."""
    if isinstance(experiment.detector, tuple):
        return f"{len(experiment.detector)} panels"
    if isinstance(experiment.crystal, tuple):
        return f"{len(experiment.crystal)} crystals"
    return "structure factors by energy" if experiment.crystal.structure_factors.energy_ev is not None else ""


def _sources_of(decided: Decided) -> tuple[Any, Any, Any]:
    """Directions (n, 3) from the sample to the sources, weights (n,), wavelengths (n,) [m]."""
    found = source_list(decided.experiment, decided.placement, FLOAT_OPS)
    position = -np.asarray(found.incident(FLOAT_OPS), np.float64)
    weight = np.broadcast_to(np.asarray(found.weight, np.float64), len(position))
    return position, weight / weight.mean(), np.asarray(found.wavelength, np.float64)


def _near(a: Any, b: Any) -> bool:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return a.shape == b.shape and bool(np.abs(a - b).max(initial=0.0) <= 1e-9 * np.abs(a).max(initial=0.0))


def _plain(experiment: Experiment) -> dict[str, Any]:
    """Plain data, with an energy as the wavelength that a command line makes of it; without tables and masks."""
    if experiment.beam.energy_ev is not None:
        wavelength = 1e10 * wavelength_m(experiment, FLOAT_OPS)
        beam = experiment.beam.with_value("energy_ev", None).with_value("wavelength_angstrom", wavelength)
        experiment = experiment.replace(beam=beam)
    light = StructureFactors.constant(1.0)
    return experiment.replace("crystal.structure_factors", light).to_dict()


def _number(value: Any) -> str:
    number = float(detached(value))
    return repr(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _differing(a: Any, b: Any, path: str) -> Iterator[str]:
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
