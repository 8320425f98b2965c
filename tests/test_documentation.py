"""Every code block of the README and of the documentation works as typed, in order; see docs/run_page.py."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from nanobragg import Quirk

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
MODEL = """\
CRYST1   37.430   37.430   61.250  90.00  90.00  90.00 P 41 21 2
ATOM      1  CA  ALA A   1       5.000   7.000  11.000  1.00 15.00           C
ATOM      2  N   ALA A   1       6.200   7.900  11.400  1.00 15.00           N
END
"""
"""Stands for the protein of the Protein Data Bank that some pages name."""


def page_runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_page", ROOT / "docs/run_page.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RUNNER = page_runner()


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if RUNNER.blocks(page.read_text())], ids=name)
def test_blocks(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the pages show both engines: pip install '.[torch]'")
    pytest.importorskip("gemmi", reason="the pages read crystals: pip install '.[io]'")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "1orc.pdb").write_text(MODEL)
    RUNNER.run(page.read_text(), name(page))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_other_commands(page: Path) -> None:
    """What is not run here names scripts, options and extras that exist."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    for language, code in RUNNER.blocks(page.read_text()):
        if language != "sh":
            continue
        for command in RUNNER.commands(code):
            first, *words = shlex.split(command)
            assert first in ("cd", "nanoBragg", "pip", "pytest", "python", "sphinx-build"), command
            if first == "pip":
                named = re.findall(r"\.\[([a-z,]+)\]", command)
                assert set(",".join(named).split(",")) - {""} <= set(extras), command
            if first == "python":
                script = (ROOT / words[0]).read_text()
                assert all(f'"{option}"' in script for option in words if option.startswith("--")), command


SOURCES = ("nanobragg", "torch_backend", "csrc", "tests", "benchmarks", "examples")
SUFFIXES = {".py", ".pyx", ".pyi", ".c", ".h", ".txt"}


def source_files() -> list[Path]:
    found = [path for folder in SOURCES for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    return [*found, ROOT / "CMakeLists.txt", ROOT / "conftest.py"]


def headings(page: Path) -> list[str]:
    return [title.replace("`", "") for title in re.findall(r"^#+ (.*)$", page.read_text(), re.M)]


def test_references_of_the_sources() -> None:
    """A page that a comment or docstring names ships, and has the section that is named with it."""
    wrong = []
    for path in source_files():
        text = re.sub(r"\n\s*(?:\*|#)?\s*", " ", path.read_text())
        for page, rest in re.findall(r"([\w/.-]*[\w-]+\.md)\b(?:, ([A-Z][^\"']{0,60}))?", text):
            known = ROOT / page
            if page in ("results.md", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
                continue
            if not page.startswith("docs/") or not known.is_file():
                wrong.append(f"{path.relative_to(ROOT)}: {page}")
            elif rest and not any(rest.startswith(title) for title in [*headings(known), *Quirk.__members__]):
                wrong.append(f"{path.relative_to(ROOT)}: {page}, {rest}")
    assert not wrong, "\n".join(wrong)


def test_measured_figures_name_every_quirk() -> None:
    """What is documented as measured is of this version's quirks."""
    measured = json.loads((ROOT / "docs/measured/quirks.json").read_text())
    assert set(measured) <= set(Quirk.__members__) and len(measured) > 40
