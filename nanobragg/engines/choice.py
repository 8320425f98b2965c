"""Which engine renders: the only place where the name of a backend decides anything."""

from __future__ import annotations

from dataclasses import replace

from nanobragg import engines
from nanobragg.backends import BACKENDS
from nanobragg.engines.c import beneath
from nanobragg.engines.engine import Engine, RenderOptions
from nanobragg.errors import ConfigError


def engine(name: str, options: RenderOptions | None = None, *, lenient: bool = False) -> Engine:
    """The engine of a name, with its options checked.

    Parameters
    ----------
    name : str
        One of `nanobragg.backends.BACKENDS`.
    options : RenderOptions, optional
    lenient : bool
        Leave a device out that the engine does not have, because the options are meant for several engines.

    Raises
    ------
    ConfigError
        For an unknown name, or an option that the engine does not have.
    BackendUnavailableError
        For an engine, kernel or device that this installation lacks.
    """
    if name not in BACKENDS:
        raise ConfigError("backend", name, f"must be one of {', '.join(map(repr, BACKENDS))}")
    kind: type[Engine] = getattr(engines, f"{name.capitalize()}Engine")
    options = options or RenderOptions()
    if lenient and not kind.has_devices:
        options = replace(options, device=None)
    return kind(options, beneath(options)) if kind.wraps else kind(options)
