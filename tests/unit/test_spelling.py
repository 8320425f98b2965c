"""American spelling throughout what people read: documentation, docstrings, messages, comments."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BRITISH = re.compile(
    r"(?<![A-Za-z_])(?:[Cc]entres?|[Cc]entred|[Cc]olour\w*|(?:[Mm]illi|[Mm]icro|[Nn]ano|[Kk]ilo)?[Mm]?metres?"
    r"|[Bb]ehaviours?|[Nn]eighbour\w*|[Hh]onour\w*|[Ff]avour\w*|[Ll]icence|[Aa]luminium|[Ss]ulphur|[Aa]rtefacts?|[Cc]atalogue\w*"
    r"|[Aa]nalyse[ds]?|(?:[Nn]ormal|[Ii]nitial|[Rr]ecogn|[Oo]ptim|[Mm]inim|[Mm]axim|[Ss]ummar|[Oo]rgan|[Vv]ector|[Ff]actor|[Ss]erial"
    r"|[Pp]olar|[Gg]eneral|[Rr]eal|[Uu]til|[Ll]inear|[Rr]andom|[Dd]iscret|[Pp]enal|[Rr]egular|[Ss]tabil|[Cc]haracter|[Ss]pecial|[Ss]anit)"
    r"is(?:e|es|ed|er|ers|ing|able|ations?))(?![A-Za-z_])"
)
READ = {  # what other programs write is read in their spelling
    "nanobragg/io/units.py",
    "nanobragg/io/geometry/crystfel/units.py",
}


def test_american_spelling() -> None:
    sources = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CMakeLists.txt")]
    for folder, endings in (
        ("docs", ".md"),
        ("nanobragg", ".py .pyi .pyx .pxi"),
        ("torch_backend", ".py"),
        ("csrc", ".c .h"),
    ):
        sources += [path for path in (ROOT / folder).rglob("*") if path.suffix and path.suffix in endings.split()]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {word[0]}"
        for path in sources
        if path.relative_to(ROOT).as_posix() not in READ and "_generated" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for word in BRITISH.finditer(line)
    ]
    assert not found, "\n".join(found)
