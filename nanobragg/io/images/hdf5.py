"""Stacks of images in HDF5 files: NXmx, and the data files that the master file of an Eiger points to."""

from __future__ import annotations

import io
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import FileFormatError
from nanobragg.io.optional import needed
from nanobragg.io.packing import is_packed, read_unpacked
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class Stack:
    """Images (n, n_slow, n_fast) in several datasets, one after the other."""

    name: str
    parts: tuple[Any, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: int) -> Any:
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)


def read_frame(path: str | PathLike[str], data: Any, image: int) -> NDArray[Any]:
    """An image of a stack in an open HDF5 file.

    Raises
    ------
    FileFormatError
        When its data are damaged, or the filter that packed them is not installed.
    """
    try:
        return np.asarray(data[image - 1])
    except (OSError, RuntimeError) as error:
        raise FileFormatError(
            path, f"{data.name}: image {image} cannot be read: {error}; is it damaged, or is hdf5plugin missing?"
        ) from None


def open_hdf5(path: str | PathLike[str]) -> Any:
    """An HDF5 file for reading.

    Raises
    ------
    FileFormatError
        When it is missing, truncated or no HDF5.
    """
    h5py = needed("h5py", "reading NXmx")
    try:
        import hdf5plugin  # noqa: F401  makes its filters known to HDF5
    except ImportError:
        pass
    try:
        with open(path, "rb") as raw:
            packed = is_packed(raw.read(4))
        return h5py.File(io.BytesIO(read_unpacked(path)) if packed else path, "r")
    except (OSError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(path, f"is not an HDF5 file that can be read: {error}; is it truncated?") from None


def text_of(value: Any) -> str:
    """Text as HDF5 files hold it: str, bytes, or an array of one of them."""
    while isinstance(value, np.ndarray | list | tuple) and np.size(value) == 1:
        value = np.asarray(value).reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def member(file: Any, name: str) -> Any:
    """What stands at a place; None: nothing, or a link to what is not there, see `broken_link`."""
    try:
        return file[name]
    except (KeyError, OSError):
        return None


def of_class(group: Any, kind: str) -> list[str]:
    """Paths of the groups of a NeXus class, in order of their names."""
    found = []
    for key in sorted(group):
        item = member(group, key)
        if hasattr(item, "attrs") and text_of(item.attrs.get("NX_class", "")) == kind:
            found.append(f"{group.name.rstrip('/')}/{key}")
    return found


def panels_of(file: Any, frame: NDArray[Any]) -> list[NDArray[Any]]:
    """The panels of an image: the modules of the first detector that lie in it; one, the whole image, where there are none."""
    at = file
    try:
        for kind in ("NXentry", "NXinstrument", "NXdetector"):
            at = file[of_class(at, kind)[0]]
        modules = [file[name] for name in of_class(at, "NXdetector_module")]
        places = [
            ([int(n) for n in module["data_origin"][()][-2:]], [int(n) for n in module["data_size"][()][-2:]])
            for module in modules
        ]
    except (KeyError, IndexError, OSError, RuntimeError, AttributeError, TypeError, ValueError):
        return [frame]  # a damaged description is told by the reader of geometry
    parts = [_part(frame, *place) for place in places]
    return parts if len(parts) > 1 and all(part is not None for part in parts) else [frame]  # type: ignore[return-value]


def _part(frame: NDArray[Any], origin: list[int], size: list[int]) -> NDArray[Any] | None:
    """A module of an image; its size is also taken the wrong way round, as some writers have it."""
    for n_slow, n_fast in (size, size[::-1]):
        part = frame[origin[0] : origin[0] + n_slow, origin[1] : origin[1] + n_fast]
        if part.shape == (n_slow, n_fast) and part.size and min(origin) >= 0:
            return part
    return None


def broken_link(file: Any, name: str) -> str | None:
    """The file that a link on the way to a place points to although it is not there; None: no such link."""
    h5py = needed("h5py", "reading NXmx")
    steps = [step for step in name.split("/") if step]
    for i in range(1, len(steps) + 1):
        place = "/" + "/".join(steps[:i])
        try:
            link = file.get(place, getlink=True)
        except (KeyError, OSError):
            return None
        if isinstance(link, h5py.ExternalLink) and member(file, place) is None:
            return f"{place} links to {link.path} in {link.filename}, which is not there"
    return None


def find_data(path: str | PathLike[str], file: Any) -> Any:
    """The stack of images (n, n_slow, n_fast) of an NXmx or master file.

    Raises
    ------
    FileFormatError
        When there is none; a file that it links to and that is not there is named.
    """
    problem = "/entry/data/data: is missing or no stack of images (n, slow, fast); is it NXmx?"
    try:
        group = member(file, "/entry/data")
        if group is not None:
            signal = text_of(group.attrs.get("signal", "data"))
            data = member(group, signal)
            if getattr(data, "ndim", 0) == 3:
                return data
            problem = broken_link(file, f"/entry/data/{signal}") or problem
            names = sorted(name for name in group if name.startswith("data_"))
            parts = tuple(member(group, name) for name in names)
            lost = [name for name, part in zip(names, parts, strict=True) if part is None]
            if lost:
                problem = broken_link(file, f"/entry/data/{lost[0]}") or problem
            elif parts and all(getattr(part, "ndim", 0) == 3 for part in parts):
                return Stack("/entry/data", parts)
    except (OSError, RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise FileFormatError(path, f"/entry/data: {error}; is it damaged?") from None
    raise FileFormatError(path, problem)
