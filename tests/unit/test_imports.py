"""What imports what, and how heavy it is.

The house stands on floors. A file imports its own room or lower ones, wherever the import stands: at the top, inside a function,
for type checkers alone, as the name of a module in a string, or in the stub of a room (`nanobragg.lazy` loads those).
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nanobragg

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nanobragg"
TORCH = ROOT / "torch_backend"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "_core", "_imaging", "_random", "lazy", "version"),
    ("constants", "backends"),
    ("arrays", "streams", "sensor_materials"),
    ("io",),
    ("config",),
    ("derivation",),
    ("imaging",),
    ("engines torch_backend", "exchange"),
    ("api scan exposure inspection",),
    ("prediction",),
    ("refinement", "datasets data"),
    ("explorer",),
    ("cli __main__",),
    ("",),
)
"""Rooms from the ground up; the last is ``nanobragg/__init__.py``, which shows the public names."""
FLOOR = {name: i for i, rooms in enumerate(FLOORS) for room in rooms for name in room.split(" ")}
ROOM = {name: room for rooms in FLOORS for room in rooms for name in room.split(" ")}

NAMED = {
    ("nanobragg.exchange.doors", "nanobragg.io"),  # who supplies which room with names, see `nanobragg.lazy.supply`
    ("nanobragg.exchange.doors", "nanobragg.exchange"),
    ("nanobragg.engines", "nanobragg.torch_backend"),  # belongs to the room, see `nanobragg.lazy.attach`
    ("nanobragg.data", "nanobragg.datasets"),  # likewise
    ("nanobragg", "nanobragg._core"),  # asked for, whether it is there
}
"""Modules that are named in strings."""


@dataclass(frozen=True)
class Arrow:
    """One file uses another."""

    source: str
    target: str
    inside: bool = False
    """the import stands inside a function"""
    text: bool = False
    """a string names the module"""


def _modules() -> dict[str, Path]:
    found = {}
    for folder in (PACKAGE, TORCH):
        for path in folder.rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name if folder is PACKAGE else f"nanobragg.{name}"] = path
    return found


MODULES = _modules()
OWN = {*MODULES, *(f"nanobragg.{path.stem}" for path in PACKAGE.glob("*.pyx"))}


def _statements(source: str, path: Path) -> Iterator[Arrow]:
    """Imports anywhere in a file, and strings that name a module."""
    tree = ast.parse(path.read_text())
    inside = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: relative import"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = [name if name in OWN else str(node.module) for name in whole]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value and node.value in OWN:
            yield Arrow(source, node.value, text=True)
            continue
        else:
            continue
        for target in targets:
            if target.split(".")[0] in ("nanobragg", "torch_backend"):
                assert target in OWN, f"{path} imports {target}"
                yield Arrow(source, target, inside=node in inside)


def _stub(source: str, path: Path) -> Iterator[Arrow]:
    """Names that a room loads late; those that it takes from a room above are loaded by that room (`lazy.supply`)."""
    for home, name in re.findall(r"^from (\S+) import (\w+) as \2$", path.read_text(), re.MULTILINE):
        target = f"{home}.{name}" if f"{home}.{name}" in OWN and home == source else home
        above = FLOOR[_place(target)] > FLOOR[_place(source)]
        yield Arrow("nanobragg.exchange.doors" if above else source, target)


def _arrows() -> set[Arrow]:
    found: set[Arrow] = set()
    for name, path in MODULES.items():
        found.update(_statements(name, path))
        if path.name == "__init__.py" and (stub := path.with_suffix(".pyi")).exists():
            found.update(_stub(name, stub))
    return {arrow for arrow in found if arrow.source != arrow.target}


def _place(module: str) -> str:
    """The room of a module, as in FLOORS."""
    return module.partition(".")[2].partition(".")[0]


ARROWS = _arrows()


def _leads_up(arrow: Arrow) -> bool:
    source, target = _place(arrow.source), _place(arrow.target)
    return FLOOR[target] >= FLOOR[source] and ROOM[target] != ROOM[source]


def test_every_room_has_a_floor() -> None:
    assert {_place(module) for module in OWN} <= set(FLOOR)


def test_no_import_runs_up_or_sideways() -> None:
    wrong = {(arrow.source, arrow.target) for arrow in ARROWS if _leads_up(arrow)}
    print(f"{len(MODULES)} modules, {len(ARROWS)} arrows, {len(wrong)} run up")
    assert not wrong, sorted(wrong)


def test_no_module_is_in_a_circle() -> None:
    """Whoever has no arrow left to a remaining module is taken away, until only circles remain."""
    left = {name: {arrow.target for arrow in ARROWS if arrow.source == name} for name in MODULES}
    while True:
        done = {name for name, targets in left.items() if not targets & set(left)}
        if not done:
            break
        left = {name: targets - done for name, targets in left.items() if name not in done}
    while True:  # and those that only look at a circle
        seen = set().union(*left.values()) if left else set()
        if not set(left) - seen:
            break
        left = {name: targets for name, targets in left.items() if name in seen}
    print(f"{len(left)} modules in a circle")
    assert not left, sorted(left)


def test_imports_inside_functions_are_third_parties() -> None:
    """What is loaded late stands in the stub of a room, which `nanobragg.lazy` reads, or in the command's table of words."""
    inside = {(arrow.source, arrow.target) for arrow in ARROWS if arrow.inside}
    named = {(arrow.source, arrow.target) for arrow in ARROWS if arrow.text and not _is_word(arrow)}
    print(f"{len(inside)} imports of own modules inside functions, {len(named)} in strings")
    assert not inside | (named - NAMED), sorted(inside | (named - NAMED))


