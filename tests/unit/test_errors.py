"""Errors travel: out of a pool of processes they come as they were raised."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from small import small

import nanobragg as nb

ERRORS = [
    nb.ConfigError("detector.distance_mm", -1.0, "must be > 0", "turn it round"),
    nb.ConfigError("beam", None, "is required"),
    nb.FileFormatError("a.hkl", "is empty", 3),
    nb.FileFormatError("a.hkl", "is empty"),
    nb.UsageError("-foo: unknown flag"),
    nb.CoreError("refused", -101),
    nb.BackendUnavailableError("needs PyTorch"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_pickle(error: nb.NanoBraggError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error) and vars(again) == vars(error)


def test_error_of_a_worker_process() -> None:
    wrong = small(goniometer=nb.Goniometer(n_steps=3))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.raises(nb.ConfigError, match=r"goniometer\.osc_deg=None: is required"):
            pool.submit(nb.simulate, wrong).result()
        assert pool.submit(nb.simulate, small()).result().shape == (12, 16)
