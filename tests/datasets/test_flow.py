"""A recipe becomes frames, frames become shards, and the reader gives them back."""

from __future__ import annotations

import numpy as np
import pytest
from small_recipe import content, recipe

import nanobragg as nb

pytest.importorskip("h5py", reason="needs h5py: pip install 'nanobragg[data]'")
pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'nanobragg[data]'")


def test_from_recipe_to_reader_and_resume(tmp_path):
    made = recipe(4, labels=("spots", "lattices"), extras=("bragg", "expected"))
    outcome = nb.data.generate(made, tmp_path / "a", workers=1)
    assert outcome.complete and outcome.frames == 4 and not outcome.failed
    data = nb.data.Dataset(tmp_path / "a")
    assert len(data) == 4 and data.complete and data.recipe.digest == made.digest
    for k in range(4):
        alone = nb.data.frame(made, k)
        stored = data[k]
        np.testing.assert_array_equal(stored.counts, alone.counts)
        np.testing.assert_array_equal(stored.spots, alone.spots)
        for name in data.images:
            np.testing.assert_array_equal(data.image(name, k), alone.images[name][0])
        assert stored.truth["kind"] == alone.drawn.kind == data.truth["kind"][k]
        assert stored.truth["photons"] == alone.numbers["photons"]
    before = content(tmp_path / "a")
    (tmp_path / "a/shards/shard_00001.json").unlink()
    with pytest.raises(nb.FileFormatError, match="--resume"):
        nb.data.generate(made, tmp_path / "a", workers=1)
    again = nb.data.generate(made, tmp_path / "a", workers=1, resume=True)
    assert again.frames == 2 and content(tmp_path / "a") == before