def _is_word(arrow: Arrow) -> bool:
    """An entry of the table that says which file carries out which word of the command."""
    return arrow.source == "nanobragg.cli.main" and arrow.target.startswith("nanobragg.cli.")


def _engine(module: str) -> bool:
    return module == "nanobragg.engines.c" or _place(module) in ("torch_backend", "_core", "_imaging")


def test_io_and_command_never_import_an_engine() -> None:
    """The command asks `nanobragg.engines` for one by name."""
    found = {(a.source, a.target) for a in ARROWS if _place(a.source) in ("io", "cli") and _engine(a.target)}
    assert found == {  # numbers from text, and counts from photons: no engine
        ("nanobragg.io.reflections.hkl", "nanobragg._core"),
        ("nanobragg.io.images.counts", "nanobragg._core"),
    }


def test_torch_engine_stays_off_the_c_core() -> None:
    found = {arrow.target for arrow in ARROWS if _place(arrow.source) == "torch_backend"}
    assert not {target for target in found if _place(target) in ("_core", "api", "cli", "io")}


def test_sizes() -> None:
    """No file of more than 500 lines, and no folder of more than 12 modules that are not sorted into sub-rooms."""
    sources = [
        path
        for folder in (PACKAGE, TORCH, ROOT / "csrc")
        for path in folder.rglob("*")
        if path.suffix in (".py", ".c", ".h", ".pyx", ".pyi")
    ]
    lines = {path: len(path.read_text().splitlines()) for path in sources}
    longest = max(lines, key=lambda path: lines[path])
    print(f"longest file: {longest.relative_to(ROOT)}, {lines[longest]} lines")
    assert not {path: n for path, n in lines.items() if n > 500}
    files = [path.parent for path in MODULES.values() if path.name != "__init__.py"]
    fullest = max(files, key=files.count)
    print(f"fullest folder: {fullest.relative_to(ROOT)}, {files.count(fullest)} modules")
    assert files.count(fullest) <= 12


def test_a_public_name_means_one_thing() -> None:
    """No two classes are called the same, nor a class and the name of a type, nor two types."""
    meanings: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                meanings.setdefault(node.name, set()).add(f"class in {module}")
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if re.fullmatch("([A-Z][a-z]+)+", name):
                    meanings.setdefault(name, set()).add(ast.unparse(node.value))
    twice = {name: found for name, found in meanings.items() if len(found) > 1 and not name.startswith("_")}
    assert not twice


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


def test_public_names() -> None:
    """What ``dir`` shows is what the stub lists, and each of them is there."""
    for module in (nanobragg, nanobragg.io):
        assert [name for name in dir(module) if not name.startswith("_")] == module.__all__
        for name in module.__all__:
            if name not in ("ExperimentModule", "torch_backend"):  # need torch
                assert getattr(module, name) is not None, name
    assert nanobragg.__version__


def test_doors_are_those_that_the_class_declares() -> None:
    """The signatures that type checkers see are those of the functions that are attached."""

    def signatures(path: Path, inside: str | None = None) -> dict[str, str]:
        tree: ast.AST = ast.parse(path.read_text())
        if inside is not None:
            tree = next(n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == inside)
        found = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.args.args:
                node.args.args[0].annotation = None  # cls or self
                found[node.name] = f"({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"
        return found

    declared = signatures(PACKAGE / "config/experiment.py", "TYPE_CHECKING")
    doors = signatures(PACKAGE / "exchange/doors.py")
    assert len(declared) >= 11
    assert declared == {name: doors[name] for name in declared}
    for name in declared:
        assert getattr(nanobragg.Experiment, name).__doc__, name


def test_core_links_no_openmp_runtime() -> None:
    from nanobragg import _core

    path = Path(_core.__file__).read_bytes()
    assert b"libgomp" not in path and b"libiomp" not in path and b"libomp" not in path
