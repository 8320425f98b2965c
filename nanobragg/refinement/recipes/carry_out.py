"""A recipe carried out: images found, every image refined alone or all together, results written."""

from __future__ import annotations

import glob
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.config.image_chain.mask import Mask
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import ConfigError
from nanobragg.exchange.experiment_files import to_toml
from nanobragg.exchange.geometry_files import read_geometry, write_geometry
from nanobragg.exchange.images.numbered_files import frame_path
from nanobragg.exchange.toml_text import experiment_toml
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.spots.comma import write_csv
from nanobragg.io.spots.parquet import write_parquet
from nanobragg.lazy import dataclass
from nanobragg.refinement.amplitudes import AmplitudeRefinement, refine_amplitudes
from nanobragg.refinement.checkpoint import kept, key_of
from nanobragg.refinement.indexing import index
from nanobragg.refinement.recipes.tables import RefinePlan, RefineRecipe, usual_paths
from nanobragg.refinement.refine import refine
from nanobragg.refinement.results.measured import measured
from nanobragg.refinement.results.result import Refinement
from nanobragg.refinement.shared import SharedRefinement, refine_shared
from nanobragg.refinement.spread import spread
from nanobragg.refinement.variables.crystals import Lattice
from nanobragg.refinement.variables.freed import AMPLITUDES, SIGMA

Told = Callable[[str, int, int], object]


