"""Runs each of the C tests, built with the address and undefined-behavior sanitizers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted(path.stem for path in Path(__file__).parent.glob("test_*.c"))
FUZZ_SECONDS = os.environ.get("NB_FUZZ_SECONDS", "3")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(func_only=True),  # the build has a limit of its own
    pytest.mark.skipif(sys.platform != "linux" or shutil.which("gcc") is None, reason="needs gcc and its sanitizers"),
]


def run(*command):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("name", PROGRAMS)
def test_unit(sanitized, name):
    run(sanitized.programs / name)


def test_fuzz_scenes(sanitized):
    words = run(sanitized.programs / "fuzz_scene", FUZZ_SECONDS).split()
    scenes, rendered = (int(word) for word in words if word.isdigit())
    assert rendered > 100 and scenes > rendered  # both sides of the validation
