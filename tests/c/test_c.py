"""Builds the C unit tests with the address and undefined-behaviour sanitizers, and runs each of them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("test_lattice", "test_factors", "test_validate", "test_render", "test_rng", "test_simd", "test_hkl_text")
FUZZ_SECONDS = os.environ.get("NB_FUZZ_SECONDS", "3")

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("cmake", "ninja"))) or not any(map(shutil.which, ("cc", "gcc", "clang"))),
    reason="needs cmake, ninja and a C compiler",
)


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c_tests")
    options = ["-DNB_PYTHON=OFF", "-DNB_TESTS=ON", "-DNB_SANITIZE=ON", "-DCMAKE_BUILD_TYPE=RelWithDebInfo"]
    for command in (
        ["cmake", "-G", "Ninja", "-S", str(ROOT), "-B", str(folder), *options],
        ["cmake", "--build", str(folder)],
    ):
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "warning:" not in result.stderr + result.stdout, result.stdout + result.stderr
    return folder / "tests" / "c"


def run(*command):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("name", PROGRAMS)
def test_unit(programs, name):
    run(programs / name)


def test_fuzz_scenes(programs):
    scenes, rendered = (int(word) for word in run(programs / "fuzz_scene", FUZZ_SECONDS).split() if word.isdigit())
    assert rendered > 100 and scenes > rendered  # both sides of the validation are exercised
