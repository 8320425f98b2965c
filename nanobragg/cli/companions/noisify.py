"""`nanoBragg noisify`: from a float image of expected photons to integers, with and without noise."""

# ruff: noqa: UP031  the lines are written as the C formats that define them
from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.cli.companions.tokens import Option, described, own_options, read_tokens
from nanobragg.config.image_chain.readout import Maps, Psf, Readout
from nanobragg.constants import DEFAULT_FLUENCE, R_E_SQR
from nanobragg.errors import FileFormatError, NanoBraggWarning, UsageError
from nanobragg.imaging.original.noisify import Blur, NumpyNoise, OriginalNoise, Spread, Stored, spread, stored
from nanobragg.imaging.readout import Conditions, Counts, counts
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.images.pgm import write_pgm
from nanobragg.io.images.smv import header_values, load_smv, padded_header
from nanobragg.lazy import dataclass

BANNER = "noisify - add noise to pixels - James Holton 3-19-16"
_CALIBRATION_STATE = 123456789
"""State of the calibration stream where no seed is typed; positive, unlike that of a seed."""
_MOST_PIXELS = 2**31 - 1


def _whole(number: float) -> int:
    """A radius without its fraction; 0 for one that cannot be (NF_PSF_NEGATIVE_RADIUS)."""
    return int(min(number, _MOST_PIXELS)) if number > 0 else 0


OPTIONS = (
    Option("input", "-floatfile -floatimage -bin", "s", help="float image of expected photons"),
    Option("header", "-header", "s", help="SMV file whose header is taken over, sizes included"),
    Option("n_fast n_slow", "-detpixels", "i", length=10, help="pixels along both axes"),
    Option("n_fast", "-detpixels_x", "i", help="pixels along the fast axis"),
    Option("n_slow", "-detpixels_y", "i", help="pixels along the slow axis"),
    Option("size", "-detsize", "d", length=8, help="no effect: the size is pixels times pixel size"),
    Option("size", "-detsize_x -detsize_y", "d", help="no effect, as -detsize"),
    Option("pixel", "-pixel", "d", per=1000.0, help="pixel size [mm]; default 0.1"),
    Option("distance", "-distance", "d", per=1000.0, help="for the header [mm]; default 100"),
    Option("x_beam", "-Xbeam", "d", per=1000.0, help="for the header [mm]; default the middle"),
    Option("y_beam", "-Ybeam", "d", per=1000.0, help="for the header [mm]; default the middle"),
    Option("wavelength", "-lambda", "d", help="for the header [Angstrom]; default 1"),
    Option("phi", "-phi", "d", help="for the header [deg]; default 0"),
    Option("osc", "-osc", "d", help="for the header [deg]; default 1"),
    Option("scale", "-scale", "d", help="factor from the float image to photons; default 1"),
    Option("fluence", "-fluence", "d", help="photons/m^2; the default makes the image one of photons"),
    Option("gain", "-gain", "d", help="ADU for a photon; default 1"),
    Option("adc", "-adc", "d", help="offset [ADU]; default 40"),
    Option("readout", "-readout -readnoi", "d", help="rms read noise [ADU]; default 0"),
    Option("flicker", "-flicker", "d", help="rms factor of every pixel, as of the beam; default 0"),
    Option("calibration", "-calibration", "d", help="rms factor of every pixel, as of the detector; default 0.03"),
    Option("psf", "-psf", "s", length=4, crashes=True, help="point spread: gauss or fiber; default none"),
    Option("fwhm", "-psf_fw -psf_si -psf_wi", "d", per=1e6, help="its full width at half maximum [um]; default 46"),
    Option(
        "radius", "-psf_rad", "d", convert=_whole, help="its radius [pixels]; default 0, by the photons of each pixel"
    ),
    Option("bits", "-bits", "i", help="16 or 32; default 16"),
    Option("intfile", "-intfile -intimage", "s", help="image without noise; default intimage.img"),
    Option("pgmfile", "-pgmfile -pgmimage", "s", help="grey image; default image.pgm"),
    Option("noisefile", "-noisefile -noiseimage", "s", help="image with noise; default noiseimage.img"),
    Option("noise", "-nonoise", put=False, help="no image with noise"),
    Option("pgm", "-nopgm", put=False, help="no grey image"),
    Option("seed", "-seed", "i", help="seed of the noise; default the time"),
    Option("calib_seed", "-calib_seed", "i", help="seed of the calibration error"),
    Option("unused", "-badpix_seed -hotpix_seed", "i", help="no effect"),
)

