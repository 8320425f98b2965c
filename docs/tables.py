"""Tables of the documentation that are made from the code: the flags and the quirks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nanobragg.cli.dropin.usage import SUBCOMMANDS, unit_of
from nanobragg.exchange.command_line.flags import FLAGS, GROUPS, NEVER_WORKED, OWN_OPTIONS, Flag


def write(folder: Path) -> None:
    """Write every table as a Markdown file."""
    folder.mkdir(exist_ok=True)
    for name, lines in {"flags": flags(), "words": words(), "never_worked": never_worked()}.items():
        (folder / f"{name}.md").write_text("\n".join(lines) + "\n")


def flags() -> Iterator[str]:
    """Every flag, by group: what the help says."""
    from nanobragg.cli.dropin.usage import described

    for group in GROUPS:
        yield from ("", f"### {group}", "", "| flag | unit | default | meaning | also |", "|---|---|---|---|---|")
        for flag in (*FLAGS, *OWN_OPTIONS):
            if flag.group == group:
                yield _flag(flag, *described(flag))


def _flag(flag: Flag, left: str, text: str, default: str) -> str:
    others = " ".join(f"`{name}`" for name in flag.spellings if name != flag.name)
    if flag.no_effect:
        text += f" (no effect: {flag.no_effect})"
    return _row(f"`{left}`", unit_of(flag), default, text, others)


def words() -> Iterator[str]:
    """The words of the command."""
    yield from ("| word | what it does |", "|---|---|")
    for name, text in SUBCOMMANDS.items():
        yield _row(f"`nanoBragg {name}`", text)


def never_worked() -> Iterator[str]:
    """Spellings that the original ignores."""
    yield from ("| seen in scripts | what works |", "|---|---|")
    for wrong, right in NEVER_WORKED.items():
        yield _row(f"`{wrong}`", f"`{right}`" if right else "nothing")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
