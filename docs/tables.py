"""Tables of the documentation that are made from the code and from what was measured."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import format_table

import nanobragg as nb
from nanobragg.cli.dropin.usage import SUBCOMMANDS, described, unit_of
from nanobragg.config.fields import Config
from nanobragg.exchange.command_line.flags import FLAGS, GROUPS, NEVER_WORKED, OWN_OPTIONS, Flag
from nanobragg.refinement.recipes.tables import Data, OutputFiles, RefineRecipe, Stages

MEASURED = Path(__file__).parent / "measured"
"""What benchmarks/validation.py has written."""


def write(folder: Path) -> None:
    """Write every table as a Markdown file."""
    folder.mkdir(exist_ok=True)
    tables = {
        "flags": flags(), "words": words(), "never_worked": never_worked(), "quirks": quirks(), "fields": fields(),
        "golden": golden(), "twin": twin(), "gemmi": gemmi(), "dials": dials(),
        "formats": formats(), "calls": calls(), "records": records(), "io": readers_and_writers(), "recipe": recipe(),
        "dataset": dataset(), "data": data(),
    }  # fmt: skip
    for name, lines in tables.items():
        (folder / f"{name}.md").write_text("\n".join(lines) + "\n")


def flags() -> Iterator[str]:
    """Every flag, by group: what the help says."""
    for group in GROUPS:
        yield from ("", f"### {group}", "", *_head("flag", "unit", "default", "meaning", "also"))
        for flag in (*FLAGS, *OWN_OPTIONS):
            if flag.group == group:
                yield _flag(flag, *described(flag))


def _flag(flag: Flag, left: str, text: str, default: str) -> str:
    others = " ".join(f"`{name}`" for name in flag.spellings if name != flag.name)
    if flag.no_effect:
        text += f" (no effect: {flag.no_effect})"
    return _row(f"`{left}`", unit_of(flag), default, text, others)


def formats() -> Iterator[str]:
    """What each geometry format keeps."""
    yield from _head("format", "written and read back", "lost")
    for row in format_table.rows():
        yield _row(*row)


def words() -> Iterator[str]:
    """The words of the command."""
    yield from _head("word", "what it does")
    for name, text in SUBCOMMANDS.items():
        yield _row(f"`nanoBragg {name}`", text)


def never_worked() -> Iterator[str]:
    """Spellings that the original ignores."""
    yield from _head("seen in scripts", "what works")
    for wrong, right in NEVER_WORKED.items():
        yield _row(f"`{wrong}`", f"`{right}`" if right else "nothing")


def fields() -> Iterator[str]:
    """The fields of every part of an experiment."""
    for part in _public(nb, _is_part):
        summary = (part.__doc__ or "").splitlines()[0]
        path = part._path if part._path.startswith("readout") else f"experiment.{part._path}"
        yield from ("", f"### {part.__name__}", "", f"`{path}`: {summary}", "")
        yield from _head("field", "unit", "default", "gradient", "flags", "meaning")
        for field in dataclasses.fields(part):
            meta = field.metadata
            choices = ", ".join(f"`{choice}`" for choice in meta["choices"] or ())
            meaning = "; ".join(text for text in (meta["doc"], choices) if text)
            flags = " ".join(f"`{flag}`" for flag in meta["flags"].split())
            yield _row(
                f"`{field.name}`",
                meta["unit"],
                _default(field),
                "yes" if meta["differentiable"] else "",
                flags,
                meaning,
            )


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return ""
    return "required" if field.default is dataclasses.MISSING else f"`{field.default!r}`"


def recipe() -> Iterator[str]:
    """The keys of a refinement's file."""
    for part in (RefineRecipe, Data, Stages, OutputFiles):
        yield from ("", f"`[{part._path}]`: {(part.__doc__ or '').splitlines()[0]}", "")
        yield from _head("key", "unit", "default", "meaning")
        for field in dataclasses.fields(part):
            meta = field.metadata
            choices = ", ".join(f"`{choice}`" for choice in meta["choices"] or ())
            if meta["part"] is None:
                yield _row(
                    f"`{field.name}`", meta["unit"], _default(field), "; ".join(filter(None, (meta["doc"], choices)))
                )


def dataset() -> Iterator[str]:
    """The keys of ``[dataset]``."""
    yield from ("", "`[dataset]`:", "", *_head("key", "unit", "default", "meaning"))
    for field in dataclasses.fields(nb.data.DatasetSettings):
        meta = field.metadata
        choices = ", ".join(f"`{choice}`" for choice in meta["choices"] or ())
        yield _row(f"`{field.name}`", meta["unit"], _default(field), "; ".join(filter(None, (meta["doc"], choices))))


