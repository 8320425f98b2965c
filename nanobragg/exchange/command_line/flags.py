"""The flag table: every flag of the original program and our own options, each stated once.

Both parsers (`nanobragg.exchange.command_line.parse`), the help text (`nanobragg.cli.dropin.usage`) and the settings they make
(`nanobragg.exchange.command_line.settings`) read this table. Unit, default and description of a flag that sets a config
field are those of the field (docs/command.md, Flags).
"""

from __future__ import annotations

from typing import Literal

from nanobragg.backends import BACKENDS, DEFAULT_BACKEND
from nanobragg.lazy import dataclass

Kind = Literal["d", "i", "s"]
"""d: floating number, i: integer, s: text."""

VECTOR_KEYS = (
    "fast_axis",
    "slow_axis",
    "normal_axis",
    "direction",
    "polarization_axis",
    "axis",
    "twotheta_axis",
    "pix0",
)
"""Settings that are laboratory vectors; each selects the custom convention in the original."""


@dataclass(frozen=True)
class Flag:
    """One flag.

    Parameters
    ----------
    name : str
        Spelling shown in the help.
    sets : tuple of str
        Settings that receive the values: one for each value, or all of them the same single value.
    values : str
        One letter for each value, see `Kind`; empty for a switch.
    contains, equals : tuple of str
        The original's patterns: a token counts when it contains one of the first or equals one of the second
        (docs/command.md, Matching of flags). When both are empty the flag is matched by `name` as a substring.
    also : tuple of str
        Further spellings in use, accepted under --strict next to the patterns.
    put : object
        What a switch stores in `sets`.
    needs : int, optional
        Tokens that must follow for the lenient rule; None: one for each value.
    pivot : str
        Side effect on the pivot (docs/command.md, Conventions and pivot).
    stops : bool
        Ends the tests for the token.
    crashes : bool
        The original crashes when the value is missing.
    field : str
        Dotted path of the config field that supplies unit, default and description.
    metavar, unit, default, help : str
        For the help text, where there is no field or its text is not enough.
    no_effect : str
        Why the flag changes nothing, ever.
    """

    name: str
    group: str
    sets: tuple[str, ...] = ()
    values: str = ""
    contains: tuple[str, ...] = ()
    equals: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    put: object = True
    needs: int | None = None
    pivot: str = ""
    stops: bool = False
    crashes: bool = False
    field: str = ""
    metavar: str = ""
    unit: str = ""
    default: str = ""
    help: str = ""
    no_effect: str = ""

    @property
    def patterns(self) -> tuple[str, ...]:
        """Substring patterns."""
        return self.contains or (() if self.equals else (self.name,))

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every accepted spelling, the one of the help first."""
        return tuple(dict.fromkeys((self.name, *self.patterns, *self.equals, *self.also)))

    @property
    def needed(self) -> int:
        """Tokens that must follow under the lenient rule."""
        return len(self.values) if self.needs is None else self.needs

    def matches(self, token: str) -> bool:
        """The original's rule: contains a pattern, or equals one."""
        return token in self.equals or any(pattern in token for pattern in self.patterns)


CRYSTAL, GEOMETRY, BEAM = "Crystal and structure factors", "Detector geometry", "Beam"
SENSOR, SAMPLING, OUTPUT, OWN = "Sensor", "Sampling, spindle and background", "Output", "Options of this program"
GROUPS = (CRYSTAL, BEAM, GEOMETRY, SENSOR, SAMPLING, OUTPUT, OWN)


def _convention(name: str, pivot: str) -> Flag:
    return Flag(
        f"-{name}", GEOMETRY, ("convention",), put=name, pivot=pivot, help=f"{name} convention: frame and beam center"
    )


def _vector(name: str, key: str, field: str, text: str) -> Flag:
    return Flag(
        name,
        GEOMETRY,
        (key,),
        "ddd",
        metavar="X Y Z",
        field=field,
        default="by convention",
        help=f"lab frame, {text}",
    )


def _size(name: str, axes: str, contains: tuple[str, ...], also: tuple[str, ...], text: str) -> Flag:
    return Flag(
        name,
        CRYSTAL,
        tuple(f"size_{axis}" for axis in axes),
        "d",
        contains=contains,
        also=also,
        metavar="MM",
        unit="mm",
        default="from -N",
        field="crystal.size_mm",
        help=text,
    )


