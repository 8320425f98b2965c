"""What a data set is made of, beside the experiment and what varies: the table ``[dataset]`` of a recipe."""

from __future__ import annotations

from typing import Any

from nanobragg.backends import BACKENDS, DEFAULT_BACKEND
from nanobragg.config.fields import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Check, Config, setting
from nanobragg.errors import ConfigError, alike
from nanobragg.lazy import dataclass

LABELS = ("spots", "lattices")
EXTRAS = ("bragg", "background", "expected", "mean_wavelength")
SUFFIXES = {"nxmx": ".nxs", "cbf": ".cbf", "smv": ".img"}
"""Of the files that hold the images."""
_SEED: Check = (lambda v: 0 <= v < 2**32, "must be within 0 and 4294967295")


@dataclass(frozen=True, eq=False, kw_only=True)
class DatasetSettings(Config):
    """What a data set holds, and how it is stored."""

    _path = "dataset"
    n_images: int = setting(100, kind="int", check=AT_LEAST_ONE, doc="how many")
    seed: int = setting(1, kind="int", check=_SEED, doc="of everything that is drawn, noise too")
    kind: str = setting(
        "stills", kind="enum", choices=("stills", "rotation"), doc="every image another crystal, or series of rotations"
    )
    series_length: int | None = setting(
        None, kind="int", check=AT_LEAST_ONE, doc="images of a rotation series; None: all are one series"
    )
    images: str = setting(
        "nxmx", kind="enum", choices=tuple(SUFFIXES), doc="shards of NXmx, or a file an image: miniCBF, SMV"
    )
    shard_size: int = setting(100, kind="int", check=AT_LEAST_ONE, doc="images of a shard, which is made as a whole")
    compression: str = setting(
        "bitshuffle-lz4", kind="enum", choices=("bitshuffle-lz4", "gzip", "none"), doc="of the images in NXmx"
    )
    spots: bool = setting(True, kind="bool", doc="the table of predicted reflections of every image")
    d_min_angstrom: float | None = setting(
        None, kind="scalar", unit="Angstrom", check=POSITIVE, doc="of that table; None: the corners of the detector"
    )
    least_spot_photons: float = setting(
        0.1, kind="scalar", check=NOT_NEGATIVE, doc="reflections with fewer expected photons are left out"
    )
    peak_photons: float = setting(
        10.0, kind="scalar", check=NOT_NEGATIVE, doc="reflections with as many are in the peak list of CXI"
    )
    labels: Any = setting((), doc="label images: 'spots' (1 + row of the table), 'lattices' (1 + number)")
    label_photons: float = setting(
        0.5, kind="scalar", check=NOT_NEGATIVE, doc="pixels with fewer expected photons of spots have no label"
    )
    extras: Any = setting((), doc=f"images stored beside the counts: {', '.join(map(repr, EXTRAS))}")
    backend: str = setting(DEFAULT_BACKEND, kind="enum", choices=BACKENDS, doc="engine")
    kernel: str = setting("auto", doc="of the engine; a data set keeps to the one that it was begun with")

    @property
    def length(self) -> int:
        """Images of a series; stills are series of one."""
        if self.kind == "stills":
            return 1
        return self.n_images if self.series_length is None else self.series_length

    def _check(self) -> None:
        for name, choices in (("labels", LABELS), ("extras", EXTRAS)):
            value = getattr(self, name)
            words = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, tuple | list) else ()
            if isinstance(value, str | tuple | list):
                object.__setattr__(self, name, words)
            else:
                raise ConfigError(f"dataset.{name}", value, f"must be a list of {', '.join(map(repr, choices))}")
            for word in words:
                if word not in choices:
                    near = alike(str(word), choices)
                    hint = f"did you mean {near[0]}?" if near else ""
                    raise ConfigError(f"dataset.{name}", word, f"must be one of {', '.join(map(repr, choices))}", hint)
        if self.kind == "stills" and self.series_length is not None:
            raise ConfigError("dataset.series_length", self.series_length, "belongs to kind='rotation'")
        if self.labels and not self.spots:
            raise ConfigError("dataset.labels", self.labels, "need the table of spots", "spots=True")
        if not isinstance(self.kernel, str):
            raise ConfigError("dataset.kernel", self.kernel, "must be the name of a kernel")
