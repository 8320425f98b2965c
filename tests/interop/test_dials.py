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


PREDICT = """
import json, sys
import numpy as np
from dials.algorithms.spot_prediction import ScanVaryingReflectionPredictor
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

(e,) = ExperimentListFactory.from_json_file("x.expt", check_format=False)
points = range(e.scan.get_num_images() + 1)
A = [e.crystal.get_A_at_scan_point(i) if e.crystal.num_scan_points else e.crystal.get_A() for i in points]
s0 = [e.beam.get_s0_at_scan_point(i) if e.beam.num_scan_points else e.beam.get_s0() for i in points]
gonio = e.goniometer
S = [gonio.get_setting_rotation_at_scan_point(i) if gonio.num_scan_points else gonio.get_setting_rotation() for i in points]
moving = [e.crystal.num_scan_points, e.beam.num_scan_points, gonio.num_scan_points]
predictor = ScanVaryingReflectionPredictor(e, dmin=2.0, margin=1)
t = predictor.for_varying_models(flex.mat3_double(A), flex.vec3_double(s0), flex.mat3_double(S))
hkl = np.array(t["miller_index"]).tolist()
print(json.dumps({"moving": moving, "hkl": hkl, "at": np.array(t["xyzcal.px"]).tolist()}))
"""
POINTS = {
    "crystal": "A_at_scan_points",
    "beam": "s0_at_scan_points",
    "goniometer": "setting_rotation_at_scan_points",
}


def rotation(axis, degrees):
    from nanobragg.io.geometry.axes import rotation as turned

    return turned(np.array(axis, float), degrees)


@pytest.mark.parametrize("what", POINTS)
def test_images_of_a_scan_that_varies_are_where_dials_predicts_them(tmp_path, what):
    """Centroids of the spots of the rendered image n against the scan-varying predictions of DIALS, within 0.05 pixels.

    An image has the model of its middle, so that a spot at its edge is off by half a step. The crystal turns by 0.005 degrees
    an image and grows by 3e-5, beam and spindle turn by 0.004 degrees; all have gone 30 such steps from the static model.
    """
    base = nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(50, 60, 70, 80, 95, 100), misset_deg=(10, 20, 30), n_cells=(16, 14, 12),
                           shape="gauss", structure_factors=nb.StructureFactors.constant(100.0)),
        detector=nb.Detector(n_fast=700, n_slow=680, pixel_size_mm=0.1, distance_mm=80.0, beam_center_mm=(36.0, 32.0)),
        beam=nb.Beam(wavelength_angstrom=1.0, fluence_per_m2=1e26),
        goniometer=nb.Goniometer(osc_deg=1.5, n_steps=60), sampling=nb.Sampling(oversample=3),
    )  # fmt: skip
    n = 3
    base.to_dials(tmp_path / "x.expt", n_images=n)
    data = json.loads((tmp_path / "x.expt").read_text())
    crystal = data["crystal"][0]
    axes = np.array([crystal[f"real_space_{name}"] for name in "abc"])
    steps = np.arange(n + 1)
    if what == "crystal":
        points = [
            (rotation((0, 1, 0.3), 0.005 * (k + 30)) @ np.linalg.inv(axes * (1 + 3e-5 * (k + 30)))).ravel().tolist()
            for k in steps
        ]
    elif what == "beam":
        s0 = -np.array(data["beam"][0]["direction"]) / data["beam"][0]["wavelength"]
        points = [(rotation((0.2, 1, 0), 0.004 * (k + 30)) @ s0).tolist() for k in steps]
    else:
        points = [rotation((0, 1, 0.5), 0.004 * (k + 30)).ravel().tolist() for k in steps]
    data[what][0][POINTS[what]] = points
    (tmp_path / "x.expt").write_text(json.dumps(data))
    done = subprocess.run([PYTHON, "-c", PREDICT], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert sum(found["moving"]) == n + 1
    at = {}
    for hkl, (x, y, z) in zip(found["hkl"], found["at"], strict=True):
        at.setdefault((*hkl, int(z)), []).append((x, y))
    offsets = []
    for i, one in enumerate(nb.read_scan(tmp_path / "x.expt", template=base)):
        image, spots = nb.simulate(one), nb.predict(one)
        for spot in np.flatnonzero(spots["partiality"] > 0.999):  # whole in this image
            f0, f1, s0, s1 = spots["bbox"][spot]
            others = np.delete(np.column_stack([spots["fast"], spots["slow"]]), spot, 0)
            near = np.abs(others - [spots["fast"][spot], spots["slow"][spot]]).max(1) < 1.2 * max(f1 - f0, s1 - s0)
            places = at.get((*spots["hkl"][spot].tolist(), i), [])
            if near.any() or min(f0, s0) == 0 or f1 == 700 or s1 == 680 or len(places) != 1:
                continue
            box = image[s0:s1, f0:f1]
            rows, columns = np.mgrid[s0:s1, f0:f1] + 0.5
            center = np.array([(box * columns).sum(), (box * rows).sum()]) / box.sum()
            offsets.append([i, *(center - places[0])])
    offsets = np.array(offsets)
    assert (np.bincount(offsets[:, 0].astype(int), minlength=n) > 200).all()
    assert np.abs(offsets[:, 1:]).max() < 0.05  # measured with DIALS 3.12: 0.036, 0.039, 0.036


READ = """
import json
import numpy as np
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

found = ExperimentListFactory.from_json_file("two.expt", check_format=False)
table = flex.reflection_table.from_file("two.refl")
at = [[e.crystal.get_A()[i : i + 3] for i in (0, 3, 6)] for e in found]
kept = {name: np.array(table[name]).tolist() for name in ("id", "miller_index", "panel", "xyzcal.px", "bbox", "partiality")}
print(json.dumps({"A": at, "shared": [len(found.beams()), len(found.detectors())], "table": kept}))
"""


def test_several_crystals_and_their_reflections_are_read(tmp_path):
    """An experiment for each, with one beam and one detector; the table says which reflection belongs to which."""
    one = nb.Crystal(unit_cell=nb.UnitCell(*CELL), structure_factors=nb.StructureFactors.constant(100.0))
    experiment = nb.Experiment(
        crystal=(one, one.with_value("misset_deg", (0, 3, 1))),
        detector=nb.Detector(n_fast=64, n_slow=60, pixel_size_mm=1.0),
    )
    experiment.to_dials(tmp_path / "two.expt")
    spots = nb.predict(experiment, d_min=6.0)
    spots.write(tmp_path / "two.refl")
    done = subprocess.run([PYTHON, "-c", READ], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["shared"] == [1, 1]
    lattices = spots.geometry.lattices
    for columns, lattice in zip(found["A"], lattices, strict=True):
        np.testing.assert_allclose(np.array(columns), lattice.a_star.T, atol=1e-12)
    table = {name: np.array(column) for name, column in found["table"].items()}
    assert np.array_equal(table["id"], spots["crystal"]) and np.array_equal(table["miller_index"], spots["hkl"])
    assert np.array_equal(table["panel"], spots["panel"]) and np.array_equal(table["partiality"], spots["partiality"])
    assert np.array_equal(table["xyzcal.px"][:, :2], np.column_stack([spots["fast"], spots["slow"]]))
    assert np.array_equal(table["bbox"][:, :4], spots["bbox"])
