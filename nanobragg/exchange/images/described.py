"""What image files say of an experiment, worked out once for all the files of a scan."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from nanobragg.config import Experiment
from nanobragg.config.experiment import File
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.errors import ConfigError
from nanobragg.exchange.geometry import decided_models, of_decided
from nanobragg.exchange.images.provenance import provenance
from nanobragg.exchange.images.smv_geometry import smv_geometry
from nanobragg.io.geometry.record import Geometry, one_panel
from nanobragg.io.images.cbf.writing import save_cbf
from nanobragg.io.images.embedded import SMV_KEY, packed
from nanobragg.io.images.smv import entries_of, save_smv
from nanobragg.io.images.smv_header import SmvGeometry, adsc_entries

DIALECTS = ("nanobragg", "dxtbx")
"""Of SMV headers: the original's words (dxtbx takes such a beam center for another one), or those of an ADSC detector."""


def check_dialect(dialect: str) -> None:
    """Refuse an unknown dialect.

    Raises
    ------
    ConfigError
    """
    if dialect not in DIALECTS:
        raise ConfigError("dialect", dialect, f"must be one of {', '.join(map(repr, DIALECTS))}")


@lru_cache(maxsize=1)
def _decided_once(experiment: Experiment) -> tuple[list[Decided], list[Decided]]:
    """Decided, and kept until the next one comes: file after file of an experiment costs no more than the first."""
    return decided_models(experiment)


class Described:
    """Geometry and record of an experiment, or of images that are converted and have a geometry alone."""

    def __init__(
        self, experiment: Experiment | Geometry, more: Mapping[str, Any] | None = None, saturation: int | None = None
    ) -> None:
        self.experiment, self.saturation = experiment, saturation
        self.more = dict(more or {})

    @cached_property
    def _decided(self) -> tuple[list[Decided], list[Decided]]:
        """One for each panel, and those of further crystals; none for a geometry."""
        return ([], []) if isinstance(self.experiment, Geometry) else _decided_once(self.experiment)

    @cached_property
    def geometry(self) -> Geometry:
        """Of the first image."""
        return self.experiment if isinstance(self.experiment, Geometry) else of_decided(*self._decided)

    @cached_property
    def _record(self) -> dict[str, Any]:
        return provenance(self.experiment, **self.more)

    @cached_property
    def _smv_geometry(self) -> SmvGeometry:
        one_panel(self.geometry, "an SMV header")
        if not self._decided[0]:
            raise ConfigError("dialect", "nanobragg", "needs an experiment, not a geometry alone", "use 'dxtbx'")
        return smv_geometry(self._decided[0][0])

    def record(self, **values: Any) -> str:
        """The record as one line of JSON; what was given with the experiment wins over `values`."""
        return json.dumps({**values, **self._record}, allow_nan=False, separators=(",", ":"))

    def write_cbf(self, path: File, counts: Any, image: int) -> None:
        """Write a miniCBF file."""
        text = self.record(image=image)
        save_cbf(path, counts, self.geometry, image=image, text=text, saturation=self.saturation)

    def write_smv(
        self, path: File, counts: Any, dialect: str, image: int, adc_offset: float = 0.0, header: Any = ()
    ) -> None:
        """Write an SMV file; the entries of `header` come last."""
        panel = self.geometry.panels[0]
        if np.shape(counts) != (panel.n_slow, panel.n_fast):
            raise ConfigError(
                "counts", f"shape {np.shape(counts)}", f"must be the detector's {panel.n_slow, panel.n_fast}"
            )
        entries: list[tuple[str, object]]
        own = [] if isinstance(header, bytes) else entries_of(header)
        if dialect == "nanobragg":
            g = self._smv_geometry
            entries = [*dataclasses.replace(g, phi_deg=g.phi_deg + (image - 1) * g.osc_deg).entries()]
            if "ADC_OFFSET" not in dict(own):
                entries.append(("ADC_OFFSET", f"{adc_offset:g}"))
        else:
            entries = adsc_entries(self.geometry, image, adc_offset, self.saturation)
        record = (SMV_KEY, packed(self.record(image=image, adc_offset=adc_offset)))
        save_smv(path, counts, [*entries, record, *own])
