"""`nanoBragg run`: simulate a TOML file."""

from __future__ import annotations

import dataclasses
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nanobragg.arrays import detached, drawn_seed
from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.config import Experiment
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.serialize import plain
from nanobragg.derivation.orientations import seeded
from nanobragg.errors import NanoBraggWarning, UsageError
from nanobragg.exchange.images.numbered_files import write_frames
from nanobragg.exchange.images.writers import write_nxmx
from nanobragg.exchange.toml import read_toml
from nanobragg.exposure import expose
from nanobragg.imaging.noise import add_noise
from nanobragg.io.images.float_image import write_float
from nanobragg.scan import simulate_scan
from nanobragg.streams import checked_seed


def run_experiment(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = Words("run", "Simulate an experiment file (see nanoBragg init), one image or a scan.")
    options.add_argument("file", help="the experiment, TOML")
    options.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", dest="changes",
                         help="replace a value, as crystal.misset_deg=(1,2,3); may be repeated")  # fmt: skip
    options.add_argument("-o", "--output", metavar="FILE", help="in place of run.output")
    options.add_argument("-n", "--images", type=int, metavar="N", help="in place of run.n_images")
    return carried_out(_run, options, args)


def _run(typed: Any) -> int:
    plan = read_toml(typed.file, typed.changes)
    run, experiment = plan.run, seeded(plan.experiment)  # the seed that the files record is the one that is rendered
    if experiment is not plan.experiment:
        seed = experiment.crystal.misset_seed
        warnings.warn(f"crystal.misset_deg='random': drawn with seed {seed}; to have it again set crystal.misset_seed={seed}",
                      NanoBraggWarning, stacklevel=1)  # fmt: skip
    output = typed.output or os.path.join(os.path.dirname(typed.file), run.output)
    changes = {} if typed.images is None else {"n_images": typed.images}
    run = dataclasses.replace(run, output=output, **changes)
    seed = run.seed if run.seed is not None else drawn_seed()
    images = simulate_scan(experiment, run.n_images, backend=run.backend, kernel=run.kernel, n_threads=run.n_threads)
    more: dict[str, Any] = {"backend": run.backend}
    saturation: int | None = None
    if plan.readout is not None:
        images = exposed(images, experiment, plan.readout, checked_seed("run.seed", seed), run.n_threads)
        offset = detached(plan.readout.offset_adu)
        run = dataclasses.replace(run, adc_offset=max(offset, 0.0))
        saturation = plan.readout.saturation
        more |= {"noise_seed": seed, "adc_offset": offset, "saturation": saturation, "readout": plain(plan.readout)}
    elif run.noise:
        images = noisy(images, seed, run.adc_offset)
        more |= {"noise_seed": seed, "adc_offset": run.adc_offset}
    for name in write_images(output, images, experiment, run, more, saturation):
        sys.stdout.write(f"{name}\n")
    return 0


def exposed(
    images: Iterator[Any], experiment: Experiment, readout: Readout, seed: int, n_threads: int | None
) -> Iterator[Any]:
    """Every image as the detector writes it; image i does not depend on the others."""
    for i, image in enumerate(images):
        exposure = expose(experiment, readout, seed=seed, frame=i, photons=image, n_threads=n_threads)
        if exposure.overloads:
            warnings.warn(f"image {i + 1}: {exposure.overloads} pixels are overloaded", NanoBraggWarning, stacklevel=1)
        yield exposure.counts


def noisy(images: Iterator[Any], seed: int, adc_offset: float) -> Iterator[Any]:
    """Counts of every image (and panel), each from its own stream, so that image i does not depend on the others."""
    for i, image in enumerate(images):
        if not isinstance(image, list) and image.ndim == 2:
            yield add_noise(image, seed=_stream(seed, i, 0), adc_offset=adc_offset)
        else:
            panels = [add_noise(part, seed=_stream(seed, i, j), adc_offset=adc_offset) for j, part in enumerate(image)]
            yield np.stack(panels) if len({part.shape for part in panels}) == 1 else panels


def _stream(seed: int, image: int, panel: int) -> int:
    return int(np.random.SeedSequence([seed, image, panel]).generate_state(1, np.uint64)[0])


def write_images(
    output: str, images: Any, experiment: Any, run: Any, more: dict[str, Any], saturation: int | None = None
) -> list[str]:
    """Write a scan in the format of the suffix; returns the names."""
    suffix = os.path.splitext(output)[1].lower()
    if suffix in (".nxs", ".h5", ".hdf5"):
        write_nxmx(output, images, experiment, compression=run.compression, provenance=more, sidecar=run.sidecar,
                   saturation=saturation)  # fmt: skip
        return [output]
    if suffix == ".bin":
        first = list(images)
        if len(first) > 1:
            raise UsageError(f"{output}: a raw file holds one image; use .nxs, or frames such as out_####.cbf")
        write_float(output, first[0])
        return [output]
    return write_frames(output, images, experiment, dialect=run.dialect, adc_offset=run.adc_offset, provenance=more,
                        sidecar=run.sidecar, saturation=saturation)  # fmt: skip
