"""Data sets for torch: the workers of a DataLoader see every frame once, and the frames that are stored."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from small_recipe import recipe

import nanobragg as nb

torch = pytest.importorskip("torch", reason="needs torch: pip install 'nanobragg[torch]'")
pytest.importorskip("h5py", reason="needs h5py: pip install 'nanobragg[data]'")
pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'nanobragg[data]'")
N = 8


@pytest.fixture(scope="module")
def made():
    return recipe(N, labels=("spots",), n_pixels=48)


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("torch") / "set"
    with ThreadPoolExecutor(1) as executor:
        nb.data.generate(made, folder, executor=executor)
    return folder


def loaded(dataset, **options):
    return list(torch.utils.data.DataLoader(dataset, batch_size=None, **options))


@pytest.mark.parametrize("workers", [0, 2])
def test_by_number(folder, workers):
    data = nb.data.Dataset(folder)
    data.counts(0)  # files are open when the workers are made
    frames = nb.data.TorchFrames(folder, ("counts", "label_spots"), ("frame", "cell", "photons"))
    assert frames[3]["counts"].dtype == torch.int32
    found = loaded(frames, num_workers=workers)
    assert [int(item["frame"]) for item in found] == list(range(N))
    for i, item in enumerate(found):
        np.testing.assert_array_equal(item["counts"].numpy(), data.counts(i))
        np.testing.assert_array_equal(item["label_spots"].numpy(), data.image("label_spots", i))
        assert item["photons"].item() == data.truth["photons"][i]


@pytest.mark.parametrize("workers", [0, 2])
def test_as_a_stream(folder, workers):
    stream = nb.data.TorchStream(folder, truth=("frame",), seed=5)
    orders = []
    for epoch in (0, 1):
        stream.set_epoch(epoch)
        orders.append([int(item["frame"]) for item in loaded(stream, num_workers=workers)])
        assert sorted(orders[-1]) == list(range(N))
    assert orders[0] != orders[1]
    plain = nb.data.TorchStream(folder, truth=("frame",))
    assert sorted(int(item["frame"]) for item in loaded(plain, num_workers=workers)) == list(range(N))


def test_while_it_is_read(made, folder):
    data = nb.data.Dataset(folder)
    frames = nb.data.SimulatedFrames(made, ("counts", "label_spots"), ("photons",))
    for i, item in enumerate(loaded(frames, num_workers=0)):
        np.testing.assert_array_equal(item["counts"].numpy(), data.counts(i))
        np.testing.assert_array_equal(item["label_spots"].numpy(), data.image("label_spots", i))
        assert item["photons"].item() == data.truth["photons"][i]


def test_by_the_torch_engine(made):
    """On whatever device there is; photons agree with the C engine's to 1e-9 of all."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    frames = nb.data.SimulatedFrames(made, truth=("photons",), backend="torch", device=device, kernel="auto")
    hit = next(k for k in range(N) if nb.data.drawn(made, k).kind == "hit")
    reference = nb.data.frame(made, hit)
    assert frames[hit]["photons"].item() == pytest.approx(reference.numbers["photons"], rel=1e-9)


def test_names_that_are_not_there(folder):
    with pytest.raises(nb.ConfigError, match=r"label_spot'.*did you mean label_spots"):
        nb.data.TorchFrames(folder, ("label_spot",))
    with pytest.raises(nb.ConfigError, match="did you mean photons"):
        nb.data.TorchFrames(folder, truth=("photon",))
