"""The shoeboxes of a refinement as a table of reflections: refined places, measured photons."""

from __future__ import annotations

import dataclasses
from typing import Any

from nanobragg.config import Experiment
from nanobragg.prediction.predict import predict
from nanobragg.prediction.table import Reflections


def measured(experiment: Experiment, used: Reflections, intensities: Any) -> Reflections:
    """The reflections that were used, as a refined experiment predicts them, with the photons that were measured.

    One that is no longer predicted keeps its old place.
    """
    again = predict(experiment, min_partiality=0.0)
    rows = {
        (panel, *hkl): i
        for i, (panel, hkl) in enumerate(zip(again["panel"].tolist(), again["hkl"].tolist(), strict=True))
    }
    table = used.table.copy()
    for i, (panel, hkl) in enumerate(zip(used["panel"].tolist(), used["hkl"].tolist(), strict=True)):
        found = rows.get((panel, *hkl))
        if found is not None:
            table[i] = again.table[found]
    table["photons"] = intensities
    return dataclasses.replace(again, table=table, photons_by="measured")


def _key(row: Any) -> tuple[int, ...]:
    return int(row["crystal"]), int(row["panel"]), *row["hkl"].tolist()
