"""Fixtures of the command tests: run the command in an empty directory, in this process or in one of its own."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import Result

from nanobragg.cli.main import main


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the command in this process, in the test's own directory."""
    monkeypatch.chdir(tmp_path)

    def call(*parts: str) -> Result:
        capsys.readouterr()
        status = main([token for part in parts for token in shlex.split(part)])
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return call


@pytest.fixture
def spawn(tmp_path: Path) -> Callable[..., Result]:
    """Run the command in a process of its own, in the test's own directory."""

    def call(*parts: str, timeout: float = 60) -> Result:
        tokens = [token for part in parts for token in shlex.split(part)]
        done = subprocess.run(
            [sys.executable, "-m", "nanobragg", *tokens], cwd=tmp_path, capture_output=True, text=True, timeout=timeout
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return call
