"""Masks as other programs keep them: the pickles of DIALS, numpy files, datasets of HDF5 files. True is a good pixel."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io.atomic import read_bytes
from nanobragg.io.images.hdf5 import member, open_hdf5

_FLEX = "scitbx_array_family_flex_ext"
_KNOWN = ("bool", "grid")
_REMEDY = (
    "in DIALS, numpy.save('mask.npy', flumpy.to_numpy(mask[0])) writes one that is read here (from dxtbx import flumpy)"
)
_USUAL = ("/entry/instrument/detector/pixel_mask", "/entry_1/instrument_1/detector_1/mask", "/entry_1/data_1/mask",
          "/data/mask", "/mask", "/pixel_mask")  # fmt: skip


class _Flex:
    """Stands for an object of cctbx: keeps what it would be made of, and makes nothing."""

    def __init__(self, *args: Any) -> None:
        self.args, self.state = args, None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Bool(_Flex):
    pass


def _bytes(text: Any, encoding: Any) -> bytes:
    """How old protocols write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it encodes something else than text")
    return text.encode("latin-1")


class _Reader(pickle.Unpickler):
    """Calls nothing but the two classes of a mask; any other name in the pickle is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _bytes
        if module == _FLEX and name in _KNOWN:
            return _Bool if name == "bool" else _Flex
        raise pickle.UnpicklingError(f"it would call {module}.{name}")


def read_dials_mask(path: str | PathLike[str]) -> list[NDArray[np.bool_]]:
    """The masks of all panels in a file of dials.generate_mask: a pickled tuple of flex.bool, True for good pixels.

    A pickle may hold any program: nothing of this one is run.

    Raises
    ------
    FileFormatError
        For a pickle of anything else, or of another version of cctbx.
    """
    import io

    try:
        found = _Reader(io.BytesIO(read_bytes(path))).load()
        masks = list(found) if isinstance(found, tuple | list) else [found]
        if not masks or not all(isinstance(mask, _Bool) for mask in masks):
            raise pickle.UnpicklingError("it holds something else")
        return [_decoded(mask) for mask in masks]
    except FileFormatError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its opcodes run into
        raise FileFormatError(path, f"is no mask of DIALS that can be read: {error}; {_REMEDY}") from None


def _decoded(mask: _Bool) -> NDArray[np.bool_]:
    """The pixels: the last characters of a buffer, one for each, in a grid (n_slow, n_fast)."""
    parts = list(_leaves((mask.args, mask.state)))
    buffers = [part for part in parts if isinstance(part, bytes | str)]
    shapes = [part for part in parts if isinstance(part, tuple) and len(part) == 2 and all(n > 0 for n in part)]
    for buffer in buffers:
        data = buffer.encode("latin-1") if isinstance(buffer, str) else buffer
        for n_slow, n_fast in shapes:
            pixels = np.frombuffer(data[-n_slow * n_fast :], np.uint8)
            if len(pixels) == n_slow * n_fast and np.isin(pixels, list(b"01")).all():
                return np.asarray(pixels == ord("1")).reshape(n_slow, n_fast)
    raise pickle.UnpicklingError("its pixels are packed in a way that is not known")


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, _Flex):
        yield from _leaves((value.args, value.state))
    elif isinstance(value, tuple | list):
        if value and all(isinstance(n, int) and not isinstance(n, bool) for n in value):
            yield tuple(value)
        else:
            for item in value:
                yield from _leaves(item)
    else:
        yield value


def read_numpy_mask(path: str | PathLike[str]) -> NDArray[Any]:
    """An array of a .npy file; one of Python objects, which would be a pickle, is refused."""
    read_bytes(path)  # the errors of opening, in our words
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise FileFormatError(path, f"is no numpy array that can be read: {error}") from None


def read_hdf5_mask(path: str | PathLike[str], dataset: str | None = None) -> NDArray[Any]:
    """A mask in an HDF5 file, as CrystFEL and NXmx keep it.

    Parameters
    ----------
    path : path
    dataset : str, optional
        Place in the file; None: one of the usual ones.

    Raises
    ------
    FileFormatError
        When there is none, with the images that there are.
    """
    with open_hdf5(path) as file:
        names = _USUAL if dataset is None else (dataset,)
        for name in names:
            item = member(file, name)
            if item is not None and hasattr(item, "shape"):
                return np.asarray(item[()])
        there: list[str] = []
        file.visititems(lambda name, item: there.append(f"/{name}") if len(getattr(item, "shape", ())) > 1 else None)
        sought = f"holds no dataset {dataset}" if dataset else "holds no mask at a usual place"
        raise FileFormatError(path, f"{sought}; name one with dataset=: {', '.join(there[:8]) or 'it has no images'}")


def good_of_bits(pixels: NDArray[Any], bad: int, good: int, path: Any) -> NDArray[np.bool_]:
    """Pixels that have all bits of `good` and none of `bad`, CrystFEL's rule of mask_good and mask_bad.

    Raises
    ------
    ConfigError
        For a mask that holds no integers.
    """
    if pixels.dtype.kind not in "iub":
        raise ConfigError("path", path, f"holds {pixels.dtype}, must be integers where bad= or good= is given")
    bits = pixels.astype(np.int64)
    return np.asarray(((bits & bad) == 0) & ((bits & good) == good))
