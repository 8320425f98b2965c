"""`nanoBragg explore` from the outside."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from wire import small

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.cli.words.common.experiment_file import experiment_of
from nanobragg.cli.words.explore import _image

_HEARING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is deaf to it
from nanobragg.cli.main import main
raise SystemExit(main())
"""


def test_it_prints_its_address_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    experiment = nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(5, 5, 5),
                           structure_factors=nb.StructureFactors.constant(100.0)),
        detector=nb.Detector(n_fast=60, n_slow=50, pixel_size_mm=1.0),
    )  # fmt: skip
    experiment.to_toml(tmp_path / "one.toml")
    command = [sys.executable, "-c", _HEARING, "explore", str(tmp_path / "one.toml"), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        first = process.stdout.readline()
        found = re.fullmatch(r"open (http://127\.0\.0\.1:(\d+)/\?token=[0-9a-f]{48})\n", first)
        assert found, (first, process.stderr.read())
        assert f"ssh -N -L {found[2]}:127.0.0.1:{found[2]} " in process.stdout.readline()
        with urllib.request.urlopen(found[1], timeout=60) as page:
            assert b"nanobragg explorer" in page.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["no_such.toml"], "no_such.toml"),
        (["--port", "70000"], "within 0 and 65535"),
        (["--host", "a..b"], "a..b"),
        (["--measured", "no_such.cbf"], "no_such.cbf"),
        (["--speed"], "unrecognized arguments"),
    ],
)
def test_mistakes_are_one_line(args: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--no-browser", *args]) == 9
    heard = capsys.readouterr()
    (line,) = heard.err.strip().splitlines()
    assert line.startswith("nanobragg: error: ") and said in line
    assert heard.out == ""


def test_an_image_is_compared_with_itself(tmp_path: Path) -> None:
    experiment = nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(5, 5, 5),
                           structure_factors=nb.StructureFactors.constant(100.0)),
        detector=nb.Detector(n_fast=60, n_slow=50, pixel_size_mm=1.0),
    )  # fmt: skip
    path = tmp_path / "image_00001.cbf"
    nb.io.write_cbf(path, nb.expose(experiment, seed=1).counts, experiment)
    experiment.to_dials(tmp_path / "models.expt")
    assert _image(str(path)) == str(path)
    assert _image(str(tmp_path / "models.expt")) is None and _image("experiment.toml") is None and _image(None) is None


@pytest.mark.filterwarnings("ignore:.*neither how large")
def test_what_chooses_of_several_is_named_as_it_is_typed(tmp_path: Path) -> None:
    """The reader's index= is --index here, in warnings and in errors."""
    small().to_dials(tmp_path / "two.expt")
    known = json.loads((tmp_path / "two.expt").read_text())
    known["experiment"] *= 2
    (tmp_path / "two.expt").write_text(json.dumps(known))
    typed = SimpleNamespace(file=str(tmp_path / "two.expt"), template=None, changes=[], index=None, image=None)
    with pytest.warns(nb.NanoBraggWarning, match="choose one with --index 0 to 1"):
        experiment_of(typed)
    typed.index = 2
    with (
        pytest.raises(nb.FileFormatError, match="--index 2: it holds experiments 0 to 1"),
        pytest.warns(nb.NanoBraggWarning),
    ):
        experiment_of(typed)
