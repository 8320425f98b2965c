"""Tables in Parquet files, by pyarrow."""

from __future__ import annotations

from os import PathLike
from typing import Any

from numpy.typing import NDArray

from nanobragg.errors import FileFormatError
from nanobragg.io.atomic import replacing
from nanobragg.io.optional import needed


def read_parquet(path: str | PathLike[str]) -> dict[str, list[Any]]:
    """The columns of a table by name.

    Raises
    ------
    FileFormatError
        For what is no such file.
    """
    parquet = needed("pyarrow.parquet", "a Parquet file")
    try:
        return dict(parquet.read_table(path).to_pydict())
    except (OSError, ValueError) as error:
        raise FileFormatError(path, f"is no Parquet file that can be read: {error}") from None


def write_parquet(path: str | PathLike[str], columns: dict[str, NDArray[Any]]) -> None:
    """Write columns of numbers."""
    arrow, parquet = needed("pyarrow", "a Parquet file"), needed("pyarrow.parquet", "a Parquet file")
    with replacing(path) as temporary:
        parquet.write_table(arrow.table(columns), temporary)
