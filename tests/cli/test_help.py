"""What `nanoBragg --help` says is true of the command, which is not the Python call."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.backends import KERNELS
from nanobragg.cli.dropin.usage import help_text
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.scene import Scene

CRYSTAL = "-cell 60 70 80 90 95 90 -misset 10 20 30"
SMALL = "-detpixels_f 12 -detpixels_s 12"
BESIDE = {
    "-detpixels": "", "-detpixels_f": "-detpixels_s 12", "-detpixels_s": "-detpixels_f 12", "-beamsize": f"{SMALL} -xtalsize 0.2",
    "-detsize": "-pixel 5", "-detsize_f": "-pixel 5", "-detsize_s": "-pixel 5", "-misset": SMALL,
}  # fmt: skip
"""Flags under which a default counts, where they are not those of a small detector."""


def entries() -> dict[str, str]:
    """Text of the help by flag."""
    joined = re.sub(r"\n {3,}(?=\S)", " ", help_text())
    return dict(re.findall(r"^  (--?\w[\w-]*)(.*)$", joined, re.M))


def defaults() -> dict[str, str]:
    """Numbers that the help calls defaults."""
    found = {name: re.search(r"; default ((?:[-+\d.e]+ ?)+)(?:;|$)", text) for name, text in entries().items()}
    return {name: match[1].strip() for name, match in found.items() if match and not name.startswith("--")}


def scene(flags: str) -> Scene:
    return derive(resolve(nb.Experiment.from_nanobragg_args(flags.split())))


def test_every_kernel_is_named() -> None:
    named = set(re.findall(r"[\w-]+", entries()["--kernel"]))
    assert {name for names in KERNELS.values() for name in names} <= named


def test_the_defaults_are_found() -> None:
    assert len(entries()) > 110 and len(defaults()) > 25


@pytest.mark.parametrize("name", [name for name in defaults() if name not in ("-adc", "-default_F")])
def test_a_printed_default_changes_nothing_when_it_is_typed(name: str) -> None:
    """-default_F 0 cannot be typed alone, and -adc is no part of the expected image."""
    flags = f"{CRYSTAL if name != '-misset' else CRYSTAL.partition(' -m')[0]} -default_F 10 {BESIDE.get(name, SMALL)}"
    left_out, typed = scene(flags), scene(f"{flags} {name} {defaults()[name]}")
    for field in dataclasses.fields(Scene):
        one, other = getattr(left_out, field.name), getattr(typed, field.name)
        if isinstance(one, float):
            assert one == pytest.approx(other, rel=1e-5), field.name  # printed with six digits
        else:
            assert np.array_equal(one, other), field.name


def test_no_default_is_that_of_a_python_object() -> None:
    """None means "decide for me" in Python; on the command line a flag is left out."""
    assert "None" not in help_text()
    assert "100" in entries()["-distance"] and "10 with -mosaic" in entries()["-mosaic_domains"]