USAGE = """usage: noisify -floatfile floatimage.bin
options:
\tfloatimage.bin\t nearBragg-style binary dump file
\t-scale\tscale factor to put floatimage.bin in photons/pixel
\t-gain\tpixel units per photon
\t-readout_noise\tgaussian noise added to every pixel
\t-flicker\t fractional 1/f noise in source
\t-calibration\t static fractional error per pixel
\t-calib_seed\t change seed for calibration error
\t-seed\t specify seed for all non-calibration errors
\t-gain\t pixel units per photon
\t-adc\t offset added to each pixel after noise
\t-distance\t distance from origin to detector center in mm
\t-detsize\t detector size in mm
\t-pixel\t detector pixel size in mm
\t-psf gauss|fiber\t point spread function type (gaussian or fiber)
\t-psf_fwhm\t point spread function size in um
\t-psf_radius\t radius to render PSF in pixels (default automatic)
\t-lambda\t incident x-ray wavelength in Angstrom
\t-intfile\t name of smv-formatted output file (arbitrary scale)
\t-pgmfile\tname of pgm-formatted output file (arbitrary scale)
\t-noisefile\t name of smv-formatted output file (with noise)
\t-Xbeam\t image X coordinate of direct-beam spot (mm)
\t-Ybeam\t image Y coordinate of direct-beam spot (mm)
\t-header\t import 512-byte header from specified SMV file
"""


def run_noisify(args: Sequence[str]) -> int:
    """Run the command."""
    own, tokens = own_options(args, ("reference", "corrected"))
    if "help" in own:
        sys.stdout.write(_help())
        return 0
    settings = read_tokens(tokens, OPTIONS, _note, claimed=lambda token: "input" if "floatimage.bin" in token else None)
    get = settings.get
    psf = _psf_kind(get("psf"))
    _say(BANNER)
    if "input" not in settings:
        sys.stdout.write(USAGE)
        raise UsageError("noisify: no float image; write -floatfile floatimage.bin")
    image = _read(settings)
    seed = int(get("seed", time.time()))
    calibration_state = -settings["calib_seed"] if "calib_seed" in settings else _CALIBRATION_STATE
    noise = get("noise", True)
    errors = {name: get(name, 0.0) if noise else 0.0 for name in ("flicker", "readout")}
    errors["calibration"] = get("calibration", 0.03) if noise else 0.0
    fwhm = float(np.float32(get("fwhm", 46e-6)))
    if psf and not math.isfinite(fwhm):
        raise UsageError(f"noisify: -psf_fwhm {1e6 * fwhm:g}: must be a finite number of um")
    point_spread = Blur(psf, fwhm / image.pixel, get("radius", 0)) if psf and fwhm > 0 else None

    _report(settings, image, psf, fwhm, errors, seed, calibration_state)
    photons = _photons(settings, image)
    files = _Files(settings, image, "corrected" in own.get("fidelity", ""))
    if own.get("fidelity") == "corrected":
        _write_corrected(settings, photons, image, psf, errors, seed, int(own.get("threads", 1)), files)
        return 0
    expected = photons
    if point_spread is not None and not noise:
        _say(f"  applying PSF to noiseless image width = {point_spread.width:g} pixels")
        expected = _tell(spread(photons, point_spread), point_spread)
    gain, offset = get("gain", 1.0), get("adc", 40.0)
    clean = stored(expected, gain, offset)
    files.write(get("intfile", "intimage.img"), clean, f"{photons.size} ")
    if get("pgm", True):
        name = get("pgmfile", "image.pgm")
        _say(f"writing {name} as 1-byte integers")
        write_pgm(name, np.minimum(clean.bits16, 255).astype(np.uint8))
    if not noise:
        return 0

    generator = _generator(own, seed, calibration_state)
    n = photons.copy()
    total = generator.count(n.reshape(-1), errors["flicker"], errors["calibration"])
    if point_spread is not None:
        _say(f"{total:.0f} photons on noise image before PSF")
        _say(f"  applying PSF width = {fwhm * 1e6:g} um")
        n = _tell(spread(n, point_spread), point_spread)
    deviates = 0.0 * n if errors["readout"] <= 0 else generator.gaussian(n.size).reshape(n.shape)
    noisy = stored(n, gain, offset, errors["readout"] * deviates.astype(np.float64))
    total = float(np.add.accumulate(n.ravel(), dtype=np.float64)[-1])
    overloads = noisy.overloads32 if files.bits == 32 else noisy.overloads16
    _say(f"{total:.0f} photons on noise image ({overloads} overloads)")
    files.write(get("noisefile", "noiseimage.img"), noisy, "")
    return 0


