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
from nanobragg.cli.words.common.existing import confirm, record_of, refuse_overwriting, same_recipe
from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.config import Experiment
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.serialize import plain
from nanobragg.derivation.orientations import seeded
from nanobragg.errors import ConfigError, LongRunWarning, NanoBraggWarning, UsageError
from nanobragg.exchange.geometry_files import read_scan
from nanobragg.exchange.images.numbered_files import frame_path, write_frames
from nanobragg.exchange.images.writers import write_nxmx
from nanobragg.exchange.toml import Run, read_toml
from nanobragg.exposure import expose
from nanobragg.imaging.noise import checked_saturation, noise_image
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
    options.add_argument("--geometry", metavar="FILE", help="detector, beam, spindle and crystal from a geometry file, for every "
                         "image the models of its own; the experiment supplies the rest")  # fmt: skip
    options.add_argument("--index", type=int, help="which experiment of the geometry file, from 0")
    options.add_argument("-n", "--images", type=int, metavar="N", help="in place of run.n_images")
    options.add_argument("--force", action="store_true",
                         help="overwrite what another recipe wrote, and render again what is there; do not ask")  # fmt: skip
    return carried_out(_run, options, args)


def _run(typed: Any) -> int:
    plan = read_toml(typed.file, typed.changes)
    every = _every(typed, plan.experiment)
    output = typed.output or os.path.join(os.path.dirname(typed.file), plan.run.output)
    n_images = len(every) if typed.images is None and every else typed.images
    changes: dict[str, Any] = {} if n_images is None else {"n_images": n_images}
    run = dataclasses.replace(plan.run, output=output, **changes)
    names = file_names(output, run.n_images)
    record = None if typed.force else record_of(names)
    experiment = _seeded(every[0] if every else plan.experiment, record)
    seed = _noise_seed(run.seed, record)
    more: dict[str, Any] = {"backend": run.backend}
    kind, saturation = checked_counts(output, run.saturation)
    if plan.readout is not None:
        offset = detached(plan.readout.offset_adu)
        run = dataclasses.replace(run, adc_offset=max(offset, 0.0))
        more |= {"adc_offset": offset, "readout": plain(plan.readout)}
        if run.noise:
            saturation = plan.readout.saturation
            more["noise_seed"] = checked_seed("run.seed", seed)
    elif run.noise:
        more |= {"noise_seed": seed, "adc_offset": run.adc_offset}
    if run.noise:
        more["saturation"] = saturation
    numbers = list(range(run.n_images))
    if not typed.force and any(map(os.path.exists, names)):
        if _vary(every) or not same_recipe(record, experiment, more):  # the record knows the models of the first image
            refuse_overwriting(names)
        elif len(names) > 1:
            numbers = [i for i, name in enumerate(names) if not os.path.exists(name)]
            sys.stdout.write(f"{len(names) - len(numbers)} of {len(names)} images are there, from the same recipe\n")
    if not numbers:
        return 0
    images = _scan(every or experiment, run, numbers, ask=not typed.force)
    loud = Overloads()
    if plan.readout is not None:
        images = exposed(images, numbers, experiment, plan.readout, seed if run.noise else None, run.n_threads, loud)
    elif run.noise:
        images = noisy(images, numbers, seed, run.adc_offset, kind, saturation, loud)
    for name in write_images(output, images, experiment, run, more, saturation, numbers):
        sys.stdout.write(f"{name}\n")
    loud.tell()
    return 0


def _every(typed: Any, template: Experiment) -> list[Experiment]:
    """The experiments of all images of a geometry file; empty without one."""
    if typed.geometry is None:
        if typed.index is not None:
            raise UsageError("--index chooses an experiment of --geometry FILE")
        return []
    every = read_scan(typed.geometry, template=template, index=typed.index)
    if _vary(every):
        warnings.warn(f"{typed.geometry}: models vary during the scan; every image is simulated with its own, and what is "
                      "written beside the pixels is that of the first", NanoBraggWarning, stacklevel=1)  # fmt: skip
    return every


def _vary(every: list[Experiment]) -> bool:
    models = [(one.crystal.a_star_matrix, one.beam.direction, one.goniometer.axis) for one in every]
    return not all(np.array_equal(a, b) for one in models[1:] for a, b in zip(one, models[0], strict=True))


def file_names(output: str, n_images: int) -> list[str]:
    """The files that will be written: one for all images, or one for each."""
    if os.path.splitext(output)[1].lower() in (*_STACKS, ".bin"):
        return [output]
    return [frame_path(output, i + 1) for i in range(n_images)]


_STACKS = (".nxs", ".h5", ".hdf5")


def checked_counts(output: str, saturation: int | None) -> tuple[str, int]:
    """Type of the counts and their largest value, by the suffix: SMV files hold 16 bits, the others 32 with a sign."""
    kind = "uint16" if os.path.splitext(output)[1].lower() in (".img", ".smv") else "int32"
    try:
        return kind, checked_saturation(kind, saturation)[0]
    except ConfigError as error:
        raise ConfigError("run.saturation", error.value, error.requirement, error.hint) from None