# fmt: off
FLAGS: tuple[Flag, ...] = (
    # crystal; the order is the one in which the rules are tried on a token
    Flag("-Na", CRYSTAL, ("n_a",), "i", field="crystal.n_cells", stops=True, default="1", help="cells along a"),
    Flag("-Nb", CRYSTAL, ("n_b",), "i", field="crystal.n_cells", stops=True, default="1", help="cells along b"),
    Flag("-Nc", CRYSTAL, ("n_c",), "i", field="crystal.n_cells", stops=True, default="1", help="cells along c"),
    Flag("-N", CRYSTAL, ("n_a", "n_b", "n_c"), "i", equals=("-N",), stops=True, field="crystal.n_cells", default="1",
         help="cells along each axis"),
    Flag("-cell", CRYSTAL, ("cell",), "dddddd", field="crystal.unit_cell", needs=1, metavar="A B C AL BE GA",
         unit="Angstrom, degrees",
         help="unit cell; b, c default to a, angles to 90"),
    Flag("-misset", CRYSTAL, ("misset",), "ddd", needs=1, metavar="X Y Z | random", field="crystal.misset_deg"),
    Flag("-misset_seed", CRYSTAL, ("misset_seed",), "i", field="crystal.misset_seed", default="from the system",
         help="seed of -misset random"),
    Flag("-mat", CRYSTAL, ("mat",), "s", field="crystal.a_star_matrix", also=("-matrix", "-matfile"), metavar="FILE",
         unit="1",
         help="orientation matrix, columns a* b* c* times the wavelength (MOSFLM)"),
    Flag("-hkl", CRYSTAL, ("hkl",), "s", also=("-hklfile",), metavar="FILE", unit="electrons",
         help="text lines 'h k l F', all of P1; also writes the dump file"),
    Flag("-default_F", CRYSTAL, ("default_F",), "d", field="crystal.structure_factors", unit="electrons", default="0",
         help="structure factor of every index that is not listed"),
    Flag("-dump", CRYSTAL, ("dump",), "s", also=("-dumpfile",), metavar="FILE", default="Fdump.bin",
         help="structure-factor dump: written with -hkl, read without"),
    _size("-xtalsize", "abc", ("-samplesize", "-sample_size", "-xtalsize", "-xtal_size"), (), "crystal size along a, b, c"),
    _size("-sample_x", "a", ("-sample_thick", "-sample_x", "-xtal_thick", "-xtal_x"), ("-sample_thickness",), "along a"),
    _size("-sample_y", "b", ("-sample_width", "-sample_y", "-width", "-xtal_width", "-xtal_y"), (), "along b"),
    _size("-sample_z", "c", ("-sample_heigh", "-sample_z", "-heigh", "-xtal_heigh", "-xtal_z"),
          ("-xtal_height", "-height", "-sample_height"), "along c"),
    Flag("-density", CRYSTAL, ("density",), "d", contains=("-density", "-sample_den"), also=("-sample_density",),
         unit="g/cm^3", help="crystal density", no_effect="the density is not used in the sum"),
    Flag("-MW", CRYSTAL, ("molecular_weight",), "d", equals=("-MW",), contains=("-molec",),
         also=("-molecular_weight", "-molecular_weigh"), unit="g/mol", help="molecular weight",
         no_effect="the molecular weight is not used in the sum"),
    Flag("-square_xtal", CRYSTAL, ("shape",), put="square", help="parallelepiped crystal (default)"),
    Flag("-round_xtal", CRYSTAL, ("shape",), put="round", help="ellipsoidal crystal"),
    Flag("-gauss_xtal", CRYSTAL, ("shape",), put="gauss", help="Gaussian spots, no fringes"),
    Flag("-tophat_spots", CRYSTAL, ("shape",), put="tophat", contains=("-tophat_spots", "-binary_spots"),
         help="top-hat spots"),
    Flag("-fudge", CRYSTAL, ("fudge",), "d", field="crystal.fudge"),
    Flag("-interpolate", CRYSTAL, ("interpolate",), put="tricubic", default="automatic",
         help="tricubic interpolation of structure factors"),
    Flag("-nointerpolate", CRYSTAL, ("interpolate",), put="nearest", default="automatic",
         help="structure factor of the nearest index"),
    Flag("-mosaic", CRYSTAL, ("mosaic",), "d", equals=("-mosaic",), contains=("-mosaici", "-mosaic_spr"),
         also=("-mosaicity", "-mosaic_spread"), field="crystal.mosaic.spread_deg"),
    Flag("-mosaic_domains", CRYSTAL, ("mosaic_domains",), "i", contains=("-mosaic_dom",),
         field="crystal.mosaic.n_domains", default="10 with -mosaic, else 1", help="number of domains"),
    Flag("-mosaic_seed", CRYSTAL, ("mosaic_seed",), "i", field="crystal.mosaic.seed"),
    # detector
    Flag("-distance", GEOMETRY, ("distance",), "d", pivot="beam", field="detector.distance_mm",
         default="100, or from -close_distance", help="from the sample to the detector, along the beam"),
    Flag("-close_distance", GEOMETRY, ("close_distance",), "d", pivot="sample", field="detector.close_distance_mm"),
    Flag("-detsize", GEOMETRY, ("size_fast", "size_slow"), "d", field="detector.size_mm", equals=("-detsize",),
         default="102.4",
         help="detector size, both axes"),
    Flag("-detsize_f", GEOMETRY, ("size_fast",), "d", field="detector.size_mm", also=("-detsize_fast",),
         default="102.4", help="fast axis"),
    Flag("-detsize_s", GEOMETRY, ("size_slow",), "d", field="detector.size_mm", also=("-detsize_slow",),
         default="102.4", help="slow axis"),
    Flag("-detpixels", GEOMETRY, ("n_fast", "n_slow"), "i", equals=("-detpixels",), field="detector.n_fast",
         help="pixels, both axes; wins over -detsize"),
    Flag("-detpixels_f", GEOMETRY, ("n_fast",), "i", field="detector.n_fast",
         contains=("-detpixels_f", "-detpixels_x"), also=("-detpixels_fast",),
         help="pixels, fast axis"),
    Flag("-detpixels_s", GEOMETRY, ("n_slow",), "i", field="detector.n_slow",
         contains=("-detpixels_s", "-detpixels_y"), also=("-detpixels_slow",),
         help="pixels, slow axis"),
    Flag("-pixel", GEOMETRY, ("pixel",), "d", also=("-pixel_size", "-pixelsize"), field="detector.pixel_size_mm",
         help="pixel edge"),
    Flag("-Xbeam", GEOMETRY, ("x_beam",), "d", field="detector.beam_center_convention_mm", pivot="beam",
         default="middle", help="beam center X, by convention"),
    Flag("-Ybeam", GEOMETRY, ("y_beam",), "d", field="detector.beam_center_convention_mm", pivot="beam",
         default="middle", help="beam center Y, by convention"),
    Flag("-Xclose", GEOMETRY, ("x_close",), "d", field="detector.close_point_mm", pivot="sample", default="middle",
         help="foot of the normal, fast"),
    Flag("-Yclose", GEOMETRY, ("y_close",), "d", field="detector.close_point_mm", pivot="sample", default="middle",
         help="foot of the normal, slow"),
    Flag("-ORGX", GEOMETRY, ("org_x",), "d", field="detector.org_px", pivot="sample", default="middle",
         help="foot of the normal, fast, as XDS writes it"),
    Flag("-ORGY", GEOMETRY, ("org_y",), "d", field="detector.org_px", pivot="sample", default="middle",
         help="foot of the normal, slow, as XDS writes it"),
    Flag("-pivot", GEOMETRY, ("pivot",), "s", metavar="beam|sample", field="detector.pivot",
         help="point about which the detector rotations turn"),
    _convention("mosflm", "beam"),
    _convention("xds", "sample"),
    _convention("adxv", "beam"),
    _convention("denzo", "beam"),
    _convention("dials", "beam"),
    _vector("-fdet_vector", "fast_axis", "detector.fast_axis", "along the fast axis"),
    _vector("-sdet_vector", "slow_axis", "detector.slow_axis", "along the slow axis"),
    _vector("-odet_vector", "normal_axis", "detector.normal_axis", "normal to the detector, away from the sample"),
    _vector("-beam_vector", "direction", "beam.direction", "along the beam"),
    _vector("-polar_vector", "polarization_axis", "beam.polarization_axis", "along the electric field"),
    _vector("-spindle_axis", "axis", "goniometer.axis", "axis of the rotation -phi -osc"),
    _vector("-twotheta_axis", "twotheta_axis", "detector.twotheta_axis", "axis of -twotheta"),
    Flag("-pix0_vector", GEOMETRY, ("pix0",), "ddd", field="detector.pix0_mm", also=("-pix0_vector_mm",),
         metavar="X Y Z", unit="m; -pix0_vector_mm: mm",
         help="corner of the first pixel before rotations (ignored by the original)"),
    Flag("-twotheta", GEOMETRY, ("twotheta",), "d", pivot="sample", field="detector.twotheta_deg",
         help="detector swing"),
    Flag("-detector_rotx", GEOMETRY, ("rot_x",), "d", field="detector.rotation_deg", default="0",
         help="detector rotation about lab x"),
    Flag("-detector_roty", GEOMETRY, ("rot_y",), "d", field="detector.rotation_deg", default="0",
         help="then about lab y"),
    Flag("-detector_rotz", GEOMETRY, ("rot_z",), "d", field="detector.rotation_deg", default="0",
         help="then about lab z"),
    Flag("-curved_det", GEOMETRY, ("curved",), needs=1, field="detector.curved"),
    Flag("-point_pixel", GEOMETRY, ("point_pixel",), field="detector.point_pixel"),
    Flag("-roi", GEOMETRY, ("roi",), "iiii", field="sampling.roi", metavar="XMIN XMAX YMIN YMAX", unit="pixels",
         default="all",
         help="render these pixels only, bounds inclusive"),
    Flag("-img", GEOMETRY, ("img",), "s", metavar="FILE", help="SMV image whose header supplies defaults"),
    Flag("-mask", GEOMETRY, ("mask",), "s", field="detector.mask", metavar="FILE",
         help="SMV image whose zero pixels are skipped; header as -img"),
    # beam
    Flag("-lambda", BEAM, ("wavelength",), "d", contains=("-lambda", "-wave"), also=("-wavelength",),
         field="beam.wavelength_angstrom", default="1", help="wavelength"),
    Flag("-energy", BEAM, ("wavelength",), "d", field="beam.energy_ev", help="photon energy, in place of -lambda"),
    Flag("-fluence", BEAM, ("fluence",), "d", field="beam.fluence_per_m2", help="photons per area"),
    Flag("-flux", BEAM, ("flux",), "d", field="beam.flux_per_s"),
    Flag("-exposure", BEAM, ("exposure",), "d", field="beam.exposure_s", help="exposure time, with -flux"),
    Flag("-beamsize", BEAM, ("beamsize",), "d", field="beam.size_mm", default="0.1",
         help="edge of the square beam; clips the crystal"),
    Flag("-dispersion", BEAM, ("dispersion",), "d", field="beam.dispersion_percent"),
    Flag("-dispsteps", BEAM, ("dispsteps",), "i", field="beam.n_wavelengths", help="number of wavelengths"),
    Flag("-divergence", BEAM, ("h_range", "v_range"), "d", unit="mrad", help="divergence range, both directions"),
    Flag("-hdivrange", BEAM, ("h_range",), "d", field="beam.divergence.h_mrad"),
    Flag("-vdivrange", BEAM, ("v_range",), "d", field="beam.divergence.v_mrad"),
    Flag("-hdivstep", BEAM, ("h_step",), "d", equals=("-hdivstep",), field="beam.divergence.h_step_mrad",
         help="angular step"),
    Flag("-vdivstep", BEAM, ("v_step",), "d", equals=("-vdivstep",), field="beam.divergence.v_step_mrad",
         help="angular step"),
    Flag("-hdivsteps", BEAM, ("n_h",), "i", field="beam.divergence.n_h", help="horizontal points"),
    Flag("-vdivsteps", BEAM, ("n_v",), "i", field="beam.divergence.n_v", help="vertical points"),
    Flag("-divsteps", BEAM, ("n_h", "n_v"), "i", default="automatic", help="points in both directions"),
    Flag("-round_div", BEAM, ("round_div",), put=True, help="cut the divergence grid to an ellipse (default)"),
    Flag("-square_div", BEAM, ("round_div",), put=False, help="keep the whole divergence grid"),
    Flag("-sourcefile", BEAM, ("sourcefile",), "s", field="beam.sources", metavar="FILE", unit="any, 1, m",
         help="lines 'x y z weight wavelength', from sample to source; replaces divergence and dispersion"),
    Flag("-polar", BEAM, ("kahn",), "d", equals=("-polar",), field="beam.kahn_factor", help="Kahn polarization factor"),
    Flag("-nopolar", BEAM, ("nopolar",), help="no polarization factor"),
    Flag("-coherent", BEAM, ("coherent",), help="coherent addition", no_effect="amplitudes are never added"),
    # sensor
    Flag("-detector_abs", SENSOR, ("attenuation",), "s", crashes=True, also=("-detector_absorb",), metavar="UM|inf",
         field="detector.sensor.attenuation_um", help="1/e depth; inf or 0: no sensor"),
    Flag("-detector_thick", SENSOR, ("thickness",), "d", equals=("-detector_thick",), crashes=True,
         field="detector.sensor.thickness_um", help="sensor thickness"),
    Flag("-detector_thicksteps", SENSOR, ("layers",), "i", contains=("-detector_thicksteps", "-thicksteps"),
         crashes=True,
         field="detector.sensor.n_layers", help="number of layers"),
    # sampling
    Flag("-oversample_thick", SAMPLING, ("oversample_thick",), stops=True, field="sampling.oversample_thick"),
    Flag("-oversample_polar", SAMPLING, ("oversample_polar",), stops=True, field="sampling.oversample_polar"),
    Flag("-oversample_omega", SAMPLING, ("oversample_omega",), stops=True, field="sampling.oversample_omega"),
    Flag("-oversample", SAMPLING, ("oversample",), "i", field="sampling.oversample", default="from crystal size and geometry",
         help="sub-pixels along each axis"),
    Flag("-phi", SAMPLING, ("phi",), "d", equals=("-phi",), field="goniometer.phi_start_deg",
         help="start of the rotation"),
    Flag("-osc", SAMPLING, ("osc",), "d", field="goniometer.osc_deg", help="rotation range"),
    Flag("-phistep", SAMPLING, ("phistep",), "d", equals=("-phistep",), field="goniometer.step_deg",
         help="rotation step"),
    Flag("-phisteps", SAMPLING, ("phisteps",), "i", field="goniometer.n_steps", help="number of rotation steps"),
    Flag("-dmin", SAMPLING, ("dmin",), "d", field="sampling.d_min_angstrom", help="skip rays beyond this resolution"),
    Flag("-water", SAMPLING, ("water",), "d", field="background.water_um"),
    Flag("-stol", SAMPLING, ("stol",), "s", equals=("-stol", "-4stol", "-Q"), metavar="FILE",
         help="amorphous scattering table",
         no_effect="the table is read and not used"),
    Flag("-stolout", SAMPLING, ("stolout",), "s", metavar="FILE", help="amorphous table to write",
         no_effect="nothing is written"),
    # output
    Flag("-floatfile", OUTPUT, ("floatfile",), "s", contains=("-floatfile", "-floatimage"), metavar="FILE",
         default="floatimage.bin", help="raw float32 image, photons per pixel"),
    Flag("-intfile", OUTPUT, ("intfile",), "s", contains=("-intfile", "-intimage"), metavar="FILE",
         default="intimage.img",
         help="scaled SMV image without noise"),
    Flag("-pgmfile", OUTPUT, ("pgmfile",), "s", contains=("-pgmfile", "-pgmimage"), metavar="FILE", default="image.pgm",
         help="8-bit grey picture"),
    Flag("-noisefile", OUTPUT, ("noisefile",), "s", contains=("-noisefile", "-noiseimage"), metavar="FILE",
         default="noiseimage.img", help="SMV image with photon noise"),
    Flag("-nonoise", OUTPUT, ("noise",), put=False, help="write no noise image"),
    Flag("-nopgm", OUTPUT, ("pgm",), put=False, help="write no grey picture"),
    Flag("-scale", OUTPUT, ("scale",), "d", default="automatic", help="scale of the int image"),
    Flag("-pgmscale", OUTPUT, ("pgmscale",), "d", default="automatic", help="scale of the grey picture"),
    Flag("-adc", OUTPUT, ("adc",), "d", also=("-adcoffset", "-adc_offset"), default="40",
         help="offset added in int and noise images"),
    Flag("-seed", OUTPUT, ("seed",), "i", default="from the system", help="seed of the noise"),
    Flag("-printout", OUTPUT, ("printout",), help="print a block for every rendered pixel"),
    Flag("-printout_pixel", OUTPUT, ("printout_pixel",), "ii", metavar="FAST SLOW", help="print that pixel only"),
    Flag("-progress", OUTPUT, ("progress",), put=True, help="progress on (default)"),
    Flag("-noprogress", OUTPUT, ("progress",), put=False, help="progress off"),
)

