"""What the README says between its code blocks; the blocks themselves are run by test_documentation.py."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from nanobragg.cli.main import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MODEL = """\
CRYST1   37.430   37.430   61.250  90.00  90.00  90.00 P 41 21 2
ATOM      1  CA  ALA A   1       5.000   7.000  11.000  1.00 15.00           C
ATOM      2  N   ALA A   1       6.200   7.900  11.400  1.00 15.00           N
END
"""
"""Stands for the protein."""


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    assert "nanoBragg demo" in README
    assert main(["demo"]) == 0
    monkeypatch.chdir(folder := tmp_path / "nanobragg_demo")
    return folder


def test_commands_in_the_text(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gemmi", reason="reads models: pip install '.[io]'")
    (demo / "1orc.pdb").write_text(MODEL)
    inline = [" ".join(text.split()) for text in re.findall(r"`(nanoBragg [^`]+)`", README)]
    assert any("--model 1orc.pdb" in command for command in inline)
    for command in inline:
        assert main(shlex.split(command)[1:]) == 0, command
    assert np.fromfile(demo / "floatimage.bin", np.float32).max() > 0


def test_folders() -> None:
    """The table names every folder of the sources, and nothing else."""
    listed = set(re.findall(r"^\| `([a-z_./]+)/` \|", README, re.M))
    made = {"build", "dist", "nanobragg_demo", "__pycache__"}

    def folders(parent: Path) -> set[str]:
        return {path.name for path in parent.iterdir() if path.is_dir() and path.name not in made}

    top = {name for name in folders(ROOT) if not name.startswith(".") and not name.endswith(".egg-info")}
    inner = {f"{parent}/{name}" for parent in ("nanobragg", "tests") for name in folders(ROOT / parent)}
    assert listed == top | inner | ({".ci"} if (ROOT / ".ci").exists() else set())
    assert f"{len(list((ROOT / 'golden').glob('*/args.json')))} command lines" in README
