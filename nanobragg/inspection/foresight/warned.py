"""The warnings of a run, once a run and not once a panel or an image."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

from nanobragg.config import Experiment
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.derive import Derivation
from nanobragg.derivation.scene import Scene
from nanobragg.engines.engine import Engine
from nanobragg.errors import IneffectiveWarning, LongRunWarning, NanoBraggWarning, PlausibilityWarning, QuirkWarning
from nanobragg.inspection.consistency import structure_factor_mismatches
from nanobragg.inspection.foresight.cost import estimate
from nanobragg.inspection.foresight.long_run import Name, long_run
from nanobragg.inspection.foresight.plausible import decided_doubts, typed_doubts
from nanobragg.inspection.triggers import triggered


def warn_of_values(experiment: Experiment, *, stacklevel: int = 2) -> None:
    """Warn about values that were probably meant in another unit, before anything is decided or refused.

    Parameters
    ----------
    experiment : Experiment
    stacklevel : int
        As for `warnings.warn`, called here.
    """
    for doubt in typed_doubts(experiment):
        warnings.warn(PlausibilityWarning(str(doubt), doubt.path), stacklevel=stacklevel)


def warn_about(
    panels: Sequence[Decided], derivations: Sequence[Derivation | None], *, doubtful: bool = False, stacklevel: int = 2
) -> bool:
    """Warn about what is implausible or does not fit, settings without effect, and quirks that change this run's pixels.

    Parameters
    ----------
    panels : sequence of Decided
        One for each panel.
    derivations : sequence of Derivation
        Of them, for the quirks; None where none is in force.
    doubtful : bool
        The user was warned of a value: its consequences are not told.
    stacklevel : int
        As for `warnings.warn`, called here.

    Returns
    -------
    bool
        Whether something is implausible.
    """
    told: set[str] = set()
    for warning in _all(panels, derivations, doubtful):
        if str(warning) not in told:
            told.add(str(warning))
            warnings.warn(warning, stacklevel=stacklevel)
            doubtful = doubtful or isinstance(warning, PlausibilityWarning)
    return doubtful


def warn_of_long_run(
    panels: Sequence[Decided], scenes: Sequence[Scene], chosen: Engine, *, name: Name = str, n_images: int = 1,
    stacklevel: int = 2,
) -> None:  # fmt: skip
    """Warn where rendering takes longer than ten minutes or more than 8 GiB.

    Parameters
    ----------
    panels, scenes : sequences of Decided, Scene
        One for each panel.
    chosen : Engine
    name : callable
        The reader's word for a dotted path.
    n_images : int
        Images of a scan.
    stacklevel : int
        As for `warnings.warn`, called here.
    """
    text = long_run(estimate(panels, scenes, chosen, n_images=n_images), panels, scenes, name, n_images=n_images)
    if text:
        warnings.warn(LongRunWarning(text), stacklevel=stacklevel)


def _all(panels: Sequence[Decided], derivations: Sequence[Derivation | None], doubtful: bool) -> Iterator[Warning]:
    if not doubtful:
        for text in decided_doubts(panels):
            yield PlausibilityWarning(text)
    for text in structure_factor_mismatches(panels):
        yield NanoBraggWarning(text)
    for one in panels:
        for note in one.notes.ineffective:
            yield IneffectiveWarning(str(note), note.paths)
    for d in derivations:
        for trigger in triggered(d) if d is not None else ():
            quirk = trigger.quirk
            yield QuirkWarning(
                f"{quirk.name}: {quirk.text.original} ({trigger.reason}); fidelity='corrected' instead: {quirk.text.corrected}"
            )
