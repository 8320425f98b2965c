"""Faults planted in the torch engine's run only, each named by `trace --versus torch` at the quantity where it enters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from nanobragg.torch_backend.kernels import inputs, lattice, phase
from nanobragg.torch_backend.kernels import lookup as structure_factors

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.derivation import derive
from nanobragg.derivation.placement import mount
from nanobragg.derivation.vectors import scale

ROTATED = (
    "-cell 50 60 70 90 90 90 -misset 10 20 30 -N 5 -Nb 6 -Nc 8 -lambda 1 -distance 100 -pixel 0.4 -detpixels 32 "
    "-oversample 1 -phi 5 -osc 1 -phisteps 2 -polar 0.9 -flux 1e12 -exposure 0.1 -beamsize 0.05 -hkl ramp.hkl"
)
HALF = (
    "-default_F 10 -cell 51 6.0 60 90 90 90 -N 5 -lambda 0.8 -distance 80 -pixel 20 -detpixels 8 -Xbeam 60 -Ybeam 60 "
    "-oversample 1"
)
"""At slow 6, fast 3 the ray has direction (0.8, -0.6, 0): k is -4.5 exactly, in both engines."""


@pytest.fixture(autouse=True)
def ramp(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder with a list of structure factors, all different."""
    monkeypatch.chdir(tmp_path)
    indices = [(h, k, m) for h in range(-8, 9) for k in range(-8, 9) for m in range(-8, 9)]
    text = "".join(f"{h} {k} {m} {100 + i}\n" for i, (h, k, m) in enumerate(indices))
    (tmp_path / "ramp.hkl").write_text(text)


def for_torch_only(original: Callable[..., Any], changed: Callable[..., Any]) -> Callable[..., Any]:
    """`changed` where the derivation is given tensors, `original` where it is given floats."""

    def either(*args: Any, **named: Any) -> Any:
        ops = next(a for a in (*args, *named.values()) if hasattr(a, "is_float"))
        return (original if ops.is_float else changed)(*args, **named)

    return either


def versus(capsys: pytest.CaptureFixture[str], flags: str, at: tuple[int, int] = (7, 20)) -> tuple[int, list[str]]:
    capsys.readouterr()
    status = main(["trace", "--versus", "torch", "--at", str(at[0]), str(at[1]), "--", *flags.split()])
    return status, capsys.readouterr().out.splitlines()


def assert_named(capsys: pytest.CaptureFixture[str], quantity: str, flags: str = ROTATED, **more: Any) -> str:
    """The command ends with 1 and names the quantity first; returns the line."""
    status, lines = versus(capsys, flags, **more)
    assert status == 1
    assert "first divergence" in lines[0]
    assert lines[1].split()[0] == quantity, "\n".join(lines[:4])
    assert lines[2].startswith("how the difference grows")
    assert lines[3].split()[0] == quantity
    return lines[1]


@pytest.mark.parametrize(("flags", "at"), [(ROTATED, (7, 20)), (HALF, (6, 3))])
def test_without_a_fault_they_agree(capsys: pytest.CaptureFixture[str], flags: str, at: tuple[int, int]) -> None:
    status, lines = versus(capsys, flags, at)
    assert status == 0 and "agree within 1e-09" in lines[0]


