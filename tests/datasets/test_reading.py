"""Data sets as they are used: by name, in the workers of a DataLoader, by other programs."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from small_recipe import experiment, recipe

import nanobragg as nb

h5py = pytest.importorskip("h5py", reason="needs h5py: pip install 'nanobragg[data]'")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'nanobragg[data]'")


def generate(made, folder, **more):
    with ThreadPoolExecutor(1) as executor:
        assert nb.data.generate(made, folder, executor=executor, **more).complete
    return nb.data.Dataset(folder)


@pytest.fixture(scope="module")
def made():
    return recipe(
        10, labels=("spots", "lattices"), extras=("bragg", "background", "expected", "mean_wavelength"), shard_size=3
    )


@pytest.fixture(scope="module")
def data(made, tmp_path_factory):
    return generate(made, tmp_path_factory.mktemp("reading") / "set")


def test_truth_is_that_of_the_frames(made, data):
    for k in range(10):
        alone = nb.data.frame(made, k)
        assert data.truth["photons"][k] == alone.numbers["photons"]
        assert data.truth["drawn/detector.distance_mm"][k] == alone.drawn.values["detector.distance_mm"]
        lattices = data.truth["lattices"][k]
        assert lattices == (len(alone.drawn.crystals) if alone.drawn.kind == "hit" else 0)
        for i in range(lattices):
            cell = alone.drawn.crystals[i].unit_cell
            np.testing.assert_allclose(data.truth["cell"][k, i], [cell.a, cell.b, cell.c, 90, 90, 90], rtol=1e-12)
        assert np.isnan(data.truth["cell"][k, lattices:]).all()


def test_truth_has_the_dose(tmp_path):
    """In the middle of every exposure of a series, of lattices that are not there none."""
    base = experiment(goniometer=nb.Goniometer(osc_deg=0.5, n_steps=1))
    base = base.replace("crystal.damage", nb.Damage(dose_mgy=1.0, frame_dose_mgy=0.2, b_per_mgy=1.0))
    vary = {"frames": {"hit": 0.5, "empty": 0.5}}
    series = generate(recipe(8, base=base, vary=vary, kind="rotation", series_length=2), tmp_path / "series")
    dose, hit = series.truth["dose_mgy"], series.truth["kind"] == "hit"
    assert 0 < hit.sum() < 8 and dose.shape == (8, 1)
    np.testing.assert_allclose(dose[hit, 0], 1.1 + 0.2 * (np.arange(8) % 2)[hit], rtol=1e-12)
    assert np.isnan(dose[~hit]).all()


def test_extras_add_up_and_labels_lie_on_spots(data):
    for i in range(10):
        bragg, background, expected = (
            data.image(name, i).astype(float) for name in ("bragg", "background", "expected")
        )
        np.testing.assert_allclose(bragg + background, expected, rtol=1e-6, atol=1e-6)
        spots, lattices, table = data.image("label_spots", i), data.image("label_lattices", i), data.spots(i)
        assert spots.max() <= len(table) and (lattices.max() <= data.truth["lattices"][i])
        assert (bragg[spots > 0] >= 0.5 - 1e-6).all() and ((spots > 0) <= (lattices > 0)).all()
        for row in range(min(5, len(table))):  # the brightest pixel near the center of a bright spot is its own
            f, s = int(table["fast"][row]), int(table["slow"][row])
            if table["photons"][row] > 50:
                assert spots[max(0, s - 1) : s + 2, max(0, f - 1) : f + 2].any()
        hit = data.truth["kind"][i] == "hit"
        assert np.isfinite(data.image("mean_wavelength", i)).any() == hit or hit


def test_master_shows_what_the_shards_hold(data):
    with h5py.File(data.path / "master.nxs") as master:
        own = master["/entry/nanobragg"]
        for i in range(10):
            np.testing.assert_array_equal(master["/entry/data/data"][i], data.counts(i))
            np.testing.assert_array_equal(own["images/label_spots"][i], data.image("label_spots", i))
        np.testing.assert_array_equal(own["truth/frames/photons"], data.truth["photons"])
        np.testing.assert_array_equal(
            master["/entry/instrument/beam/incident_wavelength"], data.truth["wavelength_angstrom"]
        )


def test_peak_lists_stand_where_crystfel_and_cxi_readers_look(data):
    """/entry_1/result_1 of CXI; indexamajig --peaks=cxi --hdf5-peaks=/entry_1/result_1 reads these names."""
    with h5py.File(data.path / "master.nxs") as master:
        assert master["cxi_version"][()] == 150
        peaks = master["/entry_1/result_1"]
        assert set(peaks) == {"nPeaks", "peakXPosRaw", "peakYPosRaw", "peakTotalIntensity"}
        for i in range(10):
            bright = data.spots(i)
            bright = np.sort(bright["photons"][bright["photons"] >= 10])[::-1]
            n = peaks["nPeaks"][i]
            assert n == len(bright)
            np.testing.assert_allclose(peaks["peakTotalIntensity"][i, :n], bright, rtol=1e-6)
            assert (peaks["peakTotalIntensity"][i, n:] == 0).all()


def test_parquet_holds_the_same_tables(data):
    frames = parquet.read_table(data.layout.shard(1, ".frames.parquet")).to_pydict()
    assert frames["frame"] == [3, 4, 5] and frames["photons"] == data.truth["photons"][3:6].tolist()
    spots = parquet.read_table(data.layout.shard(1, ".spots.parquet")).to_pydict()
    assert spots["photons"] == np.concatenate([data.spots(i)["photons"] for i in (3, 4, 5)]).tolist()


def test_geometry_of_a_still_is_its_own(data, made):
    """Read back as NXmx: the axes of the first lattice, to the digits that float64 keeps over the way."""
    hit = next(i for i in range(10) if data.truth["kind"][i] == "hit")
    found = nb.read_geometry(data.path / "master.nxs", image=hit + 1, template=experiment())
    a = np.linalg.inv(np.asarray(found.crystal.a_star_matrix)).T
    b = np.linalg.inv(data.truth["a_star"][hit, 0]).T
    np.testing.assert_allclose(a, b, atol=1e-9)


def test_a_data_set_goes_to_other_processes(data):
    copy = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(copy.counts(4), data.counts(4))
    if "fork" in multiprocessing.get_all_start_methods():
        with multiprocessing.get_context("fork").Pool(2) as pool:
            for i, total in enumerate(pool.map(total_of, [(data, i) for i in range(10)])):
                assert total == int(data.counts(i).sum())


def total_of(what):
    data, i = what
    return int(data.counts(i).sum())


def test_simulated_again(data, made):
    experiment_of = data.experiment(2)
    again = data.remake(2)
    np.testing.assert_array_equal(again.counts, data.counts(2))
    assert experiment_of.detector.distance_mm == again.drawn.experiment.detector.distance_mm
    assert nb.data.verify(data.path, again=3).good
    assert "10 of 10 frames" in nb.data.summary(data.path)


@pytest.mark.parametrize("images", ["cbf", "smv"])
def test_a_file_for_every_image(tmp_path, images):
    made = recipe(3, images=images)
    data = generate(made, tmp_path / "set")
    names = sorted(path.name for path in (tmp_path / "set/images").iterdir())
    assert len(names) == 3 and names[0] == ("still_000001.cbf" if images == "cbf" else "still_000001.img")
    for k in range(3):
        np.testing.assert_array_equal(data.counts(k), nb.data.frame(made, k).counts)
    (tmp_path / "set/images" / names[2]).write_bytes(b"")
    assert nb.data.verify(tmp_path / "set").damaged.keys() == {1}


def test_rotation_series_are_scans(tmp_path):
    base = experiment(goniometer=nb.Goniometer(osc_deg=0.5, phi_start_deg=10.0, n_steps=2))
    made = recipe(6, base=base, vary={"orientation": "random"}, kind="rotation", series_length=3, shard_size=2)
    data = generate(made, tmp_path / "set")
    assert [len(part) for part in data.positions()] == [2, 1, 2, 1]
    assert data.truth["series"].tolist() == [0, 0, 0, 1, 1, 1]
    for series in (0, 1):
        scan = nb.read_scan(tmp_path / f"set/series_{series:04d}.nxs", template=base)
        assert [one.goniometer.phi_start_deg for one in scan] == pytest.approx([10.0, 10.5, 11.0])
        np.testing.assert_array_equal(
            nb.io.read_image(tmp_path / f"set/series_{series:04d}.nxs", 3), data.counts(3 * series + 2)
        )


def test_several_panels(tmp_path):
    panels = tuple(
        nb.Detector(n_fast=40, n_slow=30, pixel_size_mm=0.5, distance_mm=80.0, beam_center_mm=center)
        for center in ((21, 7), (-1, 7))
    )
    made = recipe(
        2, base=experiment(detector=panels), vary={"orientation": "random"}, labels=("spots",), extras=("bragg",)
    )
    data = generate(made, tmp_path / "set")
    for k in range(2):
        alone = nb.data.frame(made, k)
        assert data.counts(k).shape == (2, 30, 40)
        np.testing.assert_array_equal(data.counts(k), alone.counts)
        np.testing.assert_array_equal(data.image("label_spots", k), np.stack(alone.images["label_spots"]))
        assert set(data.spots(k)["panel"]) <= {0, 1}
