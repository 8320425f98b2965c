"""`nanoBragg nonbragg`: the scattering of an amorphous body, or a table from its image."""

# ruff: noqa: UP031  the lines are written as the C formats that define them
from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.cli.companions.nonbragg_corrected import corrected_image, counted, refuse_reference_only, statistics
from nanobragg.cli.companions.nonbragg_options import OPTIONS, USAGE
from nanobragg.cli.companions.nonbragg_setup import Setup, build, header_defaults
from nanobragg.cli.companions.tokens import described, own_options, read_tokens
from nanobragg.cli.progress import thresholds
from nanobragg.constants import RTD
from nanobragg.derivation.rng import LegacyRandom
from nanobragg.errors import NanoBraggWarning, UsageError
from nanobragg.imaging.original.noisify import LARGEST_16, wrapped
from nanobragg.imaging.original.nonbragg import AmorphousImage, amorphous_image, factor_bins
from nanobragg.io.atomic import write_bytes
from nanobragg.io.images.counts import automatic_pgm_scale, automatic_scale, integer_image
from nanobragg.io.images.float_image import write_float
from nanobragg.io.images.pgm import write_pgm
from nanobragg.io.images.smv import mandatory_entries, padded_header, save_smv

_OWN = (
    "  --fidelity NAME                 reference (default), or corrected: the table constant outside and smooth inside,\n"
    "                                  normalized sources, rounding; without -img, -Fmap and -printout\n"
    "  --threads N                     for --fidelity corrected\n"
)
BANNER = "nonBragg amorphous material diffraction simulator - James Holton and Ken Frankel 3-19-16"


def run_nonbragg(args: Sequence[str]) -> int:
    """Run the command."""
    own, tokens = own_options(args, ("reference", "corrected"))
    if "help" in own:
        sys.stdout.write(
            "\n".join(["usage: nanoBragg nonbragg -stol water.stol [options]", "", *described(OPTIONS), ""]) + _OWN
        )
        return 0
    settings = read_tokens(tokens, OPTIONS, _note)
    corrected, n_threads = own.get("fidelity") == "corrected", int(own.get("threads", 1))
    if corrected:
        refuse_reference_only(settings)
    counts = None
    if "image" in settings:
        _say(f"reading {settings['image']}")
        defaults, smv = header_defaults(settings)
        counts = smv.pixels
        _say(f"mmap({settings['image']}) = 0x0")
        settings = {**defaults, **settings}
    _say(BANNER)
    if "stol" not in settings:
        _say(USAGE, end="")
        raise UsageError("nonBragg: no table; write -stol FILE")
    setup = build(settings, corrected=corrected)
    seed = int(settings.get("seed", time.time()))
    for text in _report(settings, setup, seed):
        _say(text)
    if counts is not None and not counts[setup.region].size:
        raise UsageError("nonBragg: the region of -roi holds no pixel of -img")
    if corrected:
        photons = corrected_image(settings, setup, n_threads)
        _write_images(settings, setup, photons.astype(np.float32), seed, None, photons, n_threads)
        return 0
    image = amorphous_image(setup.body, setup.inside, keep_last="printout" in settings or counts is not None)
    if "printout" in settings:
        lines = _printout(settings, setup, image)
    else:
        lines = _progress(setup) if settings.get("progress", True) else iter(())
    for text in lines:
        _say(text)
    _say("")
    total = image.solid_angle_sum
    _say(f"solid angle subtended by detector = {total:g} steradian ( {100 * total / 4 / math.pi:g}% sphere)")
    last_bin = None
    if counts is not None:
        last_bin = _write_table(settings, setup, image, counts)
    _write_images(settings, setup, image.pixels, seed, last_bin)
    return 0


