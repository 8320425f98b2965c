"""An environment of its own in which the extension is built with the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BUILD_TOOLS = ("scikit_build_core", "Cython", "cython_cmake")


def build(folder: Path) -> Path:
    """Install the package, sanitized, in a new environment below `folder`; return its Python.

    Numpy comes from the environment that runs this. Its .pth files are not read a second time, so that an editable
    install there cannot take the place of the sanitized one.
    """
    environment = folder / "env"
    _checked(sys.executable, "-m", "venv", "--without-pip", str(environment))
    python = environment / "bin" / "python"
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]
    site = Path(subprocess.check_output(asked, text=True).strip())
    here = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site / "parent.pth").write_text("".join(f"{path}\n" for path in here))
    options = ["--quiet", "--no-deps", "--target", str(site), f"-Cbuild-dir={folder / 'build'}"]
    options += ["-Ccmake.define.NB_SANITIZE=ON", "-Ccmake.build-type=RelWithDebInfo", "-Cinstall.strip=false"]
    if all(map(find_spec, _BUILD_TOOLS)):
        options.append("--no-build-isolation")
    _checked(sys.executable, "-m", "pip", "install", *options, str(ROOT))
    return python


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


def _checked(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
