"""The vector kernels are vectors in the machine code, too: instructions per evaluation under callgrind, which repeat exactly.

Callgrind knows no AVX-512. How fast the kernels are is measured by benchmarks/run.py.
"""

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEAST_GAIN = {"simd-baseline": 7.0, "simd-avx2": 18.0}
"""Over the scalar kernel. Measured with gcc 12: 8.6 and 22.8, from 1209, 140 and 53 instructions, the same in every run; the
bounds leave a fifth to other versions of the compiler."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(func_only=True),
    pytest.mark.skipif(
        platform.machine() != "x86_64" or not all(map(shutil.which, ("cmake", "cc", "valgrind"))),
        reason="needs x86-64, cmake, a C compiler and valgrind",
    ),
]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    folder = tmp_path_factory.mktemp("instructions")
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-DNB_PYTHON=OFF", "-DNB_BENCHMARKS=ON"]
    for command in (configure, ["cmake", "--build", str(folder), "-j2"]):
        result = subprocess.run(command, capture_output=True, text=True, timeout=1200)
        assert result.returncode == 0, result.stdout + result.stderr
    return folder / "benchmarks" / "kernel_driver"


def instructions_per_evaluation(driver, kernel, folder):
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=nb_render_with", f"--callgrind-out-file={folder}/out"]
    result = subprocess.run([*command, str(driver), "count", kernel], capture_output=True, text=True)
    if "no kernel" in result.stderr:
        pytest.skip(f"this machine cannot run {kernel}")
    assert result.returncode == 0, result.stderr
    collected = re.search(r"Collected : (\d+)", result.stderr)
    return int(collected[1]) / int(result.stdout.split()[0])


@pytest.mark.parametrize("kernel", LEAST_GAIN)
def test_gain_in_instructions(driver, kernel, tmp_path):
    """A square crystal of 20^3 cells, a table of structure factors, 2 x 2 sub-pixels, as in workload W2."""
    scalar, vector = (instructions_per_evaluation(driver, name, tmp_path) for name in ("scalar", kernel))
    assert scalar > LEAST_GAIN[kernel] * vector, f"{scalar:.0f} instructions an evaluation, {vector:.0f} with {kernel}"
