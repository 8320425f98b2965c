"""What imports what, and how heavy it is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nanobragg"
TORCH = ROOT / "torch_backend"


def imported(path: Path, top_level_only: bool = False) -> set[str]:
    """Modules that a file imports; without those under TYPE_CHECKING."""
    tree = ast.parse(path.read_text())
    found: set[str] = set()
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        lazy = top_level_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if lazy or checking:
            skipped.update(child for child in ast.walk(node) if child is not node)
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            if node.module == "nanobragg":
                found.update(f"nanobragg.{alias.name}" for alias in node.names)
    return found


def within(name: str, allowed: set[str]) -> bool:
    return not name.startswith("nanobragg.") or any(name == a or name.startswith(a + ".") for a in allowed)


BASE = {
    "nanobragg.errors",
    "nanobragg.constants",
    "nanobragg.arrays",
    "nanobragg.config.fields",
    "nanobragg.config.quirks",
    "nanobragg.config.conventions",
}
CONFIG = BASE | {"nanobragg.config", "nanobragg.config.structure_factors"}
DERIVATION = CONFIG | {"nanobragg.derivation"}
ALLOWED = {
    "errors.py": set(),
    "constants.py": set(),
    "arrays.py": {"nanobragg.errors"},
    "config/conventions.py": set(),
    "config/quirks.py": {"nanobragg.errors"},
    "config/fields.py": {"nanobragg.errors", "nanobragg.arrays"},
    "config/structure_factors.py": {"nanobragg.errors", "nanobragg.arrays", "nanobragg.config.table_checks"},
    "config/table_checks.py": {"nanobragg.errors", "nanobragg.arrays"},
    "derivation/scene.py": {"nanobragg.config.quirks"},
    "derivation/vectors.py": BASE,
    **{
        f"derivation/{name}.py": DERIVATION for name in ("cell", "placement", "sources", "resolve", "prescan", "derive")
    },
    "engines/c.py": DERIVATION | {"nanobragg.engines", "nanobragg._core"},
}


@pytest.mark.parametrize("name", ALLOWED)
def test_import_direction(name: str) -> None:
    """Data flows one way: config -> resolve -> derive -> scene -> backend. Imports inside functions are the readers."""
    wrong = {m for m in imported(PACKAGE / name, top_level_only=True) if not within(m, ALLOWED[name])}
    assert not wrong


def test_config_imports_only_what_lies_below() -> None:
    for path in (PACKAGE / "config").glob("*.py"):
        assert not {m for m in imported(path, top_level_only=True) if not within(m, CONFIG)}, path.name


def test_io_and_command_never_import_a_backend() -> None:
    for folder in ("io", "cli"):
        for path in (PACKAGE / folder).rglob("*.py"):
            names = imported(path)
            if path.name == "hkl.py":  # numbers from text, no backend
                names -= {"nanobragg._core"}
            assert not {m for m in names if "backend" in m or m.startswith("nanobragg._core")}, path.name


def test_torch_backend_stays_off_the_core() -> None:
    for path in TORCH.rglob("*.py"):
        names = imported(path)
        assert not {m for m in names if m.split(".")[-1] in ("_core", "api") or ".cli" in m or ".io" in m}, path.name


def run(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_brings_neither_torch_nor_other_heavy_packages() -> None:
    heavy = "torch matplotlib h5py fabio gemmi scipy tqdm".split()
    assert run(f"import sys, nanobragg; print([m for m in {heavy} if m in sys.modules])").strip() == "[]"


def test_help_brings_no_heavy_package() -> None:
    code = (
        "import sys, nanobragg.cli.main as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([x for x in ('torch', 'matplotlib', 'h5py', 'gemmi') if x in sys.modules])"
    )
    assert run(code).strip().splitlines()[-1] == "[]"


def test_every_public_name_exists() -> None:
    import nanobragg

    for name in nanobragg.__all__:
        if name != "ExperimentModule":  # needs torch
            assert getattr(nanobragg, name) is not None, name
    assert nanobragg.__version__


def test_core_links_no_openmp_runtime() -> None:
    from nanobragg import _core

    path = Path(_core.__file__).read_bytes()
    assert b"libgomp" not in path and b"libiomp" not in path and b"libomp" not in path


def test_no_file_is_longer_than_it_should_be() -> None:
    for folder in (PACKAGE, TORCH, ROOT / "csrc"):
        for path in folder.rglob("*"):
            if path.suffix in (".py", ".c", ".h", ".pyx"):
                assert len(path.read_text().splitlines()) <= 520, path
