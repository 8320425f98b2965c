"""The examples in the docstrings work as written."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import nanobragg


def modules() -> Iterator[ModuleType]:
    """Every module of the package; the torch engine when torch is there."""
    yield nanobragg
    for info in pkgutil.walk_packages(nanobragg.__path__, "nanobragg.", onerror=lambda name: None):
        if info.name == "nanobragg.__main__":
            continue
        try:
            yield importlib.import_module(info.name)
        except ImportError:
            assert info.name.startswith("nanobragg.torch_backend"), info.name


def test_examples(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen = set()
    for module in modules():
        for test in doctest.DocTestFinder().find(module):
            told: list[str] = []
            flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
            result = doctest.DocTestRunner(optionflags=flags).run(test, out=told.append)
            assert result.failed == 0, "".join(told)
            seen |= {test.name} if result.attempted else set()
    assert {"nanobragg", "nanobragg.derivation.rng.LegacyRandom"} <= seen