OWN_OPTIONS: tuple[Flag, ...] = (
    Flag("--mtz", CRYSTAL, ("mtz",), "s", metavar="FILE",
         help="structure factors with symmetry, and the cell: MTZ, or mmCIF as "
         "the Protein Data Bank has them"),
    Flag("--label", CRYSTAL, ("label",), "s", metavar="COLUMN", default="the best one; a line says which",
         help="column of --mtz"),
    Flag("--model", CRYSTAL, ("model",), "s", metavar="FILE",
         help="compute structure factors from coordinates, with bulk "
         "solvent; also gives the cell: PDB or mmCIF"),
    Flag("--d-min", CRYSTAL, ("model_d_min",), "d", unit="Angstrom", help="resolution of --model"),
    Flag("--blocks", CRYSTAL, ("n_blocks",), "d", field="crystal.n_blocks", default="1", metavar="NUMBER",
         help="blocks of -N cells in the beam, which scatter independently"),
    Flag("--volume-mm3", CRYSTAL, ("volume_mm3",), "d", field="crystal.volume_mm3", metavar="MM3"),
    Flag("--backend", OWN, ("backend",), "s", metavar="|".join(BACKENDS), default=DEFAULT_BACKEND, help="engine"),
    Flag("--device", OWN, ("device",), "s", default="cpu", help="device of the torch backend"),
    Flag("--dtype", OWN, ("dtype",), "s", metavar="float32|float64", default="float64",
         help="number type of the intensities"),
    Flag("--threads", OWN, ("threads",), "i", default="OMP_NUM_THREADS, else all cores", help="threads"),
    Flag("--kernel", OWN, ("kernel",), "s", default="auto",
         help="of the C engine: auto, scalar, simd, simd-baseline, simd-avx2, simd-avx512, fast; of torch: core, eager, "
              "compiled, triton"),
    Flag("--memory", OWN, ("memory",), "d", unit="GiB", default="4",
         help="largest structure-factor table and working memory"),
    Flag("--fidelity", OWN, ("fidelity",), "s", metavar="reference|corrected", default="reference",
         help="physics of the original program, or the corrected model (implies --strict)"),
    Flag("--quirks", OWN, ("quirks",), "s", metavar="NAMES", help="exactly these quirks, comma separated; none, all"),
    Flag("--strict", OWN, ("strict",), help="refuse what the original ignores or misreads"),
    Flag("--debug", OWN, ("debug",), help="show the traceback behind an error"),
    Flag("--quiet", OWN, ("quiet",), help="no warnings"),
    Flag("--help", OWN, ("help",), help="this text"),
    Flag("--version", OWN, ("version",), help="the version"),
)
# fmt: on

NEVER_WORKED: dict[str, str] = {
    "-detsize_x": "-detsize_f",
    "-detsize_y": "-detsize_s",
    "-xdet_vector": "-fdet_vector",
    "-ydet_vector": "-sdet_vector",
    "-zdet_vector": "-odet_vector",
    "-dispstep": "-dispsteps",
    "-hdiv": "-hdivrange",
    "-vdiv": "-vdivrange",
    "-polarization": "-polar",
    "-thick": "-detector_thick",
    "-detector_thickness": "-detector_thick",
    "-phi0": "-phi",
    "-beam_size": "-beamsize",
    "-spindle_vector": "-spindle_axis",
    "-source_distance": "",
    "-gain": "",
    "-h": "--help",
    "-help": "--help",
}
"""Spellings seen in the wild that the original ignores, with the one that works ('' when there is none)."""
