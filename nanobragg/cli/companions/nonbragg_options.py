"""The options of nonBragg."""

from __future__ import annotations

from typing import Any

from nanobragg.cli.companions.tokens import Option
from nanobragg.constants import EV_ANGSTROM, PI, RTD
from nanobragg.errors import UsageError

_BEAM: dict[str, Any] = {"pivot": "beam"}
_SAMPLE: dict[str, Any] = {"pivot": "sample"}
MM, DEGREES, ANGSTROM, PERCENT = 1000.0, RTD, 1e10, 100.0


def _pivot(text: str) -> dict[str, str]:
    return next(({"pivot": word} for word in ("beam", "sample") if word in text), {})


def _of_energy(energy: float) -> float:
    if energy == 0:
        raise UsageError("nonBragg: the energy is 0; write -energy EV with a value above 0")
    return EV_ANGSTROM / energy / 1e10


OPTIONS = (
    Option("stol", "-stol", "s", length=5, also={"abscissa": 1e10},
           help="table of sin(theta)/lambda [1/Angstrom] and F [electrons]"),
    Option("stol", "-4stol", "s", length=6, also={"abscissa": 1e10 / 4.0}, help="table of 4 sin(theta)/lambda and F"),
    Option("stol", "-Q", "s", whole=True, also={"abscissa": 1e10 / PI / 4.0},
           help="table of 4 pi sin(theta)/lambda and F"),
    Option("thick wide high", "-samplesize -sample_size", "d", per=MM, help="edge of the sample [mm]; default 0.1"),
    Option("thick", "-sample_thick -sample_x -thick", "d", per=MM, help="thickness along the beam [mm]; default 0.1"),
    Option("wide", "-sample_width -sample_y -width", "d", per=MM, help="width [mm]; default 0.1, at most the beam"),
    Option("high", "-sample_heigh -sample_z -heigh", "d", per=MM, help="height [mm]; default 0.1, at most the beam"),
    Option("density", "-density -sample_den", "d", per=1e-6, help="density [g/cm^3]; default 1"),
    Option("molecules", "-molecules -sample_molecules", "d", help="number of molecules in place of the density"),
    Option("molar_mass", "-MW", "d", whole=True, help="molar mass [g/mol]; default 18"),
    Option("molar_mass", "-molecular", "d", help="the same"),
    Option("x_beam", "-Xbeam", "d", per=MM, also=_BEAM, help="beam center along fast [mm]"),
    Option("y_beam", "-Ybeam", "d", per=MM, also=_BEAM, help="beam center along slow [mm]"),
    Option("x_close", "-Xclose", "d", per=MM, also=_SAMPLE, help="point next to the sample along fast [mm]"),
    Option("y_close", "-Yclose", "d", per=MM, also=_SAMPLE, help="point next to the sample along slow [mm]"),
    Option("org_x", "-ORGX", "d", also=_SAMPLE, help="point next to the sample along fast [pixels]"),
    Option("org_y", "-ORGY", "d", also=_SAMPLE, help="point next to the sample along slow [pixels]"),
    Option("pivot_text", "-pivot", "s", also=_pivot, help="beam or sample: what a rotation of the detector leaves in place"),
    Option("fast", "-fdet_vector", "ddd", help="fast axis of the detector"),
    Option("slow", "-sdet_vector", "ddd", help="slow axis of the detector"),
    Option("unused", "-odet_vector -pix0_vector", "ddd", help="no effect"),
    Option("beam", "-beam_vector", "ddd", help="direction of the beam"),
    Option("polar_axis", "-polar_vector", "ddd", help="direction of the polarization"),
    Option("spindle", "-spindle_axis", "ddd", help="no effect"),
    Option("twotheta_axis", "-twotheta_axis", "ddd", help="axis of the two-theta arm; its first number is an angle too"),
    Option("distance", "-distance", "d", per=MM, also=_BEAM, help="distance along the beam [mm]; default 100"),
    Option("close_distance", "-close_distance", "d", per=MM, also=_SAMPLE, help="distance of the plane [mm]"),
    Option("source_distance", "-source_distance", "d", per=MM, help="distance of the sources [mm]; default 10000"),
    Option("twotheta", "-twotheta", "d", per=DEGREES, also=_SAMPLE, help="angle of the two-theta arm [deg]"),
    Option("rot_x", "-detector_rotx", "d", per=DEGREES, help="rotation of the detector about x [deg]"),
    Option("rot_y", "-detector_roty", "d", per=DEGREES, help="rotation of the detector about y [deg]"),
    Option("rot_z", "-detector_rotz", "d", per=DEGREES, help="rotation of the detector about z [deg]"),
    Option("size_fast size_slow", "-detsize", "d", per=MM, length=8, help="size of the detector [mm]; default 102.4"),
    Option("size_fast", "-detsize_x", "d", per=MM, help="size along fast [mm]"),
    Option("size_slow", "-detsize_y", "d", per=MM, help="size along slow [mm]"),
    Option("n_fast n_slow", "-detpixels", "i", length=10, help="pixels along both axes"),
    Option("n_fast", "-detpixels_f -detpixels_x", "i", help="pixels along fast"),
    Option("n_slow", "-detpixels_s -detpixels_y", "i", help="pixels along slow"),
    Option("pixel", "-pixel", "d", per=MM, help="pixel size [mm]; default 0.1"),
    Option("curved", "-curved_det", needs=1, help="all pixels at one distance; must not be the last token"),
    Option("point_pixel", "-point_pixel", help="pixels without area"),
    Option("map_factor", "-Fmap", help="write F in place of photons"),
    Option("kahn", "-polar", "d", length=6, also={"polarized": True}, help="Kahn factor; default 0"),
    Option("polarized", "-nopolar", put=False, help="no polarization factor"),
    Option("oversample", "-oversample", "i", help="sub-pixels along an edge; default 1"),
    Option("roi", "-roi", "iiii", help="first and last fast, first and last slow pixel; -1: the end"),
    Option("wavelength", "-lambda -wave", "d", per=ANGSTROM, help="wavelength [Angstrom]; default 1"),
    Option("wavelength", "-energy", "d", convert=_of_energy, help="photon energy [eV]"),
    Option("fluence", "-fluence", "d", help="photons/m^2"),
    Option("flux", "-flux", "d", help="photons/s"),
    Option("exposure", "-exposure", "d", help="exposure [s]; default 1"),
    Option("beamsize", "-beamsize", "d", per=MM, help="edge of the beam [mm]; default 0.1"),
    Option("dispersion", "-dispersion", "d", per=PERCENT, help="full range of wavelengths [%]"),
    Option("n_dispersion", "-dispsteps", "i", help="wavelengths in it"),
    Option("h_range v_range", "-divergence", "d", per=MM, help="full divergence along both axes [mrad]"),
    Option("h_range", "-hdivrange", "d", per=MM, help="horizontal divergence [mrad]"),
    Option("v_range", "-vdivrange", "d", per=MM, help="vertical divergence [mrad]"),
    Option("h_step", "-hdivstep", "d", per=MM, length=9, help="step of the horizontal divergence [mrad]"),
    Option("v_step", "-vdivstep", "d", per=MM, length=9, help="step of the vertical divergence [mrad]"),
    Option("n_h", "-hdivsteps", "i", help="number of horizontal directions"),
    Option("n_v", "-vdivsteps", "i", help="number of vertical directions"),
    Option("n_h n_v", "-divsteps", "i", help="number of directions along both axes"),
    Option("round", "-round_div", help="only directions within an ellipse (default)"),
    Option("round", "-square_div", put=False, help="all directions of the grid"),
    Option("adc", "-adc", "d", help="offset of the integer images [ADU]; default 40"),
    Option("gain", "-gain", "d", help="ADU for a photon of -img; default 1"),
    Option("phi", "-phi", "d", length=4, help="for the header [deg]"),
    Option("osc", "-osc", "d", help="for the header [deg]"),
    Option("phi_step", "-phistep", "d", length=8, help="for the header [deg]"),
    Option("n_phi", "-phisteps", "i", help="for the header"),
    Option("image", "-img", "s", help="SMV image to turn back into a table; its header gives defaults"),
    Option("ignored", "-ignore", "i", many=True, help="value of -img that does not count; may be repeated"),
    Option("stolout", "-stolout", "s", help="the table that comes back; default output.stol"),
    Option("sourcefile", "-sourcefile", "s", help="lines of x y z weight wavelength [m]"),
    Option("floatfile", "-floatfile -floatimage", "s", help="float image; default floatimage.bin"),
    Option("intfile", "-intfile -intimage", "s", help="integer image; default intimage.img"),
    Option("pgmfile", "-pgmfile -pgmimage", "s", help="grey image; default image.pgm"),
    Option("noisefile", "-noisefile -noiseimage", "s", also={"noise": True}, help="image with noise; default noiseimage.img"),
    Option("noise", "-nonoise", put=False, help="no image with noise"),
    Option("scale", "-scale", "d", help="factor of the integer image; default 0, the brightest pixel becomes 55000"),
    Option("pgm_scale", "-pgmscale", "d", help="factor of the grey image; default 0, five rmsd become 250"),
    Option("printout", "-printout", help="print every pixel"),
    Option("printout_pixel", "-printout_pixel", "ii", help="print the pixel (fast, slow)"),
    Option("progress", "-noprogress", put=False, help="no lines of progress"),
    Option("progress", "-progress", help="lines of progress (default)"),
    Option("seed", "-seed", "i", help="seed of the noise; default the time"),
    Option("unused", "-nopgm -noreject -coherent", help="no effect"),
)  # fmt: skip

USAGE = """usage: nonBragg -stol water.stol
options:
\t-stol filename.stol\ttext file containing sin(theta)/lambda and F
\t-4stol, -Q\tthe same with 4 sin(theta)/lambda, 4 pi sin(theta)/lambda
"""
