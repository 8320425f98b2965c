"""Data sets: frames a second, where the time goes, memory, how far a master's work reaches, and a DataLoader.

    python benchmarks/datasets.py throughput [--frames 1000] [--workers 2] [--pixels 1024] [--alone 100]
    python benchmarks/datasets.py scheduler [--shards 1000] [--workers 1000] [--dask]
    python benchmarks/datasets.py loader [--frames 200] [--workers 2]

throughput: a million pixels, 20 wavelengths, 20 mosaic domains, background, noise; `--frames` once with `--workers`, `--alone`
with one. scheduler: shards that do nothing, handed out to so many workers: what the master spends on each, and with how many
workers it would have no time left. loader: stored frames through a DataLoader.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import nanobragg as nb
from nanobragg.datasets.execution import generate as run
from nanobragg.datasets.execution.pools import Given
from nanobragg.datasets.execution.worker import Report, Task
from nanobragg.datasets.output.layout import Folder
from nanobragg.datasets.output.shard import Made


def recipe(n_images: int, pixels: int, shard_size: int) -> nb.data.Recipe:
    """Stills of a million pixels with a spectrum, mosaicity, background and noise."""
    experiment = nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(79.1, 79.1, 37.9, 90, 90, 90), n_cells=(30, 30, 60), shape="gauss", volume_mm3=1e-7,
            mosaic=nb.Mosaic(model="gaussian", spread_deg=0.1, n_domains=20),
            structure_factors=nb.StructureFactors.constant(100.0),
        ),
        beam=nb.Beam(energy_ev=9500.0, fluence_per_m2=1e22, spectrum=nb.Spectrum(kind="sase", n_wavelengths=20)),
        detector=nb.Detector(n_fast=pixels, n_slow=pixels, pixel_size_mm=0.11 * 1024 / pixels, distance_mm=120.0),
        sampling=nb.Sampling(oversample=1), background=nb.Background(components=nb.Amorphous(table="water", thickness_mm=0.01)),
    )  # fmt: skip
    vary = {
        "orientation": "random",
        "cell": {"a": 0.002, "b": 0.002, "c": 0.002},
        "crystal.volume_mm3": {"lognormal": [1e-7, 0.5]},
    }
    settings = nb.data.DatasetSettings(n_images=n_images, shard_size=shard_size, d_min_angstrom=2.0)
    return nb.data.Recipe(experiment=experiment, vary=vary, settings=settings)


def throughput(typed: argparse.Namespace) -> None:
    """Frames a second, with several workers and with one, and the CPU time of the steps."""
    rates = {}
    for workers, frames in ((typed.workers, typed.frames), (1, typed.alone)):
        made = recipe(frames, typed.pixels, max(1, min(25, frames // (2 * workers))))
        with tempfile.TemporaryDirectory() as folder:
            outcome = nb.data.generate(made, Path(folder) / "set", workers=workers, n_threads=1)
            reports = outcome.reports
            steps: dict[str, float] = {}
            for report in reports:
                for name, seconds in report.made.cpu_seconds.items():
                    steps[name] = steps.get(name, 0.0) + seconds
            stored = sum(report.made.bytes for report in reports)
        cpu = sum(steps.values())
        rates[workers] = frames / outcome.seconds
        share = ", ".join(f"{name} {1000 * seconds / frames:.1f}" for name, seconds in steps.items())
        print(f"{frames} frames of {typed.pixels}^2, {workers} workers: {rates[workers]:.3g} a second")
        print(f"  {frames / cpu:.3g} a second of CPU time")
        print(f"  CPU [ms] a frame: {share}; {stored / frames / 1e6:.2f} MB a frame")
        print(f"  most memory of a worker: {max(report.peak_bytes for report in reports) / 1e6:.0f} MB")
    if typed.workers > 1 and typed.alone:
        print(f"{typed.workers} workers are {rates[typed.workers] / rates[1]:.2f} times as fast as one")
    _packing(typed.pixels)


def _packing(pixels: int) -> None:
    """Compression alone, in memory."""
    import numpy as np

    from nanobragg.datasets.execution.estimate import packed_bytes

    counts = nb.data.frame(recipe(1, pixels, 1), 0, n_threads=1).counts
    for name in ("bitshuffle-lz4", "gzip", "none"):
        begin = time.process_time()
        size = packed_bytes([np.asarray(counts)], name)
        print(f"  {name}: {1000 * (time.process_time() - begin):.1f} ms, {size / 1e6:.2f} MB")


class Idle:
    """An executor whose workers, so many, are done at once: all time is the master's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def submit(self, _: Any, task: Task) -> Future[Any]:
        """A shard that took no time."""
        future: Future[Any] = Future()
        future.set_result(Report(Made(task.number, 1, {"render": 0.0}, 0, 0), 0.0, "host", 1, 0))
        return future


