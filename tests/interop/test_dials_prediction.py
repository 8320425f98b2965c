"""Predictions beside those of DIALS, from the models that DIALS indexed; photons beside the image.."""

import json
import subprocess
import warnings

import numpy as np
import pytest
from test_dials import N_IMAGES, PYTHON, dials
from test_dials import pytestmark as pytestmark
from test_dials import scan as scan  # a fixture

import nanobragg as nb

READ = """
import json
import numpy as np
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

(e,) = ExperimentListFactory.from_json_file("indexed.expt", check_format=False)
assert all(p.get_px_mm_strategy().name() == "SimplePxMmStrategy" for p in e.detector)  # no parallax correction
t = flex.reflection_table.from_file("predicted.refl")
print(json.dumps({"hkl": np.array(t["miller_index"]).tolist(), "at": np.array(t["xyzcal.px"]).tolist(),
                  "s1": (np.array(t["s1"]) * e.beam.get_wavelength()).tolist()}))
"""


@pytest.fixture(scope="module")
def indexed(scan):
    """The simulated scan, indexed by DIALS: the folder, the experiment that supplies the rest, and what DIALS predicts."""
    folder, experiment, images = scan
    work = folder / "predicted"
    work.mkdir()
    files = nb.io.write_frames(work / "x_####.cbf", images, experiment)
    dials(work, "dials_import", *files)
    dials(work, "find_spots", "imported.expt", "nproc=1")
    dials(work, "index", "imported.expt", "strong.refl", "space_group=P43212")
    dials(work, "predict", "indexed.expt", "d_min=1.7")
    done = subprocess.run([PYTHON, "-c", READ], cwd=work, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    # blocks that fill the beam, one domain: a reflection has its center at the crossing
    template = experiment.replace("crystal.mosaic", nb.Mosaic()).replace("crystal.n_cells", (60, 60, 120))
    return work, template, {key: np.array(value) for key, value in json.loads(done.stdout.splitlines()[-1]).items()}


def test_centers_are_those_of_dials(indexed):
    """Places within 0.1 pixels, crossings within 0.02 images, directions within 1e-4 (seen with DIALS 3.12: 1e-12 of each over
    1123 reflections, 3 of them missing), of reflections that have their center well inside an image."""
    work, template, theirs = indexed
    where = {
        (*hkl, int(at[2])): i for i, (hkl, at) in enumerate(zip(theirs["hkl"].tolist(), theirs["at"], strict=True))
    }
    offsets, missing = [], 0
    for image in range(0, N_IMAGES, 5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", nb.NanoBraggWarning)
            own = nb.read_geometry(work / "indexed.expt", template=template, image=image + 1)
        spots = nb.predict(own.replace("goniometer.n_steps", 20), d_min=1.7)
        frame = image + (spots["phi_deg"] - own.goniometer.phi_start_deg) / own.goniometer.osc_deg
        rows = {tuple(hkl): i for i, hkl in enumerate(spots["hkl"].tolist())}
        for key, i in where.items():
            if key[3] != image or not 0.1 < theirs["at"][i][2] - image < 0.9:
                continue
            j = rows.get(key[:3])
            if j is None:
                missing += 1
                continue
            place = np.array([spots["fast"][j], spots["slow"][j]])
            turned = spots["s1"][j] @ spots.to_dials.T - theirs["s1"][i]
            offsets.append([*(place - theirs["at"][i][:2]), frame[j] - theirs["at"][i][2], np.abs(turned).max()])
    offsets = np.array(offsets)
    print(len(offsets), missing, np.abs(offsets).max(0), np.abs(np.median(offsets, axis=0)))
    assert len(offsets) > 300 and missing <= 0.01 * len(offsets)
    assert np.abs(offsets[:, :2]).max() < 0.1
    assert np.abs(offsets[:, 2]).max() < 0.02 and offsets[:, 3].max() < 1e-4


def test_photons_are_those_of_the_image(indexed):
    """Expected photons within 1 % of the rendered image, in the predicted box, which holds 99.8 % of a spot (seen 0.2 % over 316
    spots that stand alone)."""
    work, template, _ = indexed
    template = template.replace("crystal.n_cells", (25, 25, 50)).replace("crystal.shape", "gauss")
    template = template.replace("background", nb.Background())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nb.NanoBraggWarning)
        own = nb.read_geometry(work / "indexed.expt", template=template, image=7)
    own = own.replace("goniometer.n_steps", 20).replace("sampling.oversample", 3)
    spots = nb.predict(own, d_min=1.8)
    image = np.asarray(nb.simulate(own))
    places = np.column_stack([spots["fast"], spots["slow"]])
    ratios = []
    for i in np.flatnonzero((spots["partiality"] > 0.3) & (spots["photons"] > 1e-3 * spots["photons"].max())):
        f0, f1, s0, s1 = spots["bbox"][i]
        apart = np.abs(np.delete(places, i, 0) - places[i]).max(1)
        if (
            (apart < 1.5 * max(f1 - f0, s1 - s0)).any()
            or min(f0, s0) == 0
            or f1 == image.shape[1]
            or s1 == image.shape[0]
        ):
            continue
        ratios.append(image[s0:s1, f0:f1].sum() / spots["photons"][i])
    ratios = np.array(ratios)
    print(len(ratios), np.abs(ratios - 1).max(), np.median(ratios))
    assert len(ratios) > 50
    assert np.abs(ratios - 1).max() < 0.01
