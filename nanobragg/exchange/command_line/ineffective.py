"""Settings that were typed and change nothing in this run, with the reason (docs/command.md, Two switches)."""

from __future__ import annotations

from collections.abc import Iterable

from nanobragg.config.quirks import Quirk
from nanobragg.errors import IneffectiveWarning
from nanobragg.exchange.command_line.files import keeps_vectors
from nanobragg.exchange.command_line.flags import VECTOR_KEYS
from nanobragg.exchange.command_line.reading import CommandLine


def note_ineffective(line: CommandLine) -> None:
    """Add a note for every typed flag that has no effect."""
    for names, reason in _reasons(line):
        typed = list(dict.fromkeys(o.token for o in line.parsed.occurrences if set(o.flag.sets) & names))
        if typed:
            line.parsed.without_effect(typed, reason)


def _reasons(line: CommandLine) -> Iterable[tuple[set[str], str]]:
    settings, quirks, convention = line.settings, line.quirks, line.convention
    if Quirk.PIVOT_FORCED in quirks and convention != "custom":
        yield {"pivot"}, f"the {convention} convention sets the pivot (PIVOT_FORCED)"
    if Quirk.XDS_BEAM_IGNORED in quirks:
        if convention in ("xds", "dials"):
            yield (
                {"x_beam", "y_beam", "x_close", "y_close"},
                f"under {convention} only -ORGX and -ORGY move the detector (XDS_BEAM_IGNORED)",
            )
        elif convention != "custom":
            yield (
                {"x_close", "y_close", "org_x", "org_y"},
                f"under {convention} only -Xbeam and -Ybeam move the detector (XDS_BEAM_IGNORED)",
            )
    if not keeps_vectors(line):
        yield set(VECTOR_KEYS), f"-{settings.named_convention} comes after and sets all vectors (CUSTOM_CHANGES_CENTRE)"
    elif Quirk.PIX0_IGNORED in quirks:
        yield {"pix0"}, "its numbers are always overwritten, it only selects the custom convention (PIX0_IGNORED)"
    if "close_distance" in settings and Quirk.CLOSE_DISTANCE_WINS in quirks:
        yield {"distance"}, "the close distance decides (CLOSE_DISTANCE_WINS)"
    if settings.get("flux") and settings.get("exposure", 1.0) > 0 and settings.get("beamsize", 0.1) >= 0:
        yield {"fluence"}, "-flux decides"
    elif not settings.get("flux"):
        yield {"exposure"}, "there is no -flux"
    if "sourcefile" in settings:
        yield (
            {"dispersion", "dispsteps", "h_range", "v_range", "h_step", "v_step", "n_h", "n_v"},
            "-sourcefile lists the sources",
        )
    elif settings.get("dispersion", 0.0) == 0:
        yield {"dispsteps"}, "there is no -dispersion"
    if settings.get("n_fast") and settings.get("n_slow"):
        yield {"size_fast", "size_slow"}, "the pixel counts decide"
    if settings.get("nopolar") and Quirk.NOPOLAR_DEFEATED not in quirks:
        yield {"kahn"}, "-nopolar turns polarization off"
    if Quirk.OVERSAMPLE_CUMULATIVE not in quirks:
        yield (
            {"oversample_thick", "oversample_polar", "oversample_omega"},
            "every term has its own factor in the corrected model",
        )


def is_told(line: CommandLine, paths: Iterable[str]) -> bool:
    """Whether a note on typed flags says already that one of these fields has no effect."""
    idle = {token for note in line.notes if issubclass(note.category, IneffectiveWarning) for token in note.tokens}
    told = {o.flag.field for o in line.parsed.occurrences if o.token in idle} - {""}
    return any(known == path or known.startswith(f"{path}.") for known in told for path in paths)
