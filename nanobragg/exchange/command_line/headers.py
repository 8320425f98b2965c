"""The headers of -img and -mask files, which supply defaults."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nanobragg.exchange.command_line.settings import HEADER_KEYS
from nanobragg.io.images.smv import header_values, load_smv


def read_header(path: str, strict: bool) -> tuple[dict[str, float], NDArray[np.uint16]]:
    """Header values by keyword, and the pixels, of an SMV file.

    The original finds a keyword inside another one, and ignores TWOTHETA; `strict` matches whole keywords, honors TWOTHETA
    and takes an oscillation range of 0 as a still (docs/model.md).
    """
    image = load_smv(path, strict=strict)
    keys = [key for key, _ in HEADER_KEYS if strict or key != "TWOTHETA"]
    header = header_values(path, image.text, [*keys, "BEAM_CENTER_Y"], strict)
    if strict and header.get("OSC_RANGE") == 0:
        del header["OSC_RANGE"]
    n_slow, n_fast = image.pixels.shape
    return {**header, "SIZE1": n_fast, "SIZE2": n_slow}, image.pixels
