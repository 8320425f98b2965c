"""Importing nanobragg in its source folder, which has no compiled core: the installed package, or what to type.

docs/follow_pages.py does the same with a real installation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "nanobragg", folder / "nanobragg", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    (folder / "csrc").mkdir()
    (folder / "csrc" / "nanobragg.h").write_text('#define NB_VERSION "1.2.3"\n')
    return folder


def imported(source: Path, installed: Path, code: str = "import nanobragg; print(nanobragg.WHO)") -> tuple[str, str]:
    """Standard output and last line of the errors of Python in the source folder, without other packages."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=source, env=environment, capture_output=True, text=True
    )
    return done.stdout.strip(), (done.stderr.strip().splitlines() or [""])[-1]


def install(folder: Path, version: str) -> Path:
    (folder / "nanobragg").mkdir(parents=True)
    (folder / "nanobragg" / "__init__.py").write_text("WHO = 'installed'\n")
    (folder / "nanobragg" / "api.py").write_text("from nanobragg import WHO\n")
    (folder / "nanobragg" / "_core.abi3.so").touch()
    metadata = folder / f"nanobragg-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: nanobragg\nVersion: {version}\n")
    return folder


def test_the_installed_package_is_taken_as_a_whole(source: Path, tmp_path: Path) -> None:
    installed = install(tmp_path / "site", "1.2.3")
    assert imported(source, installed) == ("installed", "")
    code = "import nanobragg.api; print(nanobragg.api.__file__, *nanobragg.__path__)"
    found, error = imported(source, installed, code)
    assert error == "" and str(installed) in found and str(source) not in found
    assert imported(source, installed, "from nanobragg.api import WHO; print(WHO)") == ("installed", "")


def test_what_to_type(source: Path, tmp_path: Path) -> None:
    _, error = imported(source, tmp_path)
    assert error == "ImportError: this is nanobragg's source folder, without a compiled core: type  pip install .  here"
    _, error = imported(source, install(tmp_path / "site", "1.2.2"))
    assert "of another version than the installed 1.2.2" in error and "pip install ." in error
    shutil.rmtree(source / "csrc")
    assert "has no compiled core: install nanobragg again" in imported(source, tmp_path)[1]
