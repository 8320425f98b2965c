"""Tables in Parquet files, by pyarrow."""

from __future__ import annotations

from os import PathLike
from typing import Any

from numpy.typing import NDArray

from nanobragg.io.atomic import replacing
from nanobragg.io.optional import needed


def write_parquet(path: str | PathLike[str], columns: dict[str, NDArray[Any]]) -> None:
    """Write columns of numbers."""
    arrow, parquet = needed("pyarrow", "a Parquet file"), needed("pyarrow.parquet", "a Parquet file")
    with replacing(path) as temporary:
        parquet.write_table(arrow.table(columns), temporary)
