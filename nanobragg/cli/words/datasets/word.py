"""`nanoBragg dataset`: images by the thousand from one recipe; `dataset info` and `dataset verify` look at one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from nanobragg.cli.said import complain
from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.datasets.execution.estimate import expected
from nanobragg.datasets.execution.generate import generate
from nanobragg.datasets.execution.pools import dask_pool, mpi_pool
from nanobragg.datasets.execution.preview import drawn_table, preview
from nanobragg.datasets.reading.check import summary, verify
from nanobragg.datasets.recipe.files import read_recipe
from nanobragg.datasets.recipe.recipe import Recipe
from nanobragg.errors import NanoBraggError, UsageError

_LOOKS = ("info", "verify")


def run_dataset(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = Words("dataset", "Make a data set from a recipe: images with their truth, on any number of workers. "
                    "nanoBragg dataset info PATH and nanoBragg dataset verify PATH look at one.")  # fmt: skip
    options.add_argument(
        "file", metavar="RECIPE", help="TOML; or info, or verify, with the folder of a data set behind it"
    )
    options.add_argument("path", nargs="?", metavar="PATH", help="of info and verify: the data set")
    options.add_argument("-o", "--output", metavar="FOLDER", help="where it goes (default: the name of the recipe)")
    options.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", dest="changes",
                         help="replace a value of the recipe, as dataset.seed=2; may be repeated")  # fmt: skip
    options.add_argument("-n", "--n-images", type=int, metavar="N", help="in place of dataset.n_images")
    options.add_argument("--preview", nargs="?", type=int, const=16, metavar="N",
                         help="make N frames (16), write a contact sheet and what was drawn, and stop")  # fmt: skip
    options.add_argument(
        "--resume", action="store_true", help="go on with what is there; damaged shards are made again"
    )
    options.add_argument("--shard", metavar="I/N", help="the I-th of N parts, for job arrays; all into one folder")
    options.add_argument("--workers", type=int, metavar="N", help="processes (default: as cores and memory allow)")
    options.add_argument(
        "--threads", type=int, metavar="N", help="of each worker (default: so that cores are used once)"
    )
    options.add_argument("--dask", metavar="ADDRESS", help="workers of a dask scheduler, tcp://host:8786 or its file")
    options.add_argument("--mpi", action="store_true", help="workers of mpi4py.futures")
    options.add_argument(
        "--again", type=int, default=0, metavar="N", help="of verify: frames made again and compared (%(default)s)"
    )
    return carried_out(_dataset, options, args)


def _dataset(typed: Any) -> int:
    if typed.file in _LOOKS and not os.path.exists(typed.file):
        return _look(typed)
    if typed.path is not None:
        raise UsageError(
            f"dataset: {typed.path}: which is the recipe? A PATH follows info or verify; write -o {typed.path}"
        )
    changes = list(typed.changes)
    if typed.n_images is not None:
        changes.append(f"dataset.n_images={typed.n_images}")
    recipe = read_recipe(typed.file, changes)
    folder = typed.output or os.path.splitext(os.path.basename(typed.file))[0]
    if typed.preview is not None:
        return _preview(recipe, typed.preview, f"{folder}_preview.png")
    return _make(typed, recipe, folder)


def _look(typed: Any) -> int:
    if typed.path is None:
        raise UsageError(f"dataset {typed.file}: which data set? Write its folder behind it")
    if typed.file == "info":
        sys.stdout.write(summary(typed.path) + "\n")
        return 0
    found = verify(typed.path, again=typed.again)
    sys.stdout.write(f"{found}\n")
    if not found.good:
        raise NanoBraggError(f"{typed.path}: is not as it should be")
    return 0


def _preview(recipe: Recipe, n: int, path: str) -> int:
    sys.stdout.write(drawn_table(preview(recipe, path, n)) + "\n")
    sys.stdout.write(f"{path}\nall of it: {expected(recipe, recipe.settings.n_images)}\n")
    return 0


def _make(typed: Any, recipe: Recipe, folder: str) -> int:
    if typed.dask and typed.mpi:
        raise UsageError("dataset: --dask and --mpi are two ways to find workers; write one of them")
    part = _part(typed.shard)
    executor = dask_pool(typed.dask) if typed.dask else mpi_pool() if typed.mpi else None
    outcome = generate(
        recipe, folder, executor=executor, workers=typed.workers, n_threads=typed.threads, part=part, resume=typed.resume,
        progress=True, say=complain,
    )  # fmt: skip
    sys.stdout.write(f"{folder}: {outcome}\n")
    if outcome.failed:
        first, reason = next(iter(outcome.failed.items()))
        raise NanoBraggError(
            f"{folder}: {len(outcome.failed)} shards failed, the first is {first}: {reason}; go on with --resume"
        )
    return 0


def _part(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"dataset: --shard {text}: must look like 3/10")
    return int(found[1]), int(found[2])
