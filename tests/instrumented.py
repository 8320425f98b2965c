"""Builds for checks: the package and the C tests with sanitizers, or recording which lines and branches of C they take."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SANITIZED = ("cmake.define.NB_SANITIZE=ON", "cmake.build-type=RelWithDebInfo")
COVERED = ("cmake.define.NB_COVERAGE=ON", "cmake.build-type=Debug")
_BUILD_TOOLS = ("scikit_build_core", "Cython", "cython_cmake")
_MOST_SECONDS = 1200
"""A build takes one minute of CPU time; this is for the busiest of machines."""


@dataclass(frozen=True)
class Build:
    """An environment with an instrumented package, and the programs of tests/c beside it."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.folder / "env" / "bin" / "python"

    @property
    def objects(self) -> Path:
        """Where the compiler worked."""
        return self.folder / "build"

    @property
    def programs(self) -> Path:
        """The folder of the C tests."""
        return self.objects / "tests" / "c"


def build(folder: Path, options: tuple[str, ...] = SANITIZED) -> Build:
    """Install the package, instrumented, in a new environment below `folder`, and build the C tests with it.

    What else a test needs comes from the environment that runs this. Its .pth files are not read a second time, so that
    an editable install there cannot take the place of the instrumented one. A compiler's warning is an error.
    """
    made = Build(folder)
    _checked(sys.executable, "-m", "venv", "--without-pip", str(folder / "env"))
    asked = [str(made.python), "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]
    site = Path(subprocess.check_output(asked, text=True).strip())
    here = dict.fromkeys(path for path in sys.path if Path(path).name == "site-packages")
    (site / "parent.pth").write_text("".join(f"{path}\n" for path in here))
    options += ("cmake.define.NB_TESTS=ON", "install.strip=false", f"build-dir={made.objects}")
    arguments = [f"--config-settings={option}" for option in options]
    if all(map(find_spec, _BUILD_TOOLS)):
        arguments.append("--no-build-isolation")
    told = _checked(
        sys.executable, "-m", "pip", "install", "-v", "--no-deps", "--target", str(site), *arguments, str(ROOT)
    )
    warnings = re.findall(r".*\.[ch]:\d+:\d+: warning: .*", told)
    if warnings:
        raise RuntimeError("\n".join(warnings))
    return made


def variables() -> dict[str, str]:
    """Environment variables under which the sanitized extension runs in a Python that is not sanitized."""
    libraries = [_library("libasan.so"), _library("libubsan.so")]
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "LD_PRELOAD": " ".join(libraries),
        # Python's own leaks are not ours; a request that cannot be met is a MemoryError, as without the sanitizer
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:handle_segv=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "PYTHONMALLOC": "malloc",
        "OMP_NUM_THREADS": "2",
    }


def _library(name: str) -> str:
    path = subprocess.check_output(["gcc", f"-print-file-name={name}"], text=True).strip()
    if not os.path.isabs(path):
        raise RuntimeError(f"gcc has no {name}; install its sanitizer libraries")
    return path


def _checked(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_MOST_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr
