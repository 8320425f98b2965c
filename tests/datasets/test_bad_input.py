"""What is refused, in which words; nothing that is there is overwritten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from small_recipe import content, experiment, recipe

import nanobragg as nb
from nanobragg.datasets.execution import estimate, pools, worker

pytest.importorskip("h5py", reason="needs h5py: pip install 'nanobragg[data]'")
pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'nanobragg[data]'")

TOML = """
format = 1
[dataset]
n_images = 2
[crystal]
unit_cell = { a = 79.1, b = 79.1, c = 37.9, alpha = 90, beta = 90, gamma = 90 }
structure_factors = { default_F = 100.0 }
[detector]
n_fast = 32
n_slow = 32
"""


def generate(made, folder, **more):
    with ThreadPoolExecutor(1) as executor:
        return nb.data.generate(made, folder, executor=executor, **more)


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        ({"crystal.n_cells": {"unifrom": [1, 2]}}, r"n_cells.unifrom=.*no such distribution; did you mean uniform\?"),
        ({"crystal.n_cell": {"uniform": [1, 2]}}, r"no such field; did you mean n_cells\?"),
        ({"cristal.n_cells": {"uniform": [1, 2]}}, r"vary.cristal.n_cells=.*did you mean crystal\?"),
        ({"orientatoin": "random"}, r"did you mean orientation\?"),
        ({"crystal.n_cells": {"uniform": [3, 2]}}, r"vary.crystal.n_cells.uniform=\[3, 2\]: must be \[from, to\], from <= to"),
        ({"crystal.n_cells": {"uniform": [3]}}, r"must be \[from, to\]"),
        ({"crystal.n_cells": {"normal": [3, "wide"]}}, r"must be a number"),
        ({"crystal.n_cells": {"uniform": [1, 2], "weight": [1]}}, r"no such option .*did you mean weights\?"),
        ({"crystal.n_cells": {"choice": [1, 2], "weights": [1]}}, r"must be 2 numbers"),
        ({"crystal.n_cells": {"uniform": [1, 2], "normal": [1, 2]}}, r"must name one distribution"),
        ({"crystal.n_cells": {"uniform": [1, 2], "as": "factr"}}, r"must be one of 'value', 'offset', 'factor'"),
        ({"crystal.size_mm": {"uniform": [1, 2], "as": "factor"}}, r"needs a number to start from"),
        ({"crystal.mosaic": {"uniform": [1, 2]}}, r"is a table, not a value"),
        ({"frames": {"hits": 1.0}}, r"vary.frames.hits=.*did you mean hit\?"),
        ({"frames": 1.5}, r"must be >= 0"),
        ({"cell": {"aa": 0.1}}, r"vary.cell.aa=.*no such field"),
        ({"cell": {"a": -0.1}}, r"vary.cell.a=-0.1: must be >= 0"),
        ({"detector.n_fast": {"choice": [32, 64]}}, r"vary.detector.n_fast=.*must be the same in all images of a data set"),
        ({"readout.bits": {"choice": [16, 32]}}, r"vary.readout.bits=.*must be the same in all images"),
        ({"crystal[1].n_cells": {"value": 3}}, r"crystal\[1\].n_cells='one crystal': has no parts; write crystal.n_cells"),
        ({"lattices": {"uniform": [1, 2]}}, r"must be a choice of whole numbers"),
        ({"orientation": {"spread": 1}}, r"did you mean spread_deg\?"),
        ({"split": {"angle": 1}}, r"did you mean angle_deg\?"),
    ],
)  # fmt: skip
def test_what_varies(vary, words):
    with pytest.raises(nb.ConfigError, match=words):
        recipe(vary=vary)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("n_images = 0", r"dataset.n_images=0: must be >= 1"),
        ("n_image = 3", r"no such field; did you mean n_images\?"),
        ('labels = ["spot"]', r"dataset.labels='spot': must be one of 'spots', 'lattices'; did you mean spots\?"),
        ('extras = ["brag"]', r"did you mean bragg\?"),
        ('kind = "rotation"', r"goniometer.osc_deg=None: must be > 0 in a rotation series"),
        ("series_length = 3", r"belongs to kind='rotation'"),
        ("spots = false\nlabels = ['spots']", r"need the table of spots"),
    ],
)  # fmt: skip
def test_settings(tmp_path, change, words):
    text = TOML.replace("n_images = 2", change if change.startswith("n_images") else f"n_images = 2\n{change}")
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(nb.FileFormatError, match=words):
        nb.data.read_recipe(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TOML.replace("format = 1", "format = 2"), r"format=2: this version knows recipes up to format 1; update nanobragg"),
        (TOML.replace("format = 1", "format = 0"), r"format=0: must be a whole number"),
        (TOML.replace("[dataset]", "[datasets]"), r"dataset=None: is missing"),
        (TOML + "[run]\nseed = 1\n", r"belongs to experiment files"),
        (TOML + "[vary]\ncrystal.n_cells = { column = 'n', file = 'none.csv' }\n", r"none.csv: cannot be read"),
        (TOML + "[replay]\nfil = 'x.stream'\n", r"must name a file"),
        ("format = ", r"is not TOML"),
    ],
)  # fmt: skip
def test_files(tmp_path, text, words):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(nb.FileFormatError, match=words):
        nb.data.read_recipe(tmp_path / "bad.toml")


def test_draws_that_give_nothing():
    made = recipe(1, vary={"crystal.unit_cell.a": {"normal": [-50, 1]}})
    with pytest.raises(
        nb.ConfigError, match=r"vary.crystal.unit_cell.a='normal \[-50.0, 1.0\]': gives nothing acceptable in 1000"
    ):
        nb.data.frame(made, 0)
    made = recipe(1, vary={"detector.distance_mm": {"normal": [100, 1], "min": 200}})
    with pytest.raises(nb.ConfigError, match=r"outside of 200 ... inf"):
        nb.data.frame(made, 0)
    with pytest.raises(nb.ConfigError, match=r"frame=1: must be within 0 and 0"):
        nb.data.frame(made, 1)
    made = recipe(3, vary={"detector.distance_mm": {"column": [100.0]}})
    with pytest.raises(nb.ConfigError, match=r"has fewer rows than are needed"):
        nb.data.frame(made, 1)


def test_cells_that_break_the_symmetry():
    made = recipe(1, vary={"cell": {"a": 0.002, "b": 0.003}})
    with pytest.raises(
        nb.ConfigError, match=r"vary.cell.b=0.003: breaks the symmetry of a tetragonal cell; write .* 0.002"
    ):
        nb.data.drawn(made, 0)
    with pytest.raises(
        nb.ConfigError, match=r"shift_mm=None: detector_pose is not set; set detector_pose as a whole first"
    ):
        recipe(1, vary={"detector_pose.shift_mm": {"normal": [0, 1]}})


def test_a_recipe_that_gives_nothing_leaves_the_folder_to_a_better_one(tmp_path):
    with pytest.raises(nb.ConfigError, match="nothing acceptable"):
        generate(recipe(2, vary={"crystal.unit_cell.a": {"normal": [-50, 1]}}), tmp_path / "set")
    assert not (tmp_path / "set").exists()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/.hidden").write_text("mine")
    with pytest.raises(nb.ConfigError, match="nothing acceptable"):
        generate(recipe(2, vary={"crystal.unit_cell.a": {"normal": [-50, 1]}}), tmp_path / "empty")
    assert (tmp_path / "empty/.hidden").read_text() == "mine"
    assert generate(recipe(2), tmp_path / "set").complete
    with pytest.raises(nb.FileFormatError, match="another recipe"):
        generate(recipe(2, vary={"crystal.unit_cell.a": {"normal": [-50, 1]}}), tmp_path / "set")
    assert nb.data.verify(tmp_path / "set").good


def test_negative_cells_are_drawn_again_and_given_up():
    wide = experiment().replace("crystal.unit_cell", nb.UnitCell(79.1, 79.1, 37.9, 90, 90, 90))
    cells = [
        nb.data.drawn(recipe(40, base=wide, vary={"cell": {"c": 0.9}}), k).experiment.crystal.unit_cell.c
        for k in range(40)
    ]
    assert min(cells) > 0 and max(cells) > 37.9


def test_a_folder_of_another_recipe_is_left_alone(tmp_path):
    generate(recipe(2), tmp_path / "set")
    before = content(tmp_path / "set")
    with pytest.raises(nb.FileFormatError, match="holds the data set of another recipe; choose another folder"):
        generate(recipe(2, seed=4), tmp_path / "set", resume=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("mine")
    with pytest.raises(nb.FileFormatError, match="is not empty and holds no data set"):
        generate(recipe(2), tmp_path / "full")
    assert content(tmp_path / "set") == before and (tmp_path / "full/thesis.txt").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(nb.FileFormatError, match="cannot be made"):
        generate(recipe(2), tmp_path / "file")


def test_a_disk_that_is_too_small_is_told_before(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**6, 10**6 - 100, 100)
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(nb.FileFormatError, match=r"needs .* kB, and 100 B are free; make room"):
        generate(recipe(2), tmp_path / "set")
    assert not (tmp_path / "set").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of processes")
def test_a_disk_that_gets_full_leaves_what_goes_on(tmp_path):
    """Files of at most 12 kB stand for a full disk: shards fail, nothing half stays, and the rest is made later."""
    program = (
        "import resource, sys; sys.path.insert(0, sys.argv[2]); import nanobragg as nb\n"
        "from concurrent.futures import ThreadPoolExecutor\nfrom small_recipe import recipe\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (12000, 12000))\n"
        "with ThreadPoolExecutor(1) as executor: nb.data.generate(recipe(2), sys.argv[1], executor=executor)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "set"), os.path.dirname(__file__)],
        capture_output=True,
        text=True,
    )
    assert "cannot be written" in run.stderr and "--resume" in run.stderr, run.stderr
    assert not [path for path in (tmp_path / "set/shards").iterdir() if path.suffix in (".nxs", ".part", ".json")]
    assert generate(recipe(2), tmp_path / "set", resume=True).complete
    assert nb.data.verify(tmp_path / "set").good


def test_damage_is_found_and_mended(tmp_path):
    made = recipe(6)
    generate(made, tmp_path / "set")
    before = content(tmp_path / "set")
    shards = tmp_path / "set/shards"
    damaged = bytearray((shards / "shard_00001.nxs").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (shards / "shard_00001.nxs").write_bytes(damaged)
    (shards / "shard_00002.json").write_text("{")
    verdict = nb.data.verify(tmp_path / "set")
    assert not verdict.good and verdict.damaged.keys() == {1} and verdict.missing == (2,)
    assert "its checksum has changed" in str(verdict)
    said = []
    outcome = generate(made, tmp_path / "set", resume=True, say=said.append)
    assert outcome.frames == 4 and content(tmp_path / "set") == before
    assert any("is damaged" in line for line in said)


def test_a_data_set_of_another_version(tmp_path):
    generate(recipe(2), tmp_path / "set")
    description = json.loads((tmp_path / "set/dataset.json").read_text())
    later = {**description, "format": 2}
    (tmp_path / "set/dataset.json").write_text(json.dumps(later))
    with pytest.raises(nb.FileFormatError, match="knows recipes up to format 1"):
        nb.data.Dataset(tmp_path / "set")
    old = {**description, "pinned": {**description["pinned"], "nanobragg": "0.0.1"}}
    (tmp_path / "set/dataset.json").write_text(json.dumps(old))
    with pytest.raises(nb.BackendUnavailableError, match=r"is not the 0.0.1 that the data set was begun with"):
        generate(recipe(2), tmp_path / "set", resume=True)
    with pytest.raises(nb.FileFormatError, match="holds no data set"):
        nb.data.Dataset(tmp_path)


class Failing(ThreadPoolExecutor):
    """An executor whose workers fail."""

    def __init__(self, error):
        super().__init__(1)
        self.error = error

    def submit(self, *_, **__):
        future = Future()
        future.set_exception(self.error)
        return future


def test_workers_that_cannot_work(tmp_path):
    with pytest.raises(nb.BackendUnavailableError, match="a worker lacks a package: No module named 'nanobragg'"):
        nb.data.generate(
            recipe(2), tmp_path / "a", executor=Failing(ModuleNotFoundError("No module named 'nanobragg'"))
        )
    outcome = nb.data.generate(recipe(4), tmp_path / "b", executor=Failing(MemoryError("too much")))
    assert outcome.failed == {0: "MemoryError: too much", 1: "MemoryError: too much"} and not outcome.complete

    class KilledWorker(Exception):
        """As dask has it."""

    outcome = nb.data.generate(recipe(2), tmp_path / "c", executor=Failing(KilledWorker()))
    assert outcome.failed == {0: "its worker died"} and outcome.deaths == 2
    with pytest.raises(nb.ConfigError, match="must be an executor"):
        nb.data.generate(recipe(2), tmp_path / "d", executor=3)
    with pytest.raises(nb.ConfigError, match=r"part=\(4, 3\): must be \(i, n\)"):
        nb.data.generate(recipe(2), tmp_path / "d", part=(4, 3))
    with pytest.raises(nb.ConfigError, match=r"workers"):
        nb.data.generate(recipe(2), tmp_path / "d", workers=0)


def test_mpi_is_asked_for_by_name(tmp_path, monkeypatch):
    """The pool of mpi4py is an executor like any other; here a stand-in, as no MPI library is at hand."""

    class Futures:
        MPIPoolExecutor = staticmethod(lambda: ThreadPoolExecutor(1))

    monkeypatch.setattr(pools, "needed", lambda module, purpose: Futures)
    assert nb.data.generate(recipe(2), tmp_path / "set", executor=nb.data.mpi_pool()).complete

    def missing(module, purpose):
        raise RuntimeError("cannot load MPI library")

    monkeypatch.setattr(pools, "needed", missing)
    with pytest.raises(nb.BackendUnavailableError, match="no MPI library can be loaded"):
        nb.data.mpi_pool()


def test_an_unreachable_scheduler(monkeypatch):
    pytest.importorskip("distributed", reason="needs dask: pip install 'nanobragg[cluster]'")
    monkeypatch.setattr(pools, "_SECONDS", 1)
    with pytest.raises(nb.BackendUnavailableError, match=r"no dask scheduler answers at tcp://127.0.0.1:9"):
        nb.data.dask_pool("tcp://127.0.0.1:9")


def test_a_scheduler_file_that_tells_nothing(tmp_path):
    """Dask itself would wait for the file."""
    pytest.importorskip("distributed", reason="needs dask: pip install 'nanobragg[cluster]'")
    with pytest.raises(nb.FileFormatError, match=r"scheduler.json: cannot be read: No such file"):
        nb.data.dask_pool(str(tmp_path / "scheduler.json"))
    (tmp_path / "scheduler.json").write_text("{}")
    with pytest.raises(nb.FileFormatError, match=r"has no address; dask-scheduler --scheduler-file writes one"):
        nb.data.dask_pool(str(tmp_path / "scheduler.json"))


def test_memory_and_cores_decide_about_workers(monkeypatch):
    wanted = estimate.Expected(frames=100, frame_seconds=1.0, bytes=10, worker_bytes=10**9)
    monkeypatch.setattr(estimate, "available_cores", lambda: 8)
    monkeypatch.setattr(estimate, "_memory", lambda: 4 * 10**9)
    assert estimate.shares(wanted, None, None, 100) == (3, 2)
    assert estimate.shares(wanted, 8, None, 100) == (8, 1)
    assert estimate.shares(wanted, None, 2, 100) == (3, 2)
    monkeypatch.setattr(estimate, "_memory", lambda: 0)
    assert estimate.shares(wanted, None, None, 100) == (8, 1) and estimate.shares(wanted, None, None, 2) == (2, 4)


def test_the_end_of_a_run_is_heard_within_a_frame(tmp_path):
    class Set:
        is_set = staticmethod(lambda: True)

    worker._stop = Set
    try:
        layout = nb.data.generate  # a run that was asked to end makes nothing
        with pytest.raises(worker.Stopped):
            worker.heard()
        outcome = layout(recipe(2), tmp_path / "set", executor=ThreadPoolExecutor(1))
    finally:
        worker._stop = None
    assert outcome.failed and not list(Path(tmp_path / "set/shards").iterdir())
