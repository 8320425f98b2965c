"""The golden cases on disk: what to run, and what the original wrote."""

from __future__ import annotations

import gzip
import json
import shutil
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from worst_pixel import worst_pixel

from nanobragg import Experiment


@dataclass(frozen=True)
class GoldenCase:
    """One command line of the original and its results."""

    name: str
    folder: Path
    record: dict[str, Any]

    @cached_property
    def args(self) -> list[str]:
        return json.loads((self.folder / self.name / "args.json").read_text())

    @cached_property
    def pre_args(self) -> list[list[str]]:
        path = self.folder / self.name / "pre_args.json"
        return json.loads(path.read_text()) if path.exists() else []

    @property
    def sensitive(self) -> bool:
        """A random orientation, where one ulp of a float32 power moves weak pixels by up to 35 %."""
        return bool(self.record.get("sensitive"))

    @cached_property
    def expected(self) -> dict[str, Any]:
        path = self.folder / self.name / "expected.npz"
        return dict(np.load(path)) if path.exists() else {}

    @property
    def shape(self) -> tuple[int, int]:
        if "shape" in self.expected:
            slow, fast = (int(n) for n in self.expected["shape"])
            return slow, fast
        return self.expected["float"].shape

    def crop(self, image: np.ndarray) -> np.ndarray:
        """The stored part of an image."""
        if "crop" not in self.expected:
            return image
        s0, s1, f0, f1 = (int(n) for n in self.expected["crop"])
        return image[s0:s1, f0:f1]

    def worst_pixel(self, image: np.ndarray, experiment: Any = None) -> str:
        """What to say of an image of this case that is wrong, in a folder that holds the case's inputs."""
        expected = np.zeros(self.shape, np.float32)
        if "sample_idx" in self.expected:
            expected[:] = image  # the pixels that are not stored
            expected.ravel()[self.expected["sample_idx"]] = self.expected["sample_val"]
        else:
            self.crop(expected)[:] = self.expected["float"]
        if experiment is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                experiment = Experiment.from_nanobragg_args(self.args)
        return worst_pixel(experiment, image, expected, ("ours", "original"))

    @property
    def stdout(self) -> str:
        return (self.folder / self.name / "stdout.txt").read_text(encoding="latin1")

    def copy_inputs(self, target: Path) -> None:
        """Put the input files that the arguments name into an empty folder."""
        for arg in {*self.args, *(a for args in self.pre_args for a in args)}:
            for folder in (self.folder / self.name / "inputs", self.folder / "inputs"):
                if "/" not in arg and (folder / arg).is_file():
                    shutil.copy(folder / arg, target)
                    break
                if "/" not in arg and (folder / f"{arg}.gz").is_file():
                    (target / arg).write_bytes(gzip.decompress((folder / f"{arg}.gz").read_bytes()))
                    break


def golden_cases(folder: Path) -> list[GoldenCase]:
    """All cases of a folder."""
    index = next(path for path in (folder / "manifest.json", folder / "index.json") if path.exists())
    return [GoldenCase(r["name"], folder, r) for r in json.loads(index.read_text()) if (folder / r["name"]).is_dir()]