def _report(settings: dict[str, Any], setup: Setup, seed: int) -> Iterator[str]:
    """Everything that is said before the first pixel."""
    get, body, sources = settings.get, setup.body, setup.sources
    for name, size, beam in setup.clipped:
        yield f"WARNING: clipping sample ({size:g} m {name}) with beam ({beam:g} m)"
    yield f"pivoting detector around {'sample' if setup.pivot == 'sample' else 'direct beam spot'}"
    yield f"reading {settings['stol']}"
    for h, v in sources.directions or ():
        yield f"divergence deviation: {h:g} {v:g}"
    for i, wavelength in enumerate(sources.wavelengths):
        yield f"lambda{i} = {wavelength:.15g}"
    yield f"  created a total of {len(sources.weight)} sources:"
    for position, weight, wavelength in zip(sources.position, sources.weight, sources.wavelength, strict=True):
        yield "%g %g %g   %g %g" % (*position, weight, wavelength)
    yield f"  {len(body.stol)} initialized F points (will cubic-spline interpolate between them)"
    spectrum = sources.spectrum
    yield f"  wave={setup.wavelength:g} meters +/- {100 * spectrum.width:g}% in {spectrum.n} steps"
    yield f"  Kahn polarization factor: {body.kahn_factor:f}" if body.polarized else "  polarization effect disabled"
    if body.curved:
        yield "  curved detector: all pixels same distance from origin"
    if body.point_pixel:
        yield "  pixel obliquity effect disabled"
    if body.map_factor:
        yield "  Fmap mode: plotting structure factor at every pixel"
    yield f"  incident fluence: {body.fluence:g} photons/m^2"
    yield ("  sample is %g m thick x %g m high x %g m wide, %g g/cm^3 and %g g/mol (%g molecules)"
           % (*setup.sample, setup.density / 1e6, setup.molar_mass, body.molecules))  # fmt: skip
    yield ("  distance=%g detsize=%gx%g  pixel=%g meters (%dx%d pixels)"
           % (body.distance, *setup.size, body.pixel_size, body.n_fast, body.n_slow))  # fmt: skip
    yield "  Xbeam=%g Ybeam=%g" % setup.center
    yield "  detector origin: %g %g %g" % body.pix0
    yield "  DIRECTION_OF_DETECTOR_X-AXIS= %g %g %g" % body.fast
    yield "  DIRECTION_OF_DETECTOR_Y-AXIS= %g %g %g" % body.slow
    yield "  INCIDENT_BEAM_DIRECTION= %g %g %g" % body.beam
    yield "  POLARIZATION_PLANE_NORMAL= %g %g %g" % body.polarization_axis
    yield "  roi: %d < x < %d && %d < y < %d" % setup.roi
    for name, axis in (("h", sources.horizontal), ("v", sources.vertical)):
        yield f"  {name}divrange={axis.width:g} {name}divstep={axis.step:g}  radians"
    yield f"  {-1 if sources.directions is None else len(sources.directions)} divergence steps"
    yield f"  {len(sources.weight)} sources"
    yield f"  {body.oversample} pixel oversample steps"
    if get("noise", True):
        yield ""
        yield "  noise image paramters:"
        yield f"  seed: {-seed}"


def _progress(setup: Setup) -> Iterator[str]:
    first_fast, last_fast, first_slow, last_slow = setup.roi
    area = (last_fast - first_fast + 1) * (last_slow - first_slow + 1)
    slow, fast = setup.region
    for done in thresholds(max(slow.stop - slow.start, 0) * max(fast.stop - fast.start, 0), area):
        yield f"{100 * done // area}% done"


def _printout(settings: dict[str, Any], setup: Setup, image: AmorphousImage) -> Iterator[str]:
    """Six lines for every pixel of the region, or for one."""
    only = settings.get("printout_pixel", (-1, -1))
    body, (slow_part, fast_part) = setup.body, setup.region
    weight = setup.sources.weight[-1]
    for slow in range(slow_part.start, slow_part.stop):
        for fast in range(fast_part.start, fast_part.stop):
            if only[0] >= 0 and (fast, slow) != only:
                continue
            last = {name: values[slow, fast] for name, values in image.last.items()}
            x, y, z = last["position"]
            by_angle = math.sin(0.5 * math.atan2(math.sqrt(y * y + z * z), x)) / (setup.wavelength * 1e10)
            yield f"{fast:4d} {slow:4d} : stol = {last['stol']:g} or {by_angle:g}"
            yield f" F=0    I = {weight:g}"
            yield f"I/steps {weight / body.steps:15.10g}"
            yield f"polar   {last['polarization']:15.10g}"
            yield f"omega   {last['solid_angle']:15.10g}"
            yield f"pixel   {float(image.pixels[slow, fast]):15.10g}"


