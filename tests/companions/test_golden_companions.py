"""Every golden case of noisify and nonBragg through the command, in-process: files, console text and exit status."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanobragg.cli.main import main

GOLDEN = Path(__file__).parents[2] / "golden" / "companions"
CASES = json.loads((GOLDEN / "index.json").read_text())
NAMES = {
    "int": r"-int(file|image)",
    "pgm": r"-pgm(file|image)",
    "noise": r"-noise(file|image)",
    "float": r"-float(file|image)",
}
DEFAULTS = {"int": "intimage.img", "pgm": "image.pgm", "noise": "noiseimage.img", "float": "floatimage.bin"}
UNDEFINED = re.compile(r"mmap\(.*|median= .* avg_arej= .*|^ F=\S+", re.M)


def output_names(args: list[str]) -> dict[str, str]:
    names = dict(DEFAULTS)
    for option, value in itertools.pairwise(args):
        for kind, pattern in NAMES.items():
            if re.fullmatch(pattern, option):
                names[kind] = value
    return names


def console(text: str, seeded: bool) -> list[str]:
    lines = UNDEFINED.sub("", text).splitlines()
    return [line for line in lines if seeded or not line.startswith("  seed:")]


def test_the_set_is_whole() -> None:
    assert len(CASES) == 40 == len(list(GOLDEN.glob("*/args.json")))
    assert f"{len(CASES)} command lines" in (GOLDEN / "README.md").read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = GOLDEN / case["name"]
    args = json.loads((folder / "args.json").read_text())
    for name in case["inputs"]:
        shutil.copy(GOLDEN / "inputs" / name, tmp_path)
    monkeypatch.chdir(tmp_path)

    status = main([case["program"].lower(), *args])

    out, err = capsys.readouterr()
    assert status == case["exit_status"], err
    expected_text = (folder / "stdout.txt").read_text(encoding="latin1")
    assert console(out, "-seed" in args) == console(expected_text, "-seed" in args)
    if status:
        return
    assert sorted(path.name for path in tmp_path.iterdir() if path.name not in case["inputs"]) == sorted(case["files"])
    names = output_names(args)
    header = (folder / "smv_header.txt").read_bytes()[:-1]
    for kind, expected in np.load(folder / "expected.npz").items():
        data = (tmp_path / names[kind]).read_bytes()
        if kind in ("int", "noise"):
            assert data.startswith(header + (b"\n\f" if not header.endswith(b"}") else b""))
            assert data[512 : 512 + expected.nbytes] == expected.tobytes(), kind
            assert len(data) == 512 + expected.nbytes
        elif kind == "pgm":
            slow, fast = expected.shape
            assert data.startswith(f"P5\n{fast} {slow}\n# pixels scaled by ".encode())
            assert data[-expected.size :] == expected.tobytes()  # the original writes as much again of foreign memory
        else:
            assert data == expected.tobytes()
    if (folder / "stolout.txt").exists():
        table = np.loadtxt(tmp_path / args[args.index("-stolout") + 1], usecols=(0, 1, 2, 5))
        wanted = np.genfromtxt(folder / "stolout.txt", usecols=(0, 1, 2, 5))
        # the console's six digits; sums of thousands of float32 in the same order leave nothing else
        np.testing.assert_allclose(table, wanted, rtol=2e-6)
