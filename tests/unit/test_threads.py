"""Threads that are kept: reused, alone in a forked process, harmless at the end, one in a worker; and how they can be ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade_scene import busy, corrected

from nanobragg import _core
from nanobragg.arrays import available_cores
from nanobragg.engines import c as backend_c
from nanobragg.engines.engine import CANCELLED, RenderOptions
from nanobragg.engines.threads import at_work, in_order
from nanobragg.errors import ConfigError, CoreError

HERE = str(Path(__file__).parent)


def on_threads(part: Any, items: list[int], n_threads: int = 2) -> list[Any]:
    return list(in_order(part, items, n_threads, _core.CancelFlag()))


def test_results_come_in_order() -> None:
    assert on_threads(lambda i: (time.sleep(0.01 * (i % 3 == 0)), i)[1], list(range(20)), 4) == list(range(20))
    assert on_threads(lambda i: i, []) == []


def test_threads_are_kept() -> None:
    def ran(_: int) -> int:
        return threading.get_ident()

    on_threads(ran, [0])
    before = threading.active_count()
    for _ in range(5):
        on_threads(ran, [0])
    assert threading.active_count() == before and at_work() == 0


def test_an_error_comes_out_and_ends_the_work() -> None:
    done = []

    def part(i: int) -> None:
        done.append(i)
        if i == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        on_threads(part, list(range(1000)), 1)
    assert done == [0, 1, 2, 3] and at_work() == 0


def test_a_run_within_a_run() -> None:
    """A callback may render."""
    image = backend_c.render(busy(), n_threads=1)
    inner: list[Any] = []
    backend_c.render(
        busy(), n_threads=2, block=100, progress=lambda *_: inner.append(backend_c.render(busy(), n_threads=2))
    )
    assert inner and all(np.array_equal(found, image) for found in inner)


def test_where_no_thread_can_start_the_caller_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    monkeypatch.setattr("nanobragg.engines.threads._idle", [])
    assert on_threads(lambda i: i * i, [1, 2, 3]) == [1, 4, 9]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    image = backend_c.render(busy(), n_threads=2)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(backend_c.render(busy(), n_threads=2), image) and at_work() == 0 else 1)
    assert os.waitpid(child, 0)[1] == 0


def run(code: str, **options: Any) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", f"import os, sys\nsys.path.insert(0, {HERE!r})\n{textwrap.dedent(code)}"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd="/", **options)


def in_a_worker(_: int) -> tuple[int, Any]:
    """What the worker of a pool finds."""
    return available_cores(), backend_c.render(busy())


def test_workers_use_one_core_each() -> None:
    process = run("""
        import multiprocessing
        from test_threads import available_cores, backend_c, busy, in_a_worker, np
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            cores, image = pool.apply(in_a_worker, (0,))
        print(cores, np.array_equal(image, backend_c.render(busy())), available_cores() == len(os.sched_getaffinity(0)))
    """)
    assert process.communicate(timeout=120)[0] == "1 True True\n"


def test_they_do_not_hold_up_the_end() -> None:
    """Neither idle ones nor a render in a last call."""
    process = run("""
        import atexit
        from test_threads import backend_c, busy
        atexit.register(lambda: print(backend_c.render(busy(), n_threads=2).any()))
        backend_c.render(busy(), n_threads=2)
    """)
    assert process.communicate(timeout=60)[0] == "True\n" and process.returncode == 0


def test_as_many_threads_as_there_is_work_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_c, "available_cores", lambda: 16)
    scene = busy()  # 288 evaluations a pixel

    def threads(n_pixels: int, kernel: str) -> int:
        return backend_c.shares(replace(scene, pixels=np.arange(n_pixels)), kernel)

    assert [threads(n, "simd-avx2") for n in (0, 100, 2000, 10**6)] == [1, 1, 2, 16]
    assert [threads(n, "scalar") for n in (0, 10, 100, 2000)] == [1, 1, 3, 16]


def large() -> Any:
    """Days of work in every pixel, with derivatives."""
    scene = corrected(n_fast=1000, n_slow=1000, pixels=np.arange(10**6), oversample=400, steps=1.6e8)
    return replace(scene, orientations=np.repeat(scene.orientations, 1000, axis=1), interpolation_off=(10**6, 0))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_derivatives_can_be_cancelled(n_threads: int) -> None:
    engine, scene = backend_c.CEngine(RenderOptions(n_threads=n_threads)), large()
    asked: list[None] = []

    def cancel() -> bool:
        asked.append(None)
        return len(asked) % 3 == 0

    calls = (
        lambda: engine.pull_back(scene, np.ones(scene.n_pixels), ["fluence"], cancel=cancel),
        lambda: engine.push_forward(scene, {"fluence": np.ones(1)}, cancel=cancel),
    )
    for call in calls:
        with pytest.raises(CoreError) as caught:
            call()
        assert caught.value.status == CANCELLED and at_work() == 0


def test_derivatives_tell_how_far_they_are() -> None:
    scene = busy(corrected)
    scene = replace(scene, orientations=np.repeat(scene.orientations, 100, axis=1))
    for n_threads in (1, 2):
        told: list[tuple[int, int]] = []
        engine = backend_c.CEngine(RenderOptions(n_threads=n_threads))
        engine.pull_back(scene, np.ones(scene.n_pixels), ["fluence"], progress=lambda *n, told=told: told.append(n))
        counts = [done for done, _ in told]
        assert len(counts) > 1 and counts == sorted(set(counts)) and told[-1] == (scene.n_pixels, scene.n_pixels)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize(
    "what", ["pull_back(scene, np.ones(10**6), ['fluence'])", "push_forward(scene, {'fluence': np.ones(1)})"]
)
def test_ctrl_c_ends_derivatives(what: str) -> None:
    process = run(f"""
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is deaf to it
        from test_threads import RenderOptions, backend_c, large, np
        engine, scene = backend_c.CEngine(RenderOptions(n_threads=1)), large()
        print("ready", flush=True)
        try:
            engine.{what}
        except KeyboardInterrupt:
            sys.exit(130)
    """)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()


def test_a_wrong_cotangent_is_told_from_a_thread() -> None:
    scene = busy(corrected)
    weights = np.ones(scene.n_pixels)
    weights[5] = np.inf
    with pytest.raises(ConfigError, match="must be finite everywhere"):
        backend_c.CEngine(RenderOptions(n_threads=2)).pull_back(scene, weights, ["fluence"])