def _write_table(settings: dict[str, Any], setup: Setup, image: AmorphousImage, counts: NDArray[np.uint16]) -> int:
    """Write the table that the image gives; returns the number of pixels of its last point."""
    get, body, name = settings.get, setup.body, settings.get("stolout", "output.stol")
    n = body.n_slow * body.n_fast
    values = np.zeros(n, np.uint16)
    values[: min(n, counts.size)] = counts.ravel()[:n]
    lines, last = [], 0
    for found in factor_bins(body, image, setup.region, values.reshape(body.n_slow, body.n_fast), get("ignored", []),
                             get("gain", 1.0), get("adc", 40.0)):  # fmt: skip
        stol = body.stol[found.index] / setup.abscissa
        last = found.n
        if found.enough:
            lines.append(f"{stol:g} {found.mean:g} {found.rms:g}   nan nan  {found.n}\n")
        else:
            _say(
                f"WARNING: not enough pixels in bin= {found.index} n={found.n} stol= {stol:g} median= nan avg_arej= nan"
            )
    write_bytes(name, ["".join(lines).encode()])
    _say(f"wrote {name} as {len(lines)} lines of text")
    return last


def _write_images(
    settings: dict[str, Any], setup: Setup, pixels: NDArray[np.float32], seed: int, last_bin: int | None,
    exact: NDArray[np.float64] | None = None, n_threads: int = 1,
) -> None:  # fmt: skip
    """Write float, integer, grey and noise image, with the statistics between them; exact: those of the corrected model."""
    get, region = settings.get, setup.region
    inside = pixels[region]
    name = get("floatfile", "floatimage.bin")
    _say(f"writing {name} as {pixels.size} 4-byte floats")
    write_float(name, pixels)

    brightest, where = 0.0, (0.0, 0.0)
    shown = np.nan_to_num(inside, nan=-np.inf)
    if shown.size and shown.max() > 0:
        slow, fast = np.unravel_index(int(shown.argmax()), shown.shape)
        brightest, where = (
            float(shown[slow, fast]),
            _last_sub_pixel(setup, fast + region[1].start, slow + region[0].start),
        )
    _say("max_I = %g  at %g %g" % (brightest, *where))
    mean, rms, rmsd = _statistics(pixels, region, last_bin) if exact is None else statistics(exact[region])
    _say(f"mean= {mean:g} rms= {rms:g} rmsd= {rmsd:g}")

    scale = get("scale", 0.0) if get("scale", 0.0) > 0 else automatic_scale(brightest)
    _say(f"intfile_scale = {scale:g}")
    name, header = get("intfile", "intimage.img"), _header(settings, setup, offset_told=exact is not None)
    _say(f"writing {name} as 2-byte integers")
    finite = np.nan_to_num(pixels, nan=0.0, posinf=np.inf, neginf=-np.inf)
    nothing = np.zeros(pixels.shape, np.uint16)
    save_smv(name, integer_image(finite, scale=scale, adc_offset=get("adc", 40.0), roi=region, as_original=exact is None)
              if inside.size else nothing, header)  # fmt: skip

    grey_scale = get("pgm_scale", 0.0) if get("pgm_scale", 0.0) > 0 else automatic_pgm_scale(rmsd, scale)
    _say(f"pgm_scale = {grey_scale:g}")
    name = get("pgmfile", "image.pgm")
    _say(f"writing {name} as 1-byte integers")
    grey = np.zeros(pixels.shape, np.uint8)
    levels = np.minimum(inside.astype(np.float64) * grey_scale + (0.0 if exact is None else 0.5), 255.0)
    grey[region] = wrapped(np.where(np.abs(levels) < 2.0**31, levels, 0.0))
    write_pgm(name, grey, scale=grey_scale)

    if get("noise", True) and exact is not None:
        found = counted(exact, seed, get("adc", 40.0), n_threads)
        total = (found.counts[region].astype(np.float64) - get("adc", 40.0)).sum()
        _say(f"{total:.0f} photons on noise image ({found.overloads} overloads)")
        nothing[region] = found.counts[region]
        name = get("noisefile", "noiseimage.img")
        _say(f"writing {name} as 2-byte integers")
        save_smv(name, nothing, header)
    elif get("noise", True):
        stream = LegacyRandom()
        stream.seed("noise", -seed)
        photons = stream.poisson("noise", inside.ravel()).astype(np.float64)
        counts = photons + get("adc", 40.0)
        total = np.add.accumulate(photons)[-1] if photons.size else 0.0
        _say(f"{total:.0f} photons on noise image ({int((counts > LARGEST_16).sum())} overloads)")
        noisy = nothing
        noisy[region] = wrapped(np.minimum(counts, LARGEST_16)).reshape(inside.shape)
        name = get("noisefile", "noiseimage.img")
        _say(f"writing {name} as 2-byte integers")
        save_smv(name, noisy, header)


