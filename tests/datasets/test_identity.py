"""The same data set, byte for byte, whoever makes it and whatever happens on the way."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from small_recipe import content, recipe

import nanobragg as nb

pytest.importorskip("h5py", reason="needs h5py: pip install 'nanobragg[data]'")
pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'nanobragg[data]'")

N, PIXELS = (int(os.environ.get(f"NANOBRAGG_{name}", usual)) for name, usual in (("FRAMES", 12), ("PIXELS", 64)))
"""Frames, and pixels of an edge; larger data sets by hand. Measured with 60 frames of 256 x 256: all the same."""
TRIES = int(os.environ.get("NANOBRAGG_KILLS", "2"))
"""Kills of a worker, and of a whole run; more of them by hand."""


@pytest.fixture(scope="module")
def made():
    return recipe(N, labels=("spots",), extras=("bragg",), n_pixels=PIXELS)


@pytest.fixture(scope="module")
def right(made, tmp_path_factory):
    """Content of the data set as a single thread makes it."""
    folder = tmp_path_factory.mktemp("right") / "set"
    with ThreadPoolExecutor(1) as executor:
        assert nb.data.generate(made, folder, executor=executor).complete
    return content(folder)


def test_two_processes(made, right, tmp_path):
    outcome = nb.data.generate(made, tmp_path / "set", workers=2)
    assert outcome.complete and outcome.frames == N and not outcome.deaths
    assert content(tmp_path / "set") == right


def test_parts_in_any_order(made, right, tmp_path):
    for i in (3, 1, 2):
        with ThreadPoolExecutor(1) as executor:
            outcome = nb.data.generate(made, tmp_path / "set", executor=executor, part=(i, 3))
        assert outcome.frames == N // 3 and outcome.complete == (i == 2)
    assert content(tmp_path / "set") == right


def test_threads_of_a_frame_change_nothing(made):
    one, two = (nb.data.frame(made, 3, n_threads=n) for n in (1, 2))
    assert one.counts.tobytes() == two.counts.tobytes() and one.spots.tobytes() == two.spots.tobytes()


def test_who_looks_on_changes_nothing(made, right, tmp_path):
    """A profiler, such as that of dask's workers, keeps frames and what they hold alive; the layout of a file does not follow."""
    kept, over = [], threading.Event()

    def look():
        while not over.wait(1e-3):
            kept.extend(sys._current_frames().values())

    eye = threading.Thread(target=look)
    eye.start()
    try:
        with ThreadPoolExecutor(1) as executor:
            assert nb.data.generate(made, tmp_path / "set", executor=executor).complete
    finally:
        over.set()
        eye.join()
    assert content(tmp_path / "set") == right


@pytest.mark.slow
def test_dask(made, right, tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs dask: pip install 'nanobragg[cluster]'")
    from nanobragg.datasets.execution.pools import dask_pool

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=tmp_path / "dask"
    ) as cluster:
        outcome = nb.data.generate(made, tmp_path / "set", executor=dask_pool(cluster.scheduler_address))
    assert outcome.complete and content(tmp_path / "set") == right


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="interrupts are sent in another way there")
def test_an_interrupt_ends_a_run_cleanly(made, right, tmp_path):
    """No process, no half file; the run goes on."""
    (tmp_path / "run.py").write_text(
        "import signal, sys; sys.path.insert(0, sys.argv[2]); import nanobragg as nb\n"
        "from small_recipe import recipe\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background\n"
        f"    made = recipe({N}, labels=('spots',), extras=('bragg',), n_pixels={PIXELS})\n"
        "    try: nb.data.generate(made, sys.argv[1], workers=2, say=print)\n"
        "    except KeyboardInterrupt: print('interrupted')\n"
    )
    folder = tmp_path / "set"
    command = [sys.executable, "-u", str(tmp_path / "run.py"), str(folder), os.path.dirname(__file__)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        while run.poll() is None and not list(folder.glob("shards/*.json")):
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        said, _ = run.communicate(timeout=200)
    assert said.endswith("interrupted\n") and run.returncode == 0
    assert not [path for path in folder.rglob(".*") if path.name.startswith((".shard", ".nanobragg", ".beat"))]
    with ThreadPoolExecutor(1) as executor:
        assert nb.data.generate(made, folder, executor=executor, resume=True).complete
    assert content(folder) == right


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_worker_costs_its_shard_only(made, right, tmp_path):
    """Measured: 20 of 20 runs complete and the same, with NANOBRAGG_KILLS=20.

    A run that was over before its worker could be killed does not count, and another one is tried."""
    deadly = 0
    for attempt in range(20 * TRIES):
        chance, killed, said = random.Random(attempt), [], []
        target, pick = chance.randrange(N), chance.random()

        def kill(done, total, target=target, pick=pick, killed=killed):
            workers = sorted(child.pid for child in multiprocessing.active_children())
            if done >= target and workers and not killed:
                killed.append(workers[int(pick * len(workers))])
                os.kill(killed[0], signal.SIGKILL)

        folder = tmp_path / str(attempt)
        outcome = nb.data.generate(made, folder, workers=2, progress=kill, say=said.append)
        print(f"{attempt}: killed after {target} frames; {outcome}")
        assert outcome.complete and not outcome.failed
        assert content(folder) == right
        assert outcome.deaths == sum("its worker died" in line for line in said)
        deadly += bool(killed)
        if deadly == TRIES:
            break
    assert deadly == TRIES


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_run_goes_on(made, right, tmp_path):
    """Measured: 20 of 20 runs complete and the same, with NANOBRAGG_KILLS=20."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[2]); import nanobragg as nb\n"
        "from small_recipe import recipe\n"
        "if __name__ == '__main__':\n"
        f"    nb.data.generate(recipe({N}, labels=('spots',), extras=('bragg',), n_pixels={PIXELS}), sys.argv[1], workers=2)\n"
    )
    script = tmp_path / "run.py"
    script.write_text(program)
    for attempt in range(TRIES):
        chance, folder = random.Random(attempt), tmp_path / str(attempt)
        command = [sys.executable, str(script), str(folder), os.path.dirname(__file__)]
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        target = chance.randrange(N // 2)
        while run.poll() is None and len(list(folder.glob("shards/*.json"))) < target:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.5))
        run.send_signal(signal.SIGKILL)
        run.wait()
        there = len(list(folder.glob("shards/*.json")))
        with ThreadPoolExecutor(1) as executor:
            outcome = nb.data.generate(made, folder, executor=executor, resume=True)
        print(f"{attempt}: killed with {there} of {N // 2} shards; {outcome}")
        assert outcome.complete and content(folder) == right
