"""Optional dependencies: imported when they are needed, with an error that names the remedy when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from nanobragg.errors import BackendUnavailableError

_EXTRA = {"gemmi": "io", "h5py": "io", "hdf5plugin": "io", "fabio": "io", "matplotlib": "plot",
          "pandas": "tables", "pyarrow": "data", "torch": "torch", "distributed": "cluster", "mpi4py": "cluster",
          "tornado": "explore"}  # fmt: skip
"""The extra of the package that brings each library."""


def needed(module: str, purpose: str) -> Any:
    """Import a module, or say how to install it.

    Parameters
    ----------
    module : str
        Dotted name.
    purpose : str
        What needs it, for the message.

    Raises
    ------
    BackendUnavailableError
        When it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        extra = _EXTRA[library]
        raise BackendUnavailableError(
            f"{purpose} needs {library} ({error}); install it with: pip install 'nanobragg[{extra}]'"
        ) from None
