"""How many threads torch works with: few enough that a busy machine does not make them wait for each other."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nanobragg.torch_backend import function  # noqa: E402
from small import small  # noqa: E402

import nanobragg as nb  # noqa: E402


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Threads of torch in every sweep of the sum; torch itself has three."""
    found: list[int] = []

    def watched(of: Any, name: str) -> None:
        original = getattr(of, name)

        def counting(*args: Any, **options: Any) -> Any:
            found.append(torch.get_num_threads())
            return original(*args, **options)

        monkeypatch.setattr(of, name, counting)

    watched(function, "render")
    watched(function.sweep, "pull_back")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield found
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("options", "threads"),
    [({}, 1), ({"n_threads": 2}, 2), ({"n_threads": 8}, 3), ({"memory_budget": 10**9}, 3)],
    ids=["default", "asked for", "more than there are", "large blocks"],
)
def test_small_blocks_are_worked_on_by_one_thread(seen: list[int], options: dict[str, int], threads: int) -> None:
    leaf = torch.tensor((10.0, 20.0, 30.0), dtype=torch.float64, requires_grad=True)
    experiment = small().replace("crystal.misset_deg", leaf)
    nb.simulate(experiment, backend="torch", kernel="eager", **options).sum().backward()
    assert leaf.grad is not None and seen == [threads, threads]
