"""Files of a run, in the original's order and with its lines (docs/command.md, Files; docs/file_formats.md)."""

# ruff: noqa: UP031  the lines are written as the C formats that define them
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nanobragg import exchange
from nanobragg.backends import DEFAULT_BACKEND
from nanobragg.config.quirks import REFERENCE
from nanobragg.derivation.derive import Derivation
from nanobragg.derivation.orientations import legacy_streams
from nanobragg.errors import NanoBraggError
from nanobragg.exchange.command_line.reading import CommandLine, Output
from nanobragg.exchange.images.smv_geometry import smv_geometry
from nanobragg.imaging.noise import NoiseImage, noise_image
from nanobragg.inspection.solid_angle import detector_solid_angle
from nanobragg.io.images.counts import (
    as_array,
    automatic_pgm_scale,
    automatic_scale,
    grey_image,
    image_statistics,
    integer_image,
)
from nanobragg.io.images.embedded import SMV_KEY, packed
from nanobragg.io.images.float_image import write_float
from nanobragg.io.images.pgm import write_pgm
from nanobragg.io.images.smv import save_smv
from nanobragg.io.images.smv_header import nanobragg_header

Say = Callable[[str], None]


def write_images(line: CommandLine, output: Output, d: Derivation, image: Any, seed: int, say: Say) -> None:
    """Write float, int, PGM and noise image, each announced as the original does.

    Parameters
    ----------
    line : CommandLine
        Decides whether files are byte for byte the original's.
    output : Output
        Names and scales.
    d : Derivation
        Geometry for the headers.
    image : (n_slow, n_fast) array or tensor
        Expected photons.
    seed : int
        Of the noise.
    say : callable
        Receives each line.

    Raises
    ------
    NanoBraggError
        When the image holds numbers that are not finite, or a file cannot be written.
    """
    pixels = _stored(image)
    experiment = d.experiment
    roi, mask = experiment.sampling.roi, experiment.detector.mask
    nothing = d.scene.n_pixels == 0 and (mask is None or not mask.any())
    statistics = image_statistics(pixels, roi=roi, mask=mask)
    if not math.isfinite(statistics.mean):
        raise _not_finite(pixels, image)
    say("")
    omega = detector_solid_angle(d.scene, line.as_original)
    say(f"solid angle subtended by detector = {omega:g} steradian ( {100 * omega / 4 / math.pi:g}% sphere)")
    say(f"writing {output.float_file} as {pixels.size} 4-byte floats")
    write_float(output.float_file, pixels)
    say("max_I = %g  at %g %g" % (statistics.maximum, *_last_sub_pixel(d, statistics.position)))
    say(f"mean= {statistics.mean:g} rms= {statistics.rms:g} rmsd= {statistics.rmsd:g}")
    header = _header(line, output, d, seed)

    scale = output.scale if output.scale > 0 else automatic_scale(statistics.maximum)
    say(f"intfile_scale = {scale:g}")
    say(f"writing {output.int_file} as 2-byte integers")
    counts = integer_image(pixels, scale=scale, adc_offset=output.adc, roi=roi, as_original=line.as_original)
    save_smv(output.int_file, np.zeros_like(counts) if nothing else counts, header)

    if output.pgm_file is not None:
        grey_scale = output.pgm_scale if output.pgm_scale > 0 else automatic_pgm_scale(statistics.rmsd, scale)
        say(f"pgm_scale = {grey_scale:g}")
        say(f"writing {output.pgm_file} as 1-byte integers")
        write_pgm(output.pgm_file, grey_image(pixels, scale=grey_scale, roi=roi), scale=grey_scale)

    if output.noise_file is not None:
        noise = _noise(line, output, d, pixels, seed)
        say(
            f"{0.0 if nothing else noise.photons:.0f} photons on noise image ({0 if nothing else noise.overloads} overloads)"
        )
        say(f"writing {output.noise_file} as 2-byte integers")
        save_smv(output.noise_file, np.zeros_like(noise.counts) if nothing else noise.counts, header)


def _header(line: CommandLine, output: Output, d: Derivation, seed: int) -> bytes | list[tuple[str, object]]:
    """The original's header; where the physics is not the original's, one that says under what it was made."""
    if line.as_original and line.quirks == REFERENCE:
        return nanobragg_header(smv_geometry(d.decided), as_original=True)
    noise_seed = None if output.noise_file is None else seed
    return recorded_entries(
        d, backend=line.own.get("backend", DEFAULT_BACKEND), noise_seed=noise_seed, adc_offset=output.adc
    )


def recorded_entries(d: Derivation, **more: Any) -> list[tuple[str, object]]:
    """Entries of an SMV header with the experiment, its quirks and seeds, and what `more` there is (docs/quirks.md).

    The record comes first: the original takes the last place where the letters of a key stand, and three letters such as
    PHI may well stand in compressed text.
    """
    return [(SMV_KEY, packed(exchange.provenance_json(d.experiment, **more))), *smv_geometry(d.decided).entries()]


def _stored(image: Any) -> np.ndarray:
    """The image as the files hold it."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(as_array(image), dtype=np.float32)


def _not_finite(pixels: np.ndarray, image: Any) -> NanoBraggError:
    bad = np.argwhere(~np.isfinite(pixels))
    slow, fast = bad[0]
    return NanoBraggError(
        f"{len(bad)} pixels are not finite, the first at fast {fast}, slow {slow} "
        f"({float(image[slow, fast]):g}); nothing is written; look at wavelength, fluence and geometry"
    )


def _last_sub_pixel(d: Derivation, position: tuple[int, int] | None) -> tuple[float, float]:
    """(fast, slow) of the last sub-pixel of a pixel [m]: where the original says that the maximum is (MAX_I_LOCATION)."""
    if position is None:
        return 0.0, 0.0
    slow, fast = position
    n = d.scene.oversample
    sub = d.scene.pixel_size[0] / n
    return sub * (fast * n + n - 1) + sub / 2, sub * (slow * n + n - 1) + sub / 2


def _noise(line: CommandLine, output: Output, d: Derivation, pixels: np.ndarray, seed: int) -> NoiseImage:
    experiment = d.experiment
    common: dict[str, Any] = {
        "adc_offset": output.adc,
        "roi": experiment.sampling.roi,
        "mask": experiment.detector.mask,
    }
    if not line.as_original:
        return noise_image(pixels, seed=seed, **common)
    stream, _, _ = legacy_streams(experiment)  # the table that a negative seed goes on from
    stream.seed("noise", -seed)
    return noise_image(pixels, generator="nanobragg", stream=stream, **common)