@dataclass(frozen=True, eq=False)
class RefineOutcome:
    """What a recipe gave."""

    images: tuple[str, ...]
    refinements: tuple[Refinement, ...]
    """of every image alone"""
    together: SharedRefinement | None = None
    """where numbers are shared"""
    amplitudes: AmplitudeRefinement | None = None
    """where structure factors are"""

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        """The refined ones, one for each image."""
        shared = self.together or self.amplitudes
        return tuple(r.experiment for r in self.refinements) if shared is None else shared.experiments

    def columns(self) -> dict[str, Any]:
        """All values with their errors as columns: image, name, unit, start, refined, error."""
        rows = []
        if self.amplitudes is not None:
            own = self.amplitudes
            for i, image in enumerate(self.images):
                values = zip(own.names, own.units, own.start[i], own.estimate[i], own.own_error[i], strict=True)
                rows += [(image, *row) for row in values]
        for image, found in zip(self.images, self.refinements, strict=True):
            rows += [
                (image, *row) for row in _rows(found)
                if self.amplitudes is None and (self.together is None or row[0] not in self.together.names)
            ]  # fmt: skip
        if self.together is not None:
            rows += [("all", *row) for row in _rows(self.together)]
        names = ("image", "name", "unit", "start", "refined", "error")
        return {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _rows(found: Refinement | SharedRefinement) -> list[tuple[Any, ...]]:
    errors = np.sqrt(np.diag(found.covariance))
    return list(zip(found.names, found.units, found.start, found.estimate, errors, strict=True))


def images_of(plan: RefinePlan) -> list[str]:
    """The names of the images, patterns written out.

    Raises
    ------
    ConfigError
        For a pattern that finds nothing, and a name twice.
    """
    found: list[str] = []
    for name in plan.recipe.images:
        path = plan.path(name)
        names = sorted(glob.glob(path)) if glob.has_magic(name) and not os.path.exists(path) else [path]
        if not names:
            raise ConfigError(
                "refine.images", name, "finds no file", "look at the folder; names are relative to the recipe"
            )
        found += names
    for name in found:
        if found.count(name) > 1:
            raise ConfigError("refine.images", name, "stands twice in the list")
    return found


def outputs_of(plan: RefinePlan, n_images: int, names: Sequence[str] = ()) -> dict[str, str]:
    """What will be written, by name of the file: "values", "amplitudes", or of an image, from 1, "experiment 3", "report 1" ...

    Parameters
    ----------
    plan : RefinePlan
        Whose ``[refine.output]`` counts.
    n_images : int
        Of several images the names are numbered; the table of values is one for all, and so are structure factors that are
        shared.
    names : sequence of str, optional
        In place of those of the plan; the suffix says what is meant.

    Raises
    ------
    ConfigError
        For a file of structure factors where they are not refined.
    """
    output, recipe = plan.recipe.output, plan.recipe
    common = AMPLITUDES in recipe.shared
    refined = common or AMPLITUDES in recipe.parameters
    wanted = [
        (kind, plan.path(getattr(output, kind)))
        for kind in _KINDS if getattr(output, kind) and (kind != "amplitudes" or refined)
    ]  # fmt: skip
    found: dict[str, str] = {}
    for kind, path in [(_kind_of(name), name) for name in names] or wanted:
        if kind == "amplitudes" and not refined:
            raise ConfigError("output", path, "is a file of structure factors, which are not refined",
                              f"name {AMPLITUDES} among what is refined or shared")  # fmt: skip
        if kind == "values" or (kind == "amplitudes" and common):
            found[path] = kind
        else:
            numbered = [path] if n_images == 1 else [frame_path(path, i + 1) for i in range(n_images)]
            found |= {name: f"{kind} {i + 1}" for i, name in enumerate(numbered)}
    return found


_STEPS = 100
"""Of L-BFGS for structure factors at least, as `refine_amplitudes` has it."""
_KINDS = ("experiment", "values", "report", "spots", "amplitudes")


def _kind_of(name: str) -> str:
    """What the suffix of a file says."""
    suffix = os.path.splitext(name)[1].lower()
    kinds = {
        ".csv": "values",
        ".parquet": "values",
        ".html": "report",
        ".refl": "spots",
        ".stream": "spots",
        ".cxi": "spots",
        ".hkl": "amplitudes",
        ".mtz": "amplitudes",
    }
    return kinds.get(suffix, "experiment")


def carry_out(
    plan: RefinePlan, progress: Told | None = None, cancel: Callable[[], bool] | None = None
) -> RefineOutcome:
    """Refine what a recipe says.

    Parameters
    ----------
    plan : RefinePlan
        From `read_recipe`.
    progress : callable, optional
        Receives (stage, done, of how many).
    cancel : callable, optional
        As for `refine`, where one image is refined.

    Returns
    -------
    RefineOutcome

    Raises
    ------
    ConfigError, RefinementError
        As `refine`, `refine_shared` and `index`.
    """
    recipe, names = plan.recipe, images_of(plan)
    starts = _starts(plan, names)
    folder = None if recipe.stages.checkpoint is None else plan.path(recipe.stages.checkpoint)
    options, paths = options_of(plan), list(recipe.parameters) or usual_paths(plan.start)
    with _workers(recipe.stages.workers) as executor:
        if recipe.stages.index:
            tasks = [(n, s, options) for n, s in zip(names, starts, strict=True)]
            starts = spread(executor, _indexed, tasks, _told(progress, "index", len(tasks)))
        if AMPLITUDES in recipe.shared:
            return _with_amplitudes(names, starts, recipe, executor=executor, progress=progress, checkpoint=folder,
                                    **{**options, "refine": paths})  # fmt: skip
        if recipe.shared:
            found = refine_shared(names, starts, refine=paths, shared=list(recipe.shared), executor=executor,
                                  progress=progress, checkpoint=folder, **options)  # fmt: skip
            return RefineOutcome(tuple(names), found.images, found)
        options |= {"refine": paths}
        if len(names) == 1:
            one = refine(names[0], starts[0], progress=progress, cancel=cancel, **options)
            return RefineOutcome((names[0],), (one,))
        alone = [(n, s, options, folder) for n, s in zip(names, starts, strict=True)]
        return RefineOutcome(
            tuple(names), tuple(spread(executor, _refined, alone, _told(progress, "images", len(alone))))
        )


def _with_amplitudes(names: list[str], starts: list[Experiment], recipe: RefineRecipe, **options: Any) -> RefineOutcome:
    """Structure factors that all images have in common."""
    others = [path for path in recipe.shared if path != AMPLITUDES]
    if others:
        raise ConfigError("refine.shared", others, f"stands beside {AMPLITUDES}, which goes with what each image has of its own",
                          "refine one after the other, in two runs")  # fmt: skip
    priors = dict(options.pop("priors") or {})
    center, sigma = priors.pop(AMPLITUDES, (0.0, SIGMA))
    if center:
        raise ConfigError(f"refine.priors.{AMPLITUDES}", center, "must be around 0, the logarithm of F/F_start")
    steps = max(options.pop("max_steps"), _STEPS)
    found = refine_amplitudes(names, starts, sigma=sigma, max_steps=steps, priors=priors or None, **options)
    return RefineOutcome(tuple(names), found.images, amplitudes=found)


def write(outcome: RefineOutcome, outputs: dict[str, str]) -> Iterator[str]:
    """Write the files of an outcome, see `outputs_of`; yields their names."""
    for name, what in outputs.items():
        kind, _, number = what.partition(" ")
        i = int(number or 1) - 1
        found, experiment = outcome.refinements[i], outcome.experiments[i]
        if kind == "amplitudes":
            _write_amplitudes(experiment, name)
        elif kind == "values":
            _write_table(name, outcome.columns())
        elif kind == "experiment":
            yield from _write_experiment(experiment, name, outputs, number)
            continue
        elif kind == "report":
            found.report(name)
        else:
            measured(experiment, found.spots, found.intensities).write(name)
        yield name


def options_of(plan: RefinePlan) -> dict[str, Any]:
    """The options of `refine` that a recipe says."""
    recipe, data, stages = plan.recipe, plan.recipe.data, plan.recipe.stages
    budget = stages.memory_budget_mib
    return {
        "bounds": recipe.bounds or None, "priors": recipe.priors or None, "background": recipe.background,
        "intensities": recipe.intensities, "loss": recipe.loss, "method": recipe.method, "likelihood": recipe.likelihood,
        "memory_budget": None if budget is None else int(budget * 2**20), "gain": data.gain, "offset": data.offset,
        "read_noise": data.read_noise, "saturation": data.saturation, "d_min": data.d_min_angstrom,
        "mask": None if data.mask is None else Mask.from_file(plan.path(data.mask), masked="zero"),
        "spots": None if data.spots is None else plan.path(data.spots), "max_boxes": data.max_boxes, "margin": data.margin,
        "max_domains": stages.max_domains, "positions": stages.positions, "max_steps": stages.max_steps,
        "time_budget_s": stages.time_budget_s, "n_threads": stages.n_threads,
    }  # fmt: skip


def _starts(plan: RefinePlan, names: Sequence[str]) -> list[Experiment]:
    """The start of every image."""
    recipe: RefineRecipe = plan.recipe
    if recipe.experiments is None:
        return [plan.start] * len(names)
    path = plan.path(recipe.experiments)
    if not path.endswith((".expt", ".json")):
        return [read_geometry(path, template=plan.start)] * len(names)
    count = len(json.loads(read_bytes(path)).get("experiment", ()))
    if count not in (1, len(names)):
        raise ConfigError("refine.experiments", recipe.experiments, f"holds {count} experiments for {len(names)} images",
                          "give one for each image, or one for all")  # fmt: skip
    return [read_geometry(path, template=plan.start, index=i if count > 1 else 0) for i in range(len(names))]


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor | None]:
    """Processes that images are given to; None: this one."""
    if count == 1:
        yield None
        return
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def _told(progress: Told | None, stage: str, total: int) -> Callable[[int], object] | None:
    return None if progress is None else (lambda done: progress(stage, done, total))


