"""Every code block of the README and of the documentation works as typed, in order; see docs/run_page.py."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

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
            assert first in ("nanoBragg", "pip", "pytest", "python", "sphinx-build"), command
            if first == "pip":
                named = re.findall(r"\.\[([a-z,]+)\]", command)
                assert set(",".join(named).split(",")) - {""} <= set(extras), command
            if first == "python":
                script = (ROOT / words[0]).read_text()
                assert all(f'"{option}"' in script for option in words if option.startswith("--")), command