def _psf_kind(text: str | None) -> str:
    """gauss, fiber, or nothing."""
    if text is None:
        return ""
    for kind in ("fiber", "gauss"):
        if kind in text:
            return kind
    _say(f"WARNING: unknown psf type: {text}")
    return ""


@dataclass(frozen=True)
class _Input:
    """A float image, and what the header of another image says about it."""

    pixels: NDArray[np.float32]
    """(n_slow, n_fast)"""
    pixel: float
    """[m]"""
    distance: float
    """[m]"""
    center: tuple[float, float]
    """(X, Y) of the beam [m]"""
    header: bytes | None
    """header to take over"""


def _read(settings: dict[str, Any]) -> _Input:
    """Read the float image; a quarter of its values will do, the others are 0 (NF_SHORT_FILE)."""
    name, get = settings["input"], settings.get
    fast, slow, pixel, distance = get("n_fast", 0), get("n_slow", 0), get("pixel", 0.1e-3), get("distance", 0.1)
    typed: dict[str, float] = {}
    header = None
    if "header" in settings:
        path = settings["header"]
        _say(f"taking header from {path}")
        _say(f"reading {path}")
        smv = load_smv(path, strict=False)
        keys = ("SIZE1", "SIZE2", "PIXEL_SIZE", "DISTANCE", "BEAM_CENTER_X", "BEAM_CENTER_Y")
        typed = header_values(path, smv.text, keys, False)
        fast, slow, header = int(typed["SIZE1"]), int(typed["SIZE2"]), smv.text.encode("latin-1")
        pixel = typed["PIXEL_SIZE"] / 1000 if "PIXEL_SIZE" in typed else pixel
        distance = typed["DISTANCE"] / 1000 if "DISTANCE" in typed else distance
    data = read_bytes(name)
    count = len(data) // 4
    if count == 0:
        raise FileFormatError(name, "holds no pixels; must be float32 numbers")
    if fast < 0 or slow < 0:
        raise UsageError(f"noisify: the image cannot have {fast} x {slow} pixels; write -detpixels_x N -detpixels_y N")
    if not fast and not slow:
        _say("WARNING: guessing xy pixel dimensions.")
        fast = math.isqrt(count)
        while fast * (count // fast) != count:
            fast -= 1
    slow = slow or count // fast
    fast = fast or count // slow
    wanted = fast * slow
    if not 0 < wanted <= _MOST_PIXELS:
        raise UsageError(f"noisify: the image cannot have {fast} x {slow} pixels; write -detpixels_x N -detpixels_y N")
    _say(f"importing {wanted} pixel intensites: {name}")
    if len(data) < wanted:
        raise FileFormatError(name, f"{len(data)} bytes, expected {4 * wanted} for {fast} x {slow} float32 pixels")
    pixels = np.frombuffer(data[: 4 * wanted].ljust(4 * wanted, b"\0"), np.float32).reshape(slow, fast)
    x = get("x_beam", fast * pixel / 2)
    y = get("y_beam", slow * pixel / 2)
    if "BEAM_CENTER_X" in typed:
        x = typed["BEAM_CENTER_X"] / 1000
    if "BEAM_CENTER_Y" in typed:
        y = slow * pixel - typed["BEAM_CENTER_Y"] / 1000
    if not pixel > 0:
        raise UsageError(f"noisify: the pixel size is {1000 * pixel:g} mm, must be above 0; write -pixel MM")
    return _Input(pixels, pixel, distance, (x, y), header)


def _report(
    settings: dict[str, Any], image: _Input, psf: str, fwhm: float, errors: dict[str, float], seed: int, state: int
) -> None:
    get, (slow, fast) = settings.get, image.pixels.shape
    width, height = image.pixel * fast, image.pixel * slow
    _say("  distance=%g detsize=%gx%g  pixel=%g meters (%dx%d pixels)"
         % (image.distance, width, height, image.pixel, fast, slow))  # fmt: skip
    _say("  Xbeam=%g Ybeam=%g" % image.center)
    if psf:
        radius = get("radius", 0)
        _say("  %s PSF fwhm = %g um " % ("Gaussian" if psf == "gauss" else "fiber", fwhm * 1e6), end="")
        if radius == 0:
            _say("  with automatic rendering radius")
        _say(f"  with rendering radius: {radius}")
    _say(f"  seed: {-seed}")
    _say(f"  calibration noise seed: {state}")
    _say(f"  calibration_noise = {100 * errors['calibration']:g} %")
    _say(f"  input file scale = {get('scale', 1.0):g}")
    _say(f"  readout_noise = {errors['readout']:g} ADU")
    _say(f"  flicker_noise = {100 * errors['flicker']:g} %")
    _say(f"  quantum_gain = {get('gain', 1.0):g} ADU/photon")
    _say(f"  adc_offset = {get('adc', 40.0):g} ADU")
    _say("")


def _photons(settings: dict[str, Any], image: _Input) -> NDArray[np.float32]:
    """Expected photons, float32."""
    factor = settings.get("fluence", DEFAULT_FLUENCE) * R_E_SQR
    scale = settings.get("scale", 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        photons = (factor * scale * image.pixels.astype(np.float64)).astype(np.float32)
    if np.isnan(photons).any():
        raise FileFormatError(settings["input"], f"{int(np.isnan(photons).sum())} pixels are not numbers")
    for value in image.pixels[image.pixels < 0]:
        _say(f"WARNING: negative intensity in {settings['input']}: {value:g}")
    largest = max(float(image.pixels.max()), 0.0)
    _say(f"maximum value in input file: {largest:g} ( {factor * scale * largest:g} on photon scale)")
    return photons


def _tell(result: Spread, psf: Blur) -> NDArray[np.float32]:
    """The spread photons, after saying how they were spread."""
    if psf.radius == 0:
        if result.radius == 0:
            _say("WARNING: no photons to spread")
            return result.photons
        _say(f"  maximum input photon/pixel: {result.brightest:g}")
        _say(f"  auto-selected psf_radius = {result.radius} pixels")
    _say(f"adding back {result.lost:g} lost photons")
    return result.photons


def _generator(own: dict[str, str], seed: int, calibration_state: int) -> Any:
    if own.get("generator") == "pcg64":
        return NumpyNoise(seed, calibration_state)
    return OriginalNoise(-seed, calibration_state)


def _write_corrected(
    settings: dict[str, Any], photons: NDArray[np.float32], image: _Input, psf: str, errors: dict[str, float], seed: int,
    n_threads: int, files: _Files,
) -> None:  # fmt: skip
    """The same files by the package's own model: static calibration, one flicker for the frame, rounding, clipping."""
    get = settings.get
    if files.bits not in (16, 32):
        raise UsageError(f"noisify: -bits {files.bits}: must be 16 or 32")
    spread_by = Psf(kind=psf, fwhm_um=1e6 * get("fwhm", 46e-6), radius_px=get("radius", 0) or None) if psf else Psf()
    common: dict[str, Any] = {
        "gain_adu_per_photon": get("gain", 1.0), "offset_adu": get("adc", 40.0), "bits": files.bits, "min_adu": 0,
        "psf": spread_by,
    }  # fmt: skip
    here = Conditions(pixel_um=(1e6 * image.pixel, 1e6 * image.pixel), n_threads=n_threads)
    clean = counts(photons, Readout(**common, counting="none"), 0, here)
    files.write(get("intfile", "intimage.img"), _as_stored(clean), f"{photons.size} ")
    if get("pgm", True):
        name = get("pgmfile", "image.pgm")
        _say(f"writing {name} as 1-byte integers")
        write_pgm(name, np.minimum(clean.counts, 255).astype(np.uint8))
    if not get("noise", True):
        return
    readout = Readout(
        **common, flicker=errors["flicker"], noise_adu=errors["readout"],
        maps=Maps(gain_error=errors["calibration"], seed=abs(get("calib_seed", 1))),
    )  # fmt: skip
    noisy = counts(photons, readout, abs(seed) & 0xFFFFFFFF, here)
    total = (noisy.counts.astype(np.float64) - readout.offset_adu).sum() / readout.gain_adu_per_photon
    _say(f"{total:.0f} photons on noise image ({noisy.overloads} overloads)")
    files.write(get("noisefile", "noiseimage.img"), _as_stored(noisy), "")


def _as_stored(read: Counts) -> Stored:
    return Stored(read.counts.astype(np.uint16), read.counts.astype(np.uint32), read.overloads, read.overloads)


class _Files:
    """Writes both SMV images under one header."""

    def __init__(self, settings: dict[str, Any], image: _Input, offset_told: bool) -> None:
        self._offset_told = offset_told
        self.bits = settings.get("bits", 16)
        self._header = image.header if image.header is not None else self._own(settings, image)

    def write(self, name: str, pixels: Stored, count: str) -> None:
        """Write an image, and say so; neither 16 nor 32 bits leave the header alone."""
        _say(f"writing {name} as {count}{self.bits // 8}-byte integers")
        stored_as: dict[int, NDArray[Any]] = {16: pixels.bits16, 32: pixels.bits32}
        data = [stored_as[self.bits].tobytes()] if self.bits in stored_as else []
        write_bytes(name, [self._header, *data])

    def _own(self, settings: dict[str, Any], image: _Input) -> bytes:
        get, (slow, fast) = settings.get, image.pixels.shape
        x, y = image.center
        phi = get("phi", 0.0)
        kinds = {16: "unsigned_short", 32: "long_integer"}
        first: list[tuple[str, object]] = [("DIM", 2), ("BYTE_ORDER", f"{sys.byteorder}_endian")]
        entries: list[tuple[str, object]] = [
            ("SIZE1", fast), ("SIZE2", slow), ("PIXEL_SIZE", f"{image.pixel * 1000:g}"),
            ("DISTANCE", f"{image.distance * 1000:g}"), ("WAVELENGTH", f"{get('wavelength', 1.0):g}"),
            ("BEAM_CENTER_X", f"{x * 1000:g}"), ("BEAM_CENTER_Y", f"{(slow * image.pixel - y) * 1000:g}"),
            ("PHI", f"{phi:g}"), ("OSC_START", f"{phi:g}"), ("OSC_RANGE", f"{get('osc', 1.0):g}"),
            ("DETECTOR_SN", "000"), ("BEAMLINE", "fake"),
        ]  # fmt: skip
        if self._offset_told:
            entries.append(("ADC_OFFSET", f"{get('adc', 40.0):g}"))
        if self.bits in kinds:
            return padded_header([*first, ("TYPE", kinds[self.bits]), *entries])
        lines = "".join(f"{key}={value};\n" for key, value in entries)
        return f"{lines}}}\f".encode().ljust(512)


def _help() -> str:
    own = (
        "  --fidelity NAME                 reference (default), or corrected: one calibration for all frames,\n"
        "                                  one flicker for the frame, a linear point spread, rounding\n"
        "  --generator NAME                nanobragg (default: the original's deviates) or pcg64\n"
        "  --threads N                     for --fidelity corrected; the original's deviates are drawn one after the other\n"
    )
    return (
        "\n".join(["usage: nanoBragg noisify -floatfile floatimage.bin [options]", "", *described(OPTIONS), ""]) + own
    )


def _note(text: str) -> None:
    warnings.warn(f"noisify: {text}", NanoBraggWarning, stacklevel=1)


def _say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
