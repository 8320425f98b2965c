"""A random orientation whose seed is not typed: every word draws it once, says which it was, and records it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_runs import SMALL, Result

import nanobragg as nb

Run = Callable[..., Result]


@pytest.mark.parametrize("fidelity", ["reference", "corrected"])
def test_the_seed_is_said_and_repeats_the_run(run: Run, tmp_path: Path, fidelity: str) -> None:
    options = f"-nonoise -nopgm --fidelity {fidelity}"
    first = run(SMALL, options, "-misset random")
    said = re.search(
        r"drawn with seed (\d+); to have it again write (-misset_seed \1) before -misset random", first.err
    )
    assert first.status == 0 and said
    image = (tmp_path / "floatimage.bin").read_bytes()
    again = run(SMALL, options, said[2], "-misset random")
    assert again.status == 0 and not again.says("drawn with seed")
    assert again.out == first.out and (tmp_path / "floatimage.bin").read_bytes() == image
    other = run(SMALL, options, "-misset random")
    assert other.err != first.err and (tmp_path / "floatimage.bin").read_bytes() != image


def test_explain_reports_it(run: Run) -> None:
    text = run(f"explain -- {SMALL} -misset random").out
    assert re.search(r"crystal.misset_seed = \d+ +\(entropy from the system", text)
    assert "misset_seed" not in run(f"explain -- {SMALL} -misset_seed 5 -misset random").out.split("decided:")[1]


def test_one_orientation_on_both_sides_of_a_comparison(run: Run) -> None:
    pytest.importorskip("torch", reason="compares the engines: pip install '.[torch]'")
    assert run(f"trace --at 3 3 --versus torch -- {SMALL} -misset random").status == 0
    assert run(f"compare --backends c torch -- {SMALL} -misset random").status == 0


def test_the_seed_in_an_image_file_gives_the_image_again(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="writes NXmx: pip install '.[io]'")
    from nanobragg.exchange.images.provenance import read_provenance
    from nanobragg.exchange.toml_text import experiment_toml
    from nanobragg.io import read_image

    experiment = nb.Experiment.from_nanobragg_args(f"{SMALL} -misset random".split())
    drawn = f"misset_seed = {experiment.crystal.orientation_seed}\n"
    text = experiment_toml(experiment)
    assert drawn in text  # what was drawn is kept
    (tmp_path / "random.toml").write_text(text.replace(drawn, "") + "\n[run]\nnoise = false\noutput = 'image.nxs'\n")
    done = run("run random.toml")
    assert done.status == 0, done.err
    seed = read_provenance(tmp_path / "image.nxs")["experiment"]["crystal"]["misset_seed"]
    assert done.says(f"set crystal.misset_seed={seed}")
    again = nb.simulate(experiment.replace("crystal.misset_seed", seed))
    assert np.array_equal(read_image(tmp_path / "image.nxs"), again.astype(np.float32))
