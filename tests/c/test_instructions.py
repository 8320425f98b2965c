"""Guard of the kernels' speed without a clock: instructions per evaluation under callgrind, which repeat exactly.

The stored counts belong to a compiler and C library; on others the test says what it counted and skips. Callgrind knows no
AVX-512. After a change that is meant, run this file with NB_STORE_COUNTS=1 and commit the new counts.
"""

import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STORED = Path(__file__).with_name("instructions.json")
KERNELS = ("scalar", "simd-baseline", "simd-avx2")
TOLERANCE = 0.05

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or not all(map(shutil.which, ("cmake", "cc", "valgrind"))),
    reason="needs x86-64, cmake, a C compiler and valgrind",
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    folder = tmp_path_factory.mktemp("instructions")
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-DNB_PYTHON=OFF", "-DNB_BENCHMARKS=ON"]
    for command in (configure, ["cmake", "--build", str(folder), "-j2"]):
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
    return folder / "benchmarks" / "kernel_driver"


def build_name():
    """Compiler and C library."""
    compiler = subprocess.run(["cc", "-dumpfullversion", "-dumpversion"], capture_output=True, text=True).stdout.strip()
    kind = "clang" if "clang" in subprocess.run(["cc", "--version"], capture_output=True, text=True).stdout else "gcc"
    return f"{kind} {compiler}, {' '.join(platform.libc_ver())}"


def instructions_per_evaluation(driver, kernel, folder):
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=nb_render_with", f"--callgrind-out-file={folder}/out"]
    result = subprocess.run([*command, str(driver), "count", kernel], capture_output=True, text=True)
    if "no kernel" in result.stderr:
        pytest.skip(f"this machine cannot run {kernel}")
    assert result.returncode == 0, result.stderr
    collected = re.search(r"Collected : (\d+)", result.stderr)
    return int(collected[1]) / int(result.stdout.split()[0])


@pytest.mark.parametrize("kernel", KERNELS)
def test_instructions_per_evaluation(driver, kernel, tmp_path):
    """A square crystal of 20^3 cells, a table of structure factors, 2 x 2 sub-pixels, as in workload W2."""
    count = instructions_per_evaluation(driver, kernel, tmp_path)
    stored = json.loads(STORED.read_text())
    if os.environ.get("NB_STORE_COUNTS"):
        stored.setdefault(build_name(), {})[kernel] = round(count, 1)
        STORED.write_text(json.dumps(stored, indent=1) + "\n")
    expected = stored.get(build_name(), {}).get(kernel)
    if expected is None:
        pytest.skip(f"{kernel}: {count:.1f} instructions per evaluation; nothing stored for {build_name()}")
    assert abs(count / expected - 1) <= TOLERANCE, f"{kernel}: {count:.1f} instructions per evaluation, not {expected}"