def _last_sub_pixel(setup: Setup, fast: int, slow: int) -> tuple[float, float]:
    """(fast, slow) of the last sub-pixel of a pixel [m]."""
    n = setup.body.oversample
    sub = setup.body.pixel_size / n
    return sub * (fast * n + n - 1) + sub / 2.0, sub * (slow * n + n - 1) + sub / 2.0


def _statistics(
    pixels: NDArray[np.float32], region: tuple[slice, slice], last_bin: int | None
) -> tuple[float, float, float]:
    """Mean, rms and rmsd as the original finds them: rmsd looks at the pixel after each (NB_RMSD_SHIFT)."""
    inside = pixels[region].ravel()
    after = np.append(pixels.ravel()[1:], np.float32(0)).reshape(pixels.shape)[region].ravel()
    if not inside.size:
        return 0.0, 0.0, 0.0
    n = inside.size if last_bin is None else last_bin
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.add.accumulate(inside, dtype=np.float64)[-1] / max(n, 1)
        squares = np.add.accumulate(inside * inside, dtype=np.float64)[-1]
        deviations = np.add.accumulate((after.astype(np.float64) - mean) ** 2)[-1]
        return (float(mean), float(np.sqrt(squares / (max(n, 2) - 1))),
                float(np.sqrt(deviations / (max(inside.size, 2) - 1))))  # fmt: skip


def _header(settings: dict[str, Any], setup: Setup, *, offset_told: bool) -> bytes:
    get, body, pixel = settings.get, setup.body, setup.body.pixel_size
    osc, step = get("osc", -1.0), get("phi_step", -1.0)
    if osc < 0:
        osc = step if step > 0 else (1.0 if get("n_phi", -1) >= 0 else 0.0)
    numbers = {
        "PIXEL_SIZE": pixel * 1000.0,
        "DISTANCE": body.distance * 1000.0,
        "WAVELENGTH": setup.wavelength * 1e10,
        "BEAM_CENTER_X": setup.center[0] * 1000.0,
        "BEAM_CENTER_Y": (setup.size[1] - setup.center[1]) * 1000.0,
        "ORGX": setup.close[0] / pixel,
        "ORGY": setup.close[1] / pixel,
        "CLOSE_DISTANCE": body.close_distance * 1000.0,
        "PHI": get("phi", 0.0),
        "OSC_START": get("phi", 0.0),
        "OSC_RANGE": osc,
        "TWOTHETA": get("twotheta", 0.0) * RTD,
    }
    entries = [*mandatory_entries(body.n_fast, body.n_slow), *((key, f"{value:g}") for key, value in numbers.items())]
    if offset_told:
        entries.append(("ADC_OFFSET", f"{get('adc', 40.0):g}"))
    order = {"BYTE_ORDER": "little_endian"}  # whatever the machine, as the original
    return padded_header([*((k, order.get(k, v)) for k, v in entries), ("DETECTOR_SN", "000"), ("BEAMLINE", "fake")])


def _note(text: str) -> None:
    warnings.warn(f"nonBragg: {text}", NanoBraggWarning, stacklevel=1)


def _say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