def scheduler(typed: argparse.Namespace) -> None:
    """The master's work for a shard, and how many workers it would keep busy."""
    with tempfile.TemporaryDirectory() as place:
        layout = Folder(Path(place) / "set")
        made = recipe(typed.shards, 64, 1)
        layout.begin(made, {})
        tasks = [Task(str(layout.folder), k, {}, 1) for k in range(typed.shards)]
        begin = time.process_time()
        loop = run._Run(
            layout, Given(Idle(layout.folder)), tasks, dict.fromkeys(range(typed.shards), 1), None, lambda _: None
        )  # type: ignore[arg-type]
        loop.all(None)
        own = (time.process_time() - begin) / typed.shards
        found = {"the run alone": own}
        begin = time.process_time()
        for k in range(typed.shards):
            layout.trouble(k)
        found["looking for each shard at the start and the end"] = 2 * (time.process_time() - begin) / typed.shards
        loop.running = dict.fromkeys((Future() for _ in range(typed.workers)), tasks[0])
        begin = time.process_time()
        loop.frames_done()
        polled, each = time.process_time() - begin, run.poll_seconds(typed.workers)
        print(f"asking {typed.workers} workers how far they are: {1000 * polled:.1f} ms, at most every {each:g} s")
        if typed.dask:
            found["dask, 1 worker that does nothing"] = _dask(typed.shards)
    total = sum(found.values())
    for name, seconds in found.items():
        print(f"{name}: {1e6 * seconds:.0f} us of CPU a shard")
    for minutes in (0.1, 1.0, 10.0):
        print(f"shards of {minutes:g} min: the master would have no time left with {60 * minutes / total:.3g} workers; "
              f"with {typed.workers} it is busy {100 * typed.workers * total / (60 * minutes):.2g} % of the time")  # fmt: skip


def _dask(shards: int) -> float:
    """CPU seconds of client and scheduler in this process for a task."""
    import distributed

    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            list(client.get_executor(pure=False).map(_nothing, range(50)))
            begin = time.process_time()
            pending = deque(client.get_executor(pure=False).submit(_nothing, k) for k in range(shards))
            while pending:
                pending.popleft().result()
            return (time.process_time() - begin) / shards


def _nothing(k: int) -> int:
    return k


def loader(typed: argparse.Namespace) -> None:
    """Frames a second out of a DataLoader, by number and as a stream."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        nb.data.generate(recipe(typed.frames, typed.pixels, 25), Path(folder) / "set")
        kinds: Iterable[Any] = (
            nb.data.TorchFrames(Path(folder) / "set"),
            nb.data.TorchStream(Path(folder) / "set", seed=1),
        )
        for kind in kinds:
            for workers in (0, typed.workers):
                begin, n = time.perf_counter(), 0
                for batch in torch.utils.data.DataLoader(kind, batch_size=5, num_workers=workers):
                    n += len(batch["counts"])
                seconds = time.perf_counter() - begin
                print(
                    f"{type(kind).__name__}, {workers} workers: {n} frames of {typed.pixels}^2, {n / seconds:.3g} a second"
                )
        device = "cuda" if torch.cuda.is_available() else "cpu"
        backend = {"backend": "torch", "device": "cuda"} if device == "cuda" else {}
        simulated = nb.data.SimulatedFrames(recipe(8, typed.pixels, 8), **backend)
        begin = time.perf_counter()
        for k in range(8):
            simulated[k]
        print(f"SimulatedFrames on {device}: {8 / (time.perf_counter() - begin):.3g} a second")


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("throughput", "scheduler", "loader"))
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--alone", type=int, default=100, help="frames with one worker")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pixels", type=int, default=1024, help="of an edge")
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--dask", action="store_true", help="also through a scheduler of dask")
    typed = parser.parse_args()
    print(json.dumps(vars(typed)))
    {"throughput": throughput, "scheduler": scheduler, "loader": loader}[typed.what](typed)


if __name__ == "__main__":
    main()
