"""The README's commands and Python blocks work as typed."""

from __future__ import annotations

import re
import shlex
import warnings
from pathlib import Path

import numpy as np
import pytest

from nanobragg.cli.main import main

README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    assert "nanoBragg demo" in README
    assert main(["demo"]) == 0
    return tmp_path


def test_commands(demo: Path) -> None:
    commands = re.findall(r"^nanoBragg (-.*)$", README, re.M)
    assert commands
    for command in commands:
        assert main(shlex.split(command)) == 0
    image = np.fromfile(demo / "floatimage.bin", np.float32)
    assert image.size == 1000 * 1000 and image.max() > 100


def test_python_blocks(demo: Path) -> None:
    pytest.importorskip("torch", reason="the README shows both engines: pip install '.[torch]'")
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for block in blocks:
            exec(block, names)
    counts = names["counts"]
    assert isinstance(counts, np.ndarray) and counts.max() > 1000
    assert (demo / "image_0001.img").stat().st_size == 512 + 2 * 500 * 500