def data() -> Iterator[str]:
    """What `nanobragg.data` holds."""
    yield from _documented("nanobragg.data", _public(nb.data, inspect.isfunction))
    found = [kind for kind in _public(nb.data, inspect.isclass) if not _is_part(kind)]
    yield from _documented("nanobragg.data", found, "   :members:", "   :exclude-members: __init__, __new__")


def calls() -> Iterator[str]:
    """The public functions."""
    yield from _documented("nanobragg", _public(nb, inspect.isfunction))


def records() -> Iterator[str]:
    """What the calls return."""
    described = (nb.Experiment, nb.StructureFactors, nb.Quirk, nb.ExperimentModule)
    found = [kind for kind in _public(nb, inspect.isclass)
             if not _is_part(kind) and kind not in described and not issubclass(kind, Exception)]  # fmt: skip
    yield from _documented("nanobragg", found, "   :members:", "   :exclude-members: __init__, __new__")


def readers_and_writers() -> Iterator[str]:
    """The public names of `nanobragg.io`, by room."""
    names = _public(nb.io, lambda _: True)
    rooms = {"images": "Images", "reflections": "Structure factors", "geometry": "Geometry", "": "Other files"}
    for room, title in rooms.items():
        found = [name for name in names if f".{room}" in name.__module__] if room else names
        names = [name for name in names if name not in found]
        yield from ("", f"### {title}", "")
        yield from _documented("nanobragg.io", found)


def _public(module: Any, kept: Callable[[Any], bool]) -> list[Any]:
    return [value for value in (getattr(module, name) for name in module.__all__) if kept(value)]


def _is_part(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Config) and bool(value._path)


def _documented(module: str, values: Iterable[Any], *options: str) -> Iterator[str]:
    yield from ("```{eval-rst}", f".. currentmodule:: {module}", "")
    for value in values:
        yield from (f".. auto{'class' if inspect.isclass(value) else 'function'}:: {value.__name__}", *options, "")
    yield "```"


def quirks() -> Iterator[str]:
    """Every quirk: cause, effect, and what it costs where its tests trigger it."""
    costs = _measured("quirks")
    yield from _head("quirk, and what it acts with", "the original", "corrected", "rms", "sum")
    for quirk in nb.Quirk:
        cost = costs.get(quirk.name, {})
        rms, ratio = (f"{cost['rms']:.2g}", f"{cost['sum_ratio']:.3g}") if "rms" in cost else (cost.get("note", ""), "")
        text = quirk.text
        yield _row(
            f"`{quirk.name}`<br>{_literal(text.when)}", _literal(text.original), _literal(text.corrected), rms, ratio
        )


def golden() -> Iterator[str]:
    """Every engine against the original program."""
    yield from _head("engine", "cases", "identical cases", "identical pixels", "largest difference / maximum", "case")
    for row in _measured("original"):
        yield _row(
            row["engine"], str(row["cases"]), str(row["bit_identical_cases"]), f"{row['bit_identical_pixels']:.3%}",
            *_largest(row),
        )  # fmt: skip


def _largest(row: dict[str, Any]) -> tuple[str, str]:
    return (f"{row['largest_difference']:.1e}", f"`{row['case']}`") if row["largest_difference"] else ("0", "")


def twin() -> Iterator[str]:
    """Every engine against the literal twin."""
    yield from _head("engine", "set-ups", "largest difference / maximum")
    for row in _measured("twin"):
        yield _row(row["engine"], str(row["set_ups"]), f"{row['largest_difference']:.1e}")


def gemmi() -> Iterator[str]:
    """Cells and amplitudes against gemmi."""
    found = _measured("gemmi")
    yield from _head("quantity", "difference")
    yield _row(f"spacing d(hkl) of {found['cells']} random triclinic cells", f"{found['spacing']:.1e} relative")
    yield _row("structure factors of a model, against direct summation over its atoms", f"{found['amplitude']:.1e} rms")


def dials() -> Iterator[str]:
    """What DIALS makes of our images."""
    yield from _head(
        "images", "spots found", "indexed", "cell", "mean offset of spots [pixels]", "geometry, largest difference"
    )
    for row in _measured("dials"):
        cell = " ".join(f"{value:.2f}" for value in row["cell"])
        offset = ", ".join(f"{value:+.3f}" for value in row["offset"][:2])
        yield _row(
            row["format"],
            str(row["spots"]),
            f"{row['indexed'] / row['spots']:.1%}",
            cell,
            offset,
            f"{row['geometry']:.0e}",
        )


def _measured(name: str) -> Any:
    return json.loads((MEASURED / f"{name}.json").read_text())


def _head(*cells: str) -> tuple[str, str]:
    return _row(*cells), "|" + "---|" * len(cells)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _literal(text: str) -> str:
    """Formulas in plain text contain stars and underscores."""
    for sign in ("\\", "*", "_", "<"):
        text = text.replace(sign, f"\\{sign}")
    return text
