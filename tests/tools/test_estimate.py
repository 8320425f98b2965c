"""What a run takes is told before it starts: time, memory, cause, remedy; benchmarks/estimates.py measures how well."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from small import small

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.derivation.derive import derivation
from nanobragg.derivation.resolve import resolve
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import RenderOptions
from nanobragg.inspection.foresight import cost
from nanobragg.inspection.foresight.long_run import long_run

HUGE = "-default_F 100 -cell 70 70 70 90 90 90 -xtalsize 0.03"
"""900 x 900 sub-pixels in each of a million pixels."""


def scene_of(flags: str, fidelity: str = "corrected") -> Any:
    return derivation(resolve(nb.Experiment.from_nanobragg_args(flags.split(), fidelity=fidelity))).scene


@pytest.mark.parametrize("ns", [0.5, 4.0, 200.0])
def test_the_probe_gives_the_time_of_an_evaluation(monkeypatch: pytest.MonkeyPatch, ns: float) -> None:
    """On a clock of our own, for machines from fast to slow: exact, and a few times what is aimed at, at most."""
    experiment = nb.Experiment.from_nanobragg_args(HUGE.split(), fidelity="corrected")
    decided = resolve(experiment)
    scene = derivation(decided).scene
    now = [0.0]

    class Timed:
        def photons(self, part: Any) -> None:
            now[0] += 1e-5 + part.evaluations * ns * 1e-9  # a call takes a little, whatever it renders

    monkeypatch.setattr(cost.time, "process_time", lambda: now[0])
    monkeypatch.setattr(cost, "engine", lambda name, options: Timed())
    found = cost.estimate([decided], [scene], engine("c", RenderOptions(n_threads=3)), probe=True)
    assert found.seconds == pytest.approx(scene.evaluations * ns * 1e-9 / 3, rel=1e-3)
    assert now[0] < 0.05 * max(1, ns / 3.5)


@pytest.mark.parametrize("fidelity", ["reference", "corrected"])
@pytest.mark.parametrize(
    "flags",
    [
        "-N 5 -oversample 40 -phi 0 -osc 1 -phisteps 30 -mosaic 1 -mosaic_domains 40",
        "-N 5 -dispersion 1 -dispsteps 300 -hdivrange 1 -hdivsteps 9 -gauss_xtal",
        "-N 5 -detector_thick 300 -detector_abs 100 -thicksteps 9 -dmin 2 -tophat_spots",
        "-N 1 -detpixels 7",
    ],
)
def test_parts_of_every_run_can_be_probed(flags: str, fidelity: str) -> None:
    """What is cut out of a scene is a scene, within the number of evaluations that was asked for."""
    scene = scene_of(f"-default_F 10 -cell 50 60 70 90 90 90 -detpixels 100 {flags}", fidelity)
    short = cost._cut(scene, 1e5)
    assert (
        short.evaluations_per_pixel * min(scene.n_pixels, 2048) <= 1e5 or short.evaluations_per_pixel == short.n_layers
    )
    seconds, evaluations = cost._timed(short, engine("c", RenderOptions(n_threads=1)), 3)
    assert seconds > 0 and 0 < evaluations <= short.evaluations
    assert cost._probed(scene, engine("c", RenderOptions(n_threads=1))) > 0


def test_bands_lie_apart() -> None:
    for n, length, count in ((1000, 10, 100), (997, 41, 24), (512, 512, 1), (1025, 512, 2)):
        positions = cost._bands(n, length, count)
        assert len(positions) == length * count and (np.diff(positions) > 0).all()
        assert positions[0] >= 0 and positions[-1] < n


def test_cause_and_remedy() -> None:
    """Every loop of a pixel by its field; sub-pixels that were decided by what they were decided from."""
    chosen = engine("c", RenderOptions(n_threads=1))

    def told(flags: str) -> str:
        decided = resolve(nb.Experiment.from_nanobragg_args(flags.split(), fidelity="corrected"))
        scenes = [derivation(decided).scene]
        found = cost.estimate([decided], scenes, chosen, probe=False)
        return long_run(found, [decided], scenes)

    base = "-default_F 100 -cell 70 70 70 90 90 90"
    assert "sampling.oversample is 901" in told(HUGE) and "decided from crystal.size_mm" in told(HUGE)
    assert "4286 x 4286 x 4286 cells" in told(HUGE) and "set sampling.oversample" in told(HUGE)
    assert "decided from crystal.n_cells" in told(f"{base} -N 4286")
    assert "2 resolves the spots" in told(f"{base} -N 5 -oversample 2000")
    assert "crystal.mosaic.n_domains makes 200000 domains" in told(
        f"{base} -N 5 -oversample 1 -mosaic 1 -mosaic_domains 200000"
    )
    assert "goniometer.n_steps" in told(f"{base} -N 5 -oversample 1 -osc 1 -phisteps 300000")
    assert "beam.n_wavelengths" in told(f"{base} -N 5 -oversample 1 -dispersion 1 -dispsteps 200000")
    assert "beam.divergence" in told(f"{base} -N 5 -oversample 1 -hdivrange 1 -hdivsteps 200000")
    assert told(f"{base} -N 5 -oversample 1") == ""


def test_memory() -> None:
    decided = resolve(small())
    large = cost.Estimate(10, 1.0, 1, 9 * 2**30)
    said = long_run(large, [decided], [derivation(decided).scene])
    assert "9.0 GiB of memory" in said and "detector.n_fast" in said


def test_warned_before_it_starts() -> None:
    experiment = nb.Experiment.from_nanobragg_args(HUGE.split(), fidelity="corrected")
    with warnings.catch_warnings():
        warnings.simplefilter("error", nb.LongRunWarning)
        with pytest.raises(nb.LongRunWarning, match=r"this run takes about .* crystal\.size_mm"):
            nb.simulate(experiment, n_threads=1)
        with pytest.raises(nb.LongRunWarning):
            nb.prepare(experiment, n_threads=1)
        turned = small().replace("goniometer.osc_deg", 0.1)
        nb.simulate_scan(turned, 10)
        with pytest.raises(nb.LongRunWarning, match="10000000 images"):
            nb.simulate_scan(turned, 10**7)


def test_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--", *HUGE.split(), "-lambda", "12400"]) == 0
    said = capsys.readouterr().out
    assert "memory: about" in said and "doubtful: -lambda 12400" in said
    assert main(["explain", "--", *HUGE.split(), "--threads", "1"]) == 0
    assert "decided from -xtalsize 0.03" in capsys.readouterr().out
    assert main(["explain", "--", *HUGE.replace("0.03", "30").split()]) == 3  # more sub-pixels than there can be
    said = capsys.readouterr().err.splitlines()
    assert "-xtalsize is in mm; write -xtalsize 0.03" in said[0] and "error: " in said[1]
    experiment = nb.Experiment.from_nanobragg_args(HUGE.split())
    found = nb.explain(experiment)
    assert found.seconds > 60 and found.memory_bytes > 2**20 and not found.costs


def test_a_glance_at_what_depends_on_earlier_pixels() -> None:
    """INTERP_SWITCHED_OFF: explaining looks at the first million lookups, a run at all of them."""
    table = nb.StructureFactors.from_arrays(np.indices((9, 9, 9)).reshape(3, -1).T - 4, np.ones(729))
    line = "-default_F 1 -cell 20 20 20 90 90 90 -N 1 -detpixels 100 -pixel 0.1 -distance {} -interpolate -oversample {}".format
    far, near = (nb.Experiment.from_nanobragg_args(line(*of).split()).replace("crystal.structure_factors", table)
                 for of in ((100, 60), (20, 1)))  # fmt: skip
    glanced, looked = (derivation(resolve(near), glance=glance) for glance in (True, False))
    assert glanced.looked_through and glanced.out_of_range == looked.out_of_range is not None
    assert glanced.scene.interpolation_off == looked.scene.interpolation_off
    glanced = derivation(resolve(far), glance=True)
    assert not glanced.looked_through and glanced.out_of_range is None
    assert derivation(resolve(far)).looked_through
    (reason,) = (t.reason for t in nb.explain(far).quirks if t.quirk.name == "INTERP_SWITCHED_OFF")
    assert "first million" in reason
