"""What DIALS makes of our files: imported geometry, spots, indexing, predictions. Needs DIALS; see the marker."""

import json
import os
import subprocess

import numpy as np
import pytest

import nanobragg as nb

gemmi = pytest.importorskip("gemmi", reason="needs gemmi: pip install 'nanobragg[io]'")
PYTHON = os.environ.get("NANOBRAGG_DIALS_PY")
pytestmark = [
    pytest.mark.dials,
    pytest.mark.skipif(not PYTHON, reason="NANOBRAGG_DIALS_PY names no command that runs DIALS' Python"),
    pytest.mark.timeout(1800),
]
CELL = (79.1, 79.1, 37.9, 90.0, 90.0, 90.0)
N_IMAGES = 20

MEASURE = """
import json, sys
import numpy as np
from dxtbx.model.experiment_list import ExperimentListFactory
from dials.array_family import flex
from scipy.spatial import cKDTree

def load(name):
    return ExperimentListFactory.from_json_file(name, check_format=False)

def numbers(e):
    p = e.detector[0]
    rows = [p.get_origin(), p.get_fast_axis(), p.get_slow_axis(), p.get_pixel_size(), p.get_image_size(), e.beam.get_s0(),
            e.goniometer.get_rotation_axis(), e.scan.get_oscillation(), e.scan.get_image_range()]
    return np.concatenate([np.array(row, float) for row in rows])

strong = flex.reflection_table.from_file("strong.refl")
indexed = flex.reflection_table.from_file("indexed.refl")
predicted = np.array(flex.reflection_table.from_file("predicted.refl")["xyzcal.px"])
seen = np.array(strong["xyzobs.px.value"])
distance, nearest = cKDTree(predicted * (1, 1, 3)).query(seen * (1, 1, 3))
offset = (predicted[nearest] - seen)[distance < 3]
print(json.dumps({
    "geometry": float(np.abs(numbers(load("imported.expt")[0]) - numbers(load(sys.argv[1])[0])).max()),
    "crystals": len(load("indexed.expt")), "spots": len(strong), "indexed": int((indexed["id"] >= 0).count(True)),
    "cell": list(load("indexed.expt")[0].crystal.get_unit_cell().parameters()),
    "matched": len(offset), "offset": offset.mean(axis=0).tolist(),
}))
"""


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """Twenty images of 0.5 degrees of a lysozyme-like crystal."""
    from test_reflection_files import lysozyme_like

    folder = tmp_path_factory.mktemp("dials")
    experiment = nb.Experiment(
        crystal=nb.Crystal(
            structure_factors=nb.StructureFactors.from_model(lysozyme_like(folder), 1.6), n_cells=(25, 25, 50),
            misset_deg=(20, 40, 70), mosaic=nb.Mosaic(spread_deg=0.05, n_domains=4),
        ),
        beam=nb.Beam(wavelength_angstrom=1.0, fluence_per_m2=4e25),
        detector=nb.Detector(n_fast=1000, n_slow=980, pixel_size_mm=0.15, distance_mm=150, beam_center_mm=(76.1, 72.3)),
        goniometer=nb.Goniometer(osc_deg=0.5, n_steps=6), sampling=nb.Sampling(oversample=1),
        background=nb.Background(water_um=0.7),
    )  # fmt: skip
    images = [nb.add_noise(image, seed=i) for i, image in enumerate(nb.simulate_scan(experiment, N_IMAGES))]
    return folder, experiment, images


def dials(folder, module, *args):
    run = f"from dials.command_line.{module} import run; run()"
    done = subprocess.run([PYTHON, "-c", run, *args], cwd=folder, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize("suffix", ["nxs", "cbf", "img"])
def test_dials_recovers_what_was_simulated(scan, suffix):
    """Measured with DIALS 3.12: see the limits below."""
    folder, experiment, images = scan
    work = folder / suffix
    work.mkdir()
    if suffix == "nxs":
        nb.io.write_nxmx(work / "x.nxs", images, experiment, sidecar=True)
        files = [str(work / "x.nxs")]
    else:
        files = nb.io.write_frames(work / f"x_####.{suffix}", images, experiment, sidecar=True)
    dials(work, "dials_import", *files)
    dials(work, "find_spots", "imported.expt", "nproc=1")
    dials(work, "index", "imported.expt", "strong.refl", "space_group=P43212")
    dials(work, "predict", "x.expt", "d_min=1.7")
    done = subprocess.run([PYTHON, "-c", MEASURE, "x.expt"], cwd=work, capture_output=True, text=True, timeout=300)
    found = json.loads(done.stdout.splitlines()[-1])
    print(found)
    assert found["geometry"] < 1e-6
    assert found["crystals"] == 1 and found["indexed"] >= 0.9 * found["spots"]
    np.testing.assert_allclose(found["cell"], CELL, rtol=1e-3)
    assert found["matched"] >= 0.85 * found["spots"]
    assert np.abs(found["offset"][:2]).max() < 0.05
