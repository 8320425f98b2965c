"""The GPU mode of torch_speed.py: what a card reaches, and what a call costs that has little to do.

Wall times with the device waited for, every contender in its turn in every round, medians. The workloads are W1 and W2 of
docs/performance.md and W3 on its whole detector, also with 1000 domains, which is what rates are told for.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch_speed

import nanobragg as nb
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.errors import ConfigError

KINDS: dict[str, dict[str, Any]] = {
    "eager": {"kernel": "eager"},
    "triton": {"kernel": "triton"},
    "triton, mixed": {"kernel": "triton", "precision": "mixed"},
    "triton, mixed, f32x2": {"kernel": "triton", "precision": "mixed", "phase": "f32x2"},
}
"""What renders, by name."""
LARGEST_EAGER = 2 * 10**8
"""Evaluations that plain torch is asked for: beyond, it takes seconds a call."""
OPERATIONS = torch_speed.OPERATIONS
BATCH = 20
"""calls of a prepared image that are timed together"""


def workloads() -> dict[str, nb.Experiment]:
    """W1, W2, W3 on its whole detector, and W3 with 1000 domains."""
    found = torch_speed.workloads()
    whole = found["W3"].replace("sampling.roi", None)
    return found | {"W3": whole, "W3, 1000 domains": whole.replace("crystal.mosaic.n_domains", 1000)}


def synchronize(device: str) -> None:
    """Wait for what was launched."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def seconds(call: Callable[[], object], device: str) -> float:
    """Wall time of a call until its result is there."""
    synchronize(device)
    began = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - began


def on_device(call: Callable[[], object], device: str) -> float | None:
    """Seconds that the kernels of a call take on the device alone; None: not known."""
    if torch.device(device).type != "cuda":
        return None
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as found:
        call()
        synchronize(device)
    return float(sum(event.self_device_time_total for event in found.key_averages())) * 1e-6


def orientation_gradients(experiment: nb.Experiment, **options: Any) -> Callable[[], object]:
    """The image and the gradients of its sum by the three angles of the orientation."""
    misset = torch.tensor(experiment.get("crystal.misset_deg"), dtype=torch.float64, requires_grad=True)
    render = nb.prepare(experiment, backend="torch", **options)
    return lambda: torch.autograd.grad(render({"crystal.misset_deg": misset}).sum(), misset)


def turning(experiment: nb.Experiment, **options: Any) -> Callable[[], object]:
    """A prepared image with another orientation at every call."""
    render, step = nb.prepare(experiment, backend="torch", **options), iter(range(10**9))
    x, y, z = experiment.get("crystal.misset_deg")
    return lambda: render({"crystal.misset_deg": (x, y, z + 1e-4 * next(step))})


def contenders(experiment: nb.Experiment, device: str, kinds: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """What is timed, by (kind, task)."""
    large = derive(resolve(experiment)).evaluations > LARGEST_EAGER
    found: dict[tuple[str, str], Callable[[], object]] = {}
    for kind, chosen in kinds.items():
        options = {"device": device, **chosen}
        if large and kind == "eager":
            continue
        found[kind, "image"] = turning(experiment, **options)
        found[kind, "image and 12 gradients"] = torch_speed.gradients(experiment, **options)
        found[kind, "image and orientation"] = orientation_gradients(experiment, **options)
        found[kind, "Jacobian of 12"] = torch_speed.jacobian(experiment, **options)
    return found


def timed(experiment: nb.Experiment, device: str, rounds: int, kinds: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Evaluations, and median seconds and ratios to the image, by kind and task."""
    calls = contenders(experiment, device, kinds)
    times: dict[Any, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()  # compiles
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call, device))
    ratios = {
        (kind, task): statistics.median(a / b for a, b in zip(found, times[kind, "image"], strict=True))
        for (kind, task), found in times.items()
    }
    medians = {name: statistics.median(found) for name, found in times.items()}
    return {"evaluations": derive(resolve(experiment)).evaluations, "seconds": medians, "ratios": ratios}


def fixed(experiment: nb.Experiment, device: str, rounds: int, kinds: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """(ms of a prepared call with a new orientation, ms of it on the device or None), by kind."""
    found = {}
    for kind, chosen in kinds.items():
        call = turning(experiment, device=device, **chosen)
        call()

        def batch(call: Callable[[], object] = call) -> None:
            for _ in range(BATCH):
                call()

        each = statistics.median(seconds(batch, device) for _ in range(rounds)) / BATCH
        alone = on_device(call, device)
        found[kind] = (1e3 * each, None if alone is None else 1e3 * alone)
    return found


def accuracy(experiment: nb.Experiment, device: str, kinds: Mapping[str, dict[str, Any]]) -> dict[str, float]:
    """Largest difference from the C engine over the largest pixel, by kind."""
    exact = torch.from_numpy(nb.simulate(experiment))
    found = {}
    for kind, chosen in kinds.items():
        with contextlib.suppress(ConfigError):
            image = nb.simulate(experiment, backend="torch", device=device, **chosen).cpu().double()
            found[kind] = float((image - exact).abs().max() / exact.max())
    return found


def lines(
    experiments: Mapping[str, nb.Experiment], device: str, rounds: int, peak: float | None, kinds: Mapping[str, dict[str, Any]]
) -> Iterator[str]:  # fmt: skip
    """The report, as it comes: Markdown tables."""
    for name, experiment in experiments.items():
        found = timed(experiment, device, rounds, kinds)
        count = found["evaluations"]
        yield f"\n{name}: {count / 1e6:.4g} M evaluations\n"
        yield f"| kernel | task | ms | G evaluations/s |{' share of the peak |' if peak else ''} / image |"
        yield f"|---|---|---|---|{'---|' if peak else ''}---|"
        for (kind, task), each in found["seconds"].items():
            rate = count / each * 1e-9
            share = f" {100 * rate * OPERATIONS / 1000 / peak:.1f} % |" if peak else ""
            yield f"| {kind} | {task} | {1e3 * each:.3f} | {rate:.4g} |{share} {found['ratios'][kind, task]:.2f} |"
    first, experiment = next(iter(experiments.items()))
    yield f"\n{first}, prepared, with a new orientation\n"
    yield "| kernel | ms a call | of it on the device | largest error / maximum |"
    yield "|---|---|---|---|"
    errors = accuracy(experiment, device, kinds)
    for kind, (each, alone) in fixed(experiment, device, rounds, kinds).items():
        told = "-" if alone is None else f"{alone:.3f}"
        yield f"| {kind} | {each:.3f} | {told} | {errors[kind]:.1e} |"