def _seeded(experiment: Experiment, record: Any) -> Experiment:
    """The experiment with its random orientation decided: that of files that are there, or a new one, which is told."""
    known = ((record or {}).get("experiment") or {}).get("crystal") or {}
    known = known if isinstance(known, dict) else {}  # of several crystals each keeps what it drew
    decided = seeded(experiment, known.get("misset_seed"))  # the seed that the files record is the one that is rendered
    if decided is not experiment:
        seed = decided.crystal.misset_seed
        warnings.warn(f"crystal.misset_deg='random': drawn with seed {seed}; to have it again set crystal.misset_seed={seed}",
                      NanoBraggWarning, stacklevel=1)  # fmt: skip
    return decided


def _noise_seed(given: int | None, record: Any) -> int:
    if given is not None:
        return given
    known = (record or {}).get("noise_seed")
    return known if isinstance(known, int) else drawn_seed()


def _scan(experiment: Experiment | list[Experiment], run: Run, numbers: Sequence[int], *, ask: bool) -> Iterator[Any]:
    """The images, with a bar at a terminal; a long run is confirmed there."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        images = simulate_scan(
            experiment, run.n_images, only=numbers, backend=run.backend, kernel=run.kernel, n_threads=run.n_threads,
            progress=sys.stderr.isatty(),
        )  # fmt: skip
    for warning in caught:
        warnings.warn(warning.message, warning.category, stacklevel=1)
    is_long = any(issubclass(warning.category, LongRunWarning) for warning in caught)
    if is_long and ask and sys.stdin and sys.stdin.isatty() and sys.stderr.isatty() and not confirm("go on?"):
        raise UsageError("not run; --force runs without asking")
    return images


class Overloads:
    """Pixels at the largest value, told once a run."""

    def __init__(self) -> None:
        self.pixels = self.images = 0

    def add(self, pixels: int) -> None:
        """Count those of an image."""
        self.pixels += pixels
        self.images += pixels > 0

    def tell(self) -> None:
        """Warn, if there were any."""
        if self.pixels:
            pixels = "1 pixel is" if self.pixels == 1 else f"{self.pixels} pixels are"
            where = f" in {self.images} images" if self.images > 1 else ""
            warnings.warn(f"{pixels} overloaded{where}", NanoBraggWarning, stacklevel=1)


def exposed(
    images: Iterator[Any], numbers: Sequence[int], experiment: Experiment, readout: Readout, seed: int | None,
    n_threads: int | None, loud: Overloads,
) -> Iterator[Any]:  # fmt: skip
    """Every image as the detector writes it, or with a seed of None as it is expected; image i does not depend on the others."""
    for i, image in zip(numbers, images, strict=True):
        exposure = expose(experiment, readout, seed=seed or 0, frame=i, photons=image, n_threads=n_threads)
        if seed is None:
            yield exposure.expected
            continue
        loud.add(exposure.overloads)
        yield exposure.counts


def noisy(
    images: Iterator[Any],
    numbers: Sequence[int],
    seed: int,
    adc_offset: float,
    kind: str,
    saturation: int,
    loud: Overloads,
) -> Iterator[Any]:
    """Counts of every image (and panel), each from its own stream, so that image i does not depend on the others."""
    for i, image in zip(numbers, images, strict=True):
        several = isinstance(image, list) or image.ndim > 2
        found = [
            noise_image(part, seed=_stream(seed, i, j), adc_offset=adc_offset, dtype=kind, saturation=saturation)
            for j, part in enumerate(image if several else [image])
        ]
        loud.add(sum(one.overloads for one in found))
        panels = [one.counts for one in found]
        alike = len({part.shape for part in panels}) == 1
        yield panels[0] if not several else np.stack(panels) if alike else panels


def _stream(seed: int, image: int, panel: int) -> int:
    return int(np.random.SeedSequence([seed, image, panel]).generate_state(1, np.uint64)[0])


def write_images(
    output: str, images: Any, experiment: Any, run: Any, more: dict[str, Any], saturation: int | None = None,
    numbers: Sequence[int] | None = None,
) -> list[str]:  # fmt: skip
    """Write a scan in the format of the suffix, or the images with some numbers, from 0; returns the names."""
    suffix = os.path.splitext(output)[1].lower()
    if suffix in _STACKS:
        write_nxmx(output, images, experiment, compression=run.compression, provenance=more, sidecar=run.sidecar,
                   saturation=saturation)  # fmt: skip
        return [output]
    if suffix == ".bin":
        first = list(images)
        if len(first) > 1:
            raise UsageError(f"{output}: a raw file holds one image; use .nxs, or frames such as out_####.cbf")
        write_float(output, first[0])
        return [output]
    counted = None if numbers is None else [i + 1 for i in numbers]
    return write_frames(output, images, experiment, dialect=run.dialect, adc_offset=run.adc_offset, provenance=more,
                        sidecar=run.sidecar, saturation=saturation, numbers=counted)  # fmt: skip