def test_spindle_sign(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def flipped(*args: Any) -> Any:
        found = original(*args)
        return dataclasses.replace(found, spindle=scale(found.spindle, -1.0))

    original = derive.place
    monkeypatch.setattr(derive, "place", for_torch_only(original, flipped))
    line = assert_named(capsys, "spindle_axis")
    assert "in the scene's inputs" in line


def test_sign_of_the_spindle_rotation(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    original = derive.rotaxis
    backwards = lambda v, axis, angle, ops: original(v, axis, -angle, ops)  # noqa: E731
    monkeypatch.setattr(derive, "rotaxis", for_torch_only(original, backwards))
    line = assert_named(capsys, "a_m")
    assert "phi 0" in line  # the rotation starts at 5 degrees


def test_fluence_not_recomputed_from_flux(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    original = derive._fluence
    given = lambda experiment, ops: ops.lift(experiment.beam.fluence_per_m2)  # noqa: E731
    monkeypatch.setattr(derive, "_fluence", for_torch_only(original, given))
    line = assert_named(capsys, "fluence_per_m2")
    assert "4.0000000000000007e+19" in line or "4e+19" in line  # 1e12 x 0.1/(0.05 mm)^2


def test_normal_not_normalized(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def raw(experiment: Any, convention: Any, ops: Any) -> Any:
        frame = original(experiment, convention, ops)
        return dataclasses.replace(frame, normal=scale(frame.normal, 1.5))

    original = mount.frame_of
    monkeypatch.setattr(mount, "frame_of", for_torch_only(original, raw))
    assert_named(
        capsys,
        "normal_axis",
        ROTATED + " -odet_vector 3 0 0 -adxv -fdet_vector 0 0 1 -sdet_vector 0 -1 0 -beam_vector 1 0 0",
    )


def test_table_index_off_by_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    original = structure_factors._flat
    monkeypatch.setattr(structure_factors, "_flat", lambda *args: original(*args) + 1)
    line = assert_named(capsys, "F_cell")
    first, _, second = line.partition(": ")[2].partition(" against ")
    assert float(second.split()[0]) - float(first) == pytest.approx(1, abs=1e-9)  # the list counts upwards


def test_two_axes_of_n_swapped(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def swapped(*args: Any) -> Any:
        plan, values = original(*args)
        return dataclasses.replace(plan, counts=plan.counts[[1, 0, 2]]), values

    original = inputs.prepare
    monkeypatch.setattr(inputs, "prepare", swapped)
    assert_named(capsys, "F_latt_axes")


def test_sign_of_the_polarization_term(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    original = inputs.polarization_matrices
    monkeypatch.setattr(inputs, "polarization_matrices", lambda kahn, *args: original(-kahn, *args))
    assert_named(capsys, "polarization")


def test_nearest_integer_by_round_half_even(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_even(cells: Any, vectors: Any, scale: Any, dtype: Any) -> Any:
        indices = phase._product(cells, vectors)
        nearest = torch.round(indices)
        return (indices - nearest).to(dtype), nearest

    monkeypatch.setattr(phase, "offsets", half_even)
    line = assert_named(capsys, "hkl_nearest", HALF, at=(6, 3))
    assert "-5, " in line and "-4, " in line
    assert versus(capsys, ROTATED)[0] == 0  # elsewhere the two rules are one


def test_grating_of_the_wrong_sign_shows_in_the_axis_factor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invisible in the image, which takes squares: the signed factors show it."""
    original = lattice._grating
    monkeypatch.setattr(lattice, "_grating", lambda f, n: -original(f, n))
    assert_named(capsys, "F_latt_axes")


def test_json_and_scaling_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert main(["trace", "--at", "7", "20", "--json", "-", "--", *ROTATED.split()]) == 0
    data = json.loads(capsys.readouterr().out)
    experiment = nb.Experiment.from_nanobragg_args(ROTATED.split())
    assert data["result"]["pixel"] == nb.trace(experiment, (7, 20)).value
    assert main(["trace", "--at", "7", "20", "--scaling", "--", *ROTATED.split()]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert float(rows[-1].split()[-1]) == pytest.approx(data["result"]["pixel"], rel=1e-8)


def test_rounding_noise_of_the_original_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """At k = -6 exactly the original's sin(5 pi k)/sin(pi k) is 14.7 in place of 5; torch does not reproduce it."""
    status, lines = versus(capsys, HALF.replace("51 6.0 60", "51 8.0 60"), (6, 3))
    assert status == 1 and lines[1].split()[0] == "F_latt_axes"
    assert "SINCG_ROUNDOFF" in lines[2]
    corrected = HALF.replace("51 6.0 60", "51 8.0 60") + " --fidelity corrected"
    assert versus(capsys, corrected, (6, 3))[0] == 0


def test_versus_a_saved_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "--at", "7", "20", "--json", "old.json", "--", *ROTATED.split()]) == 0
    assert main(["trace", "--at", "7", "20", "--versus", "old.json", "--", *ROTATED.split()]) == 0
    capsys.readouterr()
    assert main(["trace", "--at", "7", "20", "--versus", "old.json", "--", *ROTATED.split(), "-fudge", "1.5"]) == 1
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "fudge"
    assert main(["trace", "--at", "7", "21", "--versus", "old.json", "--", *ROTATED.split()]) == 3


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (["--at", "7"], 2), (["--at", "7", "20"], 2), (["--at", "7", "x", "--", "-N", "5"], 2),
        (["--at", "7", "20", "--color", "--", "-N", "5"], 2), (["--at", "7", "20", "--", "-N", "5"], 2),
        (["--at", "7", "20", "--versus", "none.txt", "--", *ROTATED.split()], 2),
        (["--at", "700", "20", "--", *ROTATED.split()], 3), (["--at", "7", "20", "--", "-hkl", "none.hkl", "-cell", "50"], 3),
    ],
)  # fmt: skip
def test_exit_status(capsys: pytest.CaptureFixture[str], args: list[str], status: int) -> None:
    assert main(["trace", *args]) == status
    err = capsys.readouterr().err.strip().splitlines()
    assert err and err[-1].startswith("nanobragg: error: ")
