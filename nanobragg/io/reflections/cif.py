"""Structure factors in CIF: mmCIF as the Protein Data Bank keeps them, and the lists of SHELXL (gemmi)."""

from __future__ import annotations

import warnings
from os import PathLike, fspath
from typing import Any

from nanobragg.errors import FileFormatError, NanoBraggWarning
from nanobragg.io.optional import needed
from nanobragg.io.reflections.fcf import read_fcf
from nanobragg.io.reflections.mtz import from_gemmi
from nanobragg.io.reflections.symmetry import ReflectionList


def read_refln_cif(
    path: str | PathLike[str], label: str | None = None, *, anomalous: bool | None = None,
    space_group: str | None = None, block: str | None = None,
) -> ReflectionList:  # fmt: skip
    """Read amplitudes from the ``_refln`` table of a structure-factor mmCIF.

    Parameters
    ----------
    path : path
        The file, perhaps gzipped.
    label, anomalous, space_group
        As `nanobragg.io.reflections.mtz.read_mtz`. Labels are those of MTZ: F_meas_au is FP, F_calc_au is FC,
        intensity_meas is I, pdbx_F_plus is F(+).
    block : str, optional
        Name of the data block; None: the first one that holds reflections.

    Raises
    ------
    FileFormatError
        When the file is no CIF, has no reflections, cell or space group, or no usable columns.
    """
    gemmi = needed("gemmi", "reading mmCIF files")
    try:
        document = gemmi.cif.read(fspath(path))
    except OSError as error:
        raise FileFormatError(
            path, f"cannot be read: {error.strerror or error}; check the name and the permissions"
        ) from None
    except (RuntimeError, ValueError) as error:
        raise FileFormatError(path, f"is not a CIF file that can be read: {error}") from None
    shelx = [b for b in document if b.find_values("_refln_index_h")]
    if shelx:
        try:
            return read_fcf(path, _of_name(path, shelx, block), label, anomalous, space_group)
        except UnicodeDecodeError as error:
            raise FileFormatError(path, f"holds bytes that are no text: {error}; is it damaged?") from None
    names = ", ".join(b.name for b in document) or "none"
    blocks = [b for b in gemmi.as_refln_blocks(document) if b.default_loop is not None]
    if not blocks:
        raise FileFormatError(
            path, f"no data block has a _refln table (blocks: {names}); for coordinates use from_model"
        )
    if block is None:
        chosen = blocks[0]
        if len(blocks) > 1:
            others = ", ".join(b.block.name for b in blocks[1:])
            warnings.warn(f"{path}: reflections are taken from data block {chosen.block.name}; also there: {others}",
                          NanoBraggWarning, stacklevel=2)  # fmt: skip
    else:
        named = [b for b in blocks if b.block.name == block]
        if not named:
            raise FileFormatError(path, f"has no data block {block!r} with reflections; there is: "
                                  + ", ".join(b.block.name for b in blocks))  # fmt: skip
        chosen = named[0]
    try:
        mtz = gemmi.CifToMtz().convert_block_to_mtz(chosen)
    except (RuntimeError, ValueError) as error:
        raise FileFormatError(
            path, f"data_{chosen.block.name}/_refln: {error}; the table has: {', '.join(chosen.column_labels())}"
        ) from None
    return from_gemmi(path, mtz, label, anomalous, space_group)


def _of_name(path: str | PathLike[str], blocks: list[Any], name: str | None) -> Any:
    """The data block of a name; None: the first."""
    for block in blocks:
        if name in (None, block.name):
            return block
    raise FileFormatError(
        path, f"has no data block {name!r} with reflections; there is: " + ", ".join(b.name for b in blocks)
    )
