"""The compression scheme x-CBF_PACKED of CBFlib (International Tables G 5.6.3.1).

Pixels come in chunks of 1 to 128 whose differences from a prediction take the same number of bits. The prediction is the
rounded mean of the neighbors that are known: left, upper left, up and upper right.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WIDTHS = (0, 4, 5, 6, 7, 8, 16, 65)
"""Bits of a difference by the code of a chunk."""
_HEAD_BYTES = 32
"""Number of pixels, least, largest and a reserved value, 8 bytes each."""
_HEAD_BITS = 6
_WORD = 64


def unpack(data: bytes, n_slow: int, n_fast: int) -> NDArray[np.int64]:
    """Pixels (n_slow, n_fast).

    Raises
    ------
    ValueError
        When the data end before the pixels do, or the image is narrower than the scheme foresees.
    """
    if n_fast < 2:
        raise ValueError("an image of one column")
    return _summed(_differences(data, n_slow * n_fast).reshape(n_slow, n_fast))


def _differences(data: bytes, n: int) -> NDArray[np.int64]:
    if n > 128 * 8 * len(data):
        raise ValueError(f"{len(data)} bytes are too few for {n} pixels")
    bits = np.unpackbits(np.frombuffer(data, np.uint8, offset=min(_HEAD_BYTES, len(data))), bitorder="little")
    powers = np.left_shift(np.uint64(1), np.arange(_WORD, dtype=np.uint64))
    out = np.zeros(n, np.int64)
    place = done = 0
    while done < n:
        head = bits[place : place + _HEAD_BITS]
        place += _HEAD_BITS
        if len(head) < _HEAD_BITS:
            raise ValueError(f"they end after {done} of {n} pixels")
        count, width = 1 << int(head[:3] @ (1, 2, 4)), _WIDTHS[int(head[3:] @ (1, 2, 4))]
        kept = min(count, n - done)
        if width:
            block = bits[place : place + kept * width]
            place += count * width
            if len(block) < kept * width:
                raise ValueError(f"they end after {done} of {n} pixels")
            block = block.reshape(kept, width)
            used = min(width, _WORD)
            values = (block[:, :used] @ powers[:used]).view(np.int64)
            if width < _WORD:
                values = values - (block[:, width - 1].astype(np.int64) << width)  # two's complement
            out[done : done + kept] = values
        done += kept
    return out


def _summed(differences: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pixels from their differences: along diagonals, since a pixel needs its left and its upper right neighbor."""
    n_slow, n_fast = differences.shape
    pixels = differences.copy()
    pixels[0] = np.cumsum(differences[0])
    for step in range(2, 2 * (n_slow - 1) + n_fast):
        rows = np.arange(max(1, (step - n_fast + 2) // 2), min(n_slow - 1, step // 2) + 1)
        columns = step - 2 * rows
        left, right = np.maximum(columns - 1, 0), np.minimum(columns + 1, n_fast - 1)
        above, before = pixels[rows - 1, columns], pixels[rows, left]
        corner, ahead = pixels[rows - 1, left], pixels[rows - 1, right]
        inner = (before + corner + above + ahead + 2) >> 2
        predicted = np.where(columns == 0, (above + ahead + 1) >> 1, inner)
        predicted = np.where(columns == n_fast - 1, (before + above + 1) >> 1, predicted)
        pixels[rows, columns] += predicted
    return pixels