def _indexed(task: tuple[str, Experiment, dict[str, Any]]) -> Experiment:
    name, start, options = task
    readout = {key: options[key] for key in ("gain", "offset", "read_noise", "saturation", "mask")}
    return index(name, start, spots=options["spots"], **readout)[0].experiment


def _refined(task: tuple[str, Experiment, dict[str, Any], str | None]) -> Refinement:
    name, start, options, folder = task
    key = "" if folder is None else key_of(name, start, options)
    found: Refinement = kept(folder, f"alone_{key}", lambda: refine(name, start, **options))
    return found


def _write_amplitudes(experiment: Experiment, path: str) -> None:
    table: StructureFactors = experiment.crystal.structure_factors
    if path.lower().endswith(".mtz"):
        table.to_mtz(path, Lattice(experiment).cell)
    else:
        table.to_hkl(path)


def _write_experiment(experiment: Experiment, path: str, outputs: dict[str, str], number: str) -> list[str]:
    """Write an experiment, and give the files: one of this program names the file of its structure factors."""
    if not path.lower().endswith(".toml"):
        write_geometry(experiment, path)
        return [path]
    for other, what in outputs.items():
        kind, _, own = what.partition(" ")
        if kind == "amplitudes" and own in ("", number):
            source = {os.path.splitext(other)[1][1:].lower(): os.path.relpath(other, os.path.dirname(path) or "."),
                      "default_F": float(detached(experiment.crystal.structure_factors.default_F))}  # fmt: skip
            write_bytes(path, [experiment_toml(experiment, source).encode()])
            return [path]
    return to_toml(experiment, path)


def _write_table(path: str, columns: dict[str, Any]) -> None:
    if path.lower().endswith(".parquet"):
        write_parquet(path, columns)
    else:
        write_csv(path, columns)
