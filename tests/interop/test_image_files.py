"""Images with their geometry: NXmx, miniCBF, SMV, TIFF, EDF; what other readers make of them; damaged files."""

import json
import subprocess
import sys

import numpy as np
import pytest
from test_geometry_files import SAME, experiment

import nanobragg as nb
from nanobragg.derivation import panels
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.exchange.geometry import of_experiment
from nanobragg.exchange.images.numbered_files import frame_path
from nanobragg.exchange.images.provenance import read_provenance
from nanobragg.io import read_cbf, read_image, read_smv, write_cbf, write_frames, write_nxmx, write_smv
from nanobragg.io.geometry.axes import FROM_NEXUS

fabio = pytest.importorskip("fabio", reason="needs fabio: pip install 'nanobragg[io]'")
h5py = pytest.importorskip("h5py", reason="needs h5py: pip install 'nanobragg[io]'")


def flat():
    """Upright at right angles to the beam, not square, off center, with a mask."""
    mask = np.ones((26, 30), bool)
    mask[10:12] = False
    return experiment(n_fast=30, n_slow=26, rotation_deg=(0, 0, 0), twotheta_deg=0.0, mask=mask).replace(
        goniometer=nb.Goniometer(phi_start_deg=12.5, osc_deg=0.25, n_steps=2, axis=(0, 0, 1))
    )


def four():
    return panels.split(experiment(n_fast=24, n_slow=20), 2, 2)


def counts(e, n=3):
    return [nb.add_noise(image, seed=i) for i, image in enumerate(nb.simulate_scan(e, n))]


def test_the_offset_stands_in_every_smv_header(tmp_path):
    """Readers of such files take it off the pixels: dxtbx takes 1 where it is not said."""
    e = flat()
    image = counts(e, 1)[0]
    for dialect in ("nanobragg", "dxtbx"):
        for offset in (0.0, 40.0):
            write_smv(tmp_path / "a.img", image, e, dialect=dialect, adc_offset=offset)
            assert float(read_smv(tmp_path / "a.img")[1]["ADC_OFFSET"]) == offset
    write_smv(tmp_path / "a.img", image, iter([("ADC_OFFSET", 7), ("NOTE", "mine")]), experiment=e, adc_offset=40.0)
    header = read_smv(tmp_path / "a.img")[1]
    assert header["ADC_OFFSET"] == "7" and header["NOTE"] == "mine"


def geometries_agree(before, after, tolerance):
    first, second = of_experiment(before), of_experiment(after)
    assert len(first.panels) == len(second.panels)
    for p, q in zip(first.panels, second.panels, strict=True):
        assert (p.n_fast, p.n_slow) == (q.n_fast, q.n_slow)
        assert p.edges_mm == pytest.approx(q.edges_mm, rel=tolerance)
        for name in ("origin", "fast", "slow"):
            np.testing.assert_allclose(getattr(q, name), getattr(p, name), atol=tolerance)
    for name in ("beam", "spindle", "polarization_axis"):
        np.testing.assert_allclose(np.abs(getattr(second, name)), np.abs(getattr(first, name)), atol=tolerance)
    for name in ("wavelength", "phi_start", "osc", "kahn_factor"):
        assert getattr(second, name) == pytest.approx(getattr(first, name), rel=tolerance)


@pytest.mark.parametrize("make", [experiment, flat, four], ids=["tilted", "flat", "panels"])
@pytest.mark.parametrize("compression", ["gzip", "none", "bitshuffle-lz4"])
def test_nxmx_round_trip(tmp_path, make, compression):
    if compression == "bitshuffle-lz4":
        pytest.importorskip("hdf5plugin")
    before = make()
    images = list(nb.simulate_scan(before, 3))
    write_nxmx(tmp_path / "x.nxs", images, before, compression=compression)
    after = nb.Experiment.from_image(tmp_path / "x.nxs", before)
    geometries_agree(before, after, 1e-9)  # measured: 1e-15
    first, again = np.asarray(nb.simulate(before)), np.asarray(nb.simulate(after))
    assert np.abs(first - again).max() < SAME * first.max()  # measured 5e-14
    stored = read_image(tmp_path / "x.nxs", 2)
    np.testing.assert_array_equal(stored, np.asarray(images[1]).astype(np.float32))  # panels as they were
    third = nb.Experiment.from_image(tmp_path / "x.nxs", before, image=3)
    start, width = before.goniometer.phi_start_deg, before.goniometer.osc_deg
    assert third.goniometer.phi_start_deg == pytest.approx(start + 2 * width)
    bare = nb.Experiment.from_image(tmp_path / "x.nxs", structure_factors=nb.StructureFactors.constant(1.0))
    np.testing.assert_allclose(of_experiment(bare).a_star, of_experiment(before).a_star, atol=1e-12)


def test_a_beam_off_the_axis_is_brought_onto_it(tmp_path):
    before = experiment().replace("beam.direction", (1.0, 0.02, -0.03)).replace("crystal.mosaic", nb.Mosaic())
    write_nxmx(tmp_path / "x.nxs", nb.simulate(before), before)
    after = nb.Experiment.from_image(tmp_path / "x.nxs", before)
    np.testing.assert_allclose(after.beam.direction, (1, 0, 0), atol=1e-15)
    first, again = nb.simulate(before), nb.simulate(after)
    assert np.abs(first - again).max() < SAME * first.max()


@pytest.mark.parametrize("make", [experiment, flat, four], ids=["tilted", "flat", "panels"])
def test_nxvalidate_reports_no_error(tmp_path, make):
    pytest.importorskip("nexusformat")
    e = make()
    write_nxmx(tmp_path / "x.nxs", nb.simulate_scan(e, 2), e)
    run = subprocess.run(
        [sys.executable, "-c", "from nexusformat.scripts.nxvalidate import main; main()", "-e", str(tmp_path / "x.nxs")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "Total number of errors: 0" in run.stdout + run.stderr, run.stdout + run.stderr


@pytest.mark.parametrize("make", [experiment, four], ids=["tilted", "panels"])
def test_the_reader_of_diamond_sees_the_same_geometry(tmp_path, make):
    nxmx = pytest.importorskip("nxmx")
    e = make()
    write_nxmx(tmp_path / "x.nxs", nb.simulate_scan(e, 3), e)
    expected = of_experiment(e).along_beam().turned(FROM_NEXUS)
    with h5py.File(tmp_path / "x.nxs") as file:
        entry = nxmx.NXmx(file).entries[0]
        modules = entry.instruments[0].detectors[0].modules
        assert len(modules) == len(expected.panels)
        for module, panel in zip(modules, expected.panels, strict=True):
            chain = nxmx.get_dependency_chain(module.fast_pixel_direction.depends_on)
            matrix = nxmx.get_cumulative_transformation(chain)[0]
            np.testing.assert_allclose(matrix[:3, 3], panel.origin, atol=1e-6)  # measured 1e-15
            np.testing.assert_allclose(matrix[:3, :3] @ module.fast_pixel_direction.vector, panel.fast, atol=1e-6)
            np.testing.assert_allclose(matrix[:3, :3] @ module.slow_pixel_direction.vector, panel.slow, atol=1e-6)
        axis = nxmx.get_rotation_axes(nxmx.get_dependency_chain(entry.samples[0].depends_on))
        np.testing.assert_allclose(axis.axes[0], expected.spindle, atol=1e-12)
        assert entry.instruments[0].beams[0].incident_wavelength.magnitude == pytest.approx(1.1)


def test_cbf_round_trip_and_fabio(tmp_path):
    e = flat()
    images = counts(e)
    names = write_frames(tmp_path / "x_####.cbf", images, e, sidecar=True)
    assert [name[-10:] for name in names] == ["x_0001.cbf", "x_0002.cbf", "x_0003.cbf"]
    pixels, _ = read_cbf(names[1])
    np.testing.assert_array_equal(pixels, np.where(e.detector.mask, images[1].astype(int), -1))
    np.testing.assert_array_equal(fabio.open(names[1]).data, pixels)
    after = nb.Experiment.from_image(names[0], e)
    geometries_agree(e, after, 1e-7)  # the header's digits; measured 1e-9
    assert nb.Experiment.from_image(names[2], e).goniometer.phi_start_deg == pytest.approx(13.0)
    exact = nb.Experiment.from_dials(tmp_path / "x.expt", e)
    geometries_agree(e, exact, 1e-12)
    assert json.loads((tmp_path / "x.expt").read_text())["imageset"][0]["template"].endswith("x_####.cbf")


@pytest.mark.parametrize("dialect", ["dxtbx", "nanobragg"])
def test_smv_round_trip_and_fabio(tmp_path, dialect):
    e = flat()
    images = counts(e)
    names = write_frames(tmp_path / "x_####.img", images, e, dialect=dialect, adc_offset=10)
    pixels, header = read_smv(names[2])
    np.testing.assert_array_equal(pixels, images[2])
    np.testing.assert_array_equal(fabio.open(names[2]).data, images[2])
    assert ("BEAMLINE" in header) == (dialect == "nanobragg")
    assert float(header["OSC_START"]) == 13.0
    geometries_agree(e.replace("beam.kahn_factor", 0.0), nb.Experiment.from_image(names[0], e.replace("beam.kahn_factor", 0.0)),
                     1e-9 if dialect == "dxtbx" else 1e-5)  # fmt: skip
    if dialect == "dxtbx":  # an ADSC header has the beam center as slow, fast
        placed = of_experiment(e).panels[0].origin
        assert float(header["BEAM_CENTER_X"]) == pytest.approx(placed[1])
        assert float(header["BEAM_CENTER_Y"]) == pytest.approx(-placed[0])
        assert {"TIME", "DATE"} <= set(header) and header["ADC_OFFSET"] == "10"


@pytest.mark.parametrize(
    ("dtype", "given", "stated"), [("uint16", None, 65535), ("int32", None, 2**31 - 1), ("int32", 9000, 9000)]
)
def test_saturation_is_stated(tmp_path, dtype, given, stated):
    e = flat()
    images = [nb.add_noise(nb.simulate(e), seed=1, dtype=dtype)]
    more = {"saturation": given}
    write_nxmx(tmp_path / "x.nxs", images, e, **more)
    with h5py.File(tmp_path / "x.nxs") as file:
        assert file["entry/instrument/detector/saturation_value"][()] == stated
    write_cbf(tmp_path / "x_0001.cbf", images[0], e, **more)
    assert f"Count_cutoff {stated} counts".encode() in (tmp_path / "x_0001.cbf").read_bytes()
    write_smv(tmp_path / "x.img", images[0].astype(np.uint16), e, dialect="dxtbx", **more)
    assert read_smv(tmp_path / "x.img")[1]["CCD_IMAGE_SATURATION"] == str(
        min(stated, 65535) if given is None else given
    )


@pytest.mark.parametrize("suffix", ["tif", "edf"])
def test_tiff_and_edf_hold_floats_and_counts(tmp_path, suffix):
    e = flat()
    image = nb.simulate(e)
    for data, name in ((image, "float"), (nb.add_noise(image, seed=1), "count")):
        path = write_frames(tmp_path / f"{name}_##.{suffix}", [data], e)[0]
        stored = read_image(path)
        np.testing.assert_array_equal(stored, data.astype(np.float32) if name == "float" else data)


@pytest.mark.parametrize("name", ["x.nxs", "x_0001.cbf", "x_0001.img", "x_0001.tif", "x_0001.edf"])
def test_provenance(tmp_path, name):
    e = flat()
    images = counts(e, 1)
    if name.endswith("nxs"):
        write_nxmx(tmp_path / name, images, e, provenance={"noise_seed": 5})
    else:
        write_frames(tmp_path / name.replace("0001", "####"), images, e, provenance={"noise_seed": 5})
    record = read_provenance(tmp_path / name)
    assert record["program"] == "nanobragg" and record["noise_seed"] == 5
    assert record["experiment"]["nanobragg_version"] == nb.__version__
    assert record["experiment"]["quirks"] == [] and record["experiment"]["crystal"]["mosaic"]["seed"] == 12345678
    assert record["experiment"]["detector"]["mask"]["shape"] == [26, 30]
    assert len(record["experiment"]["detector"]["mask"]["sha256"]) == 64
    assert record["experiment"]["crystal"]["misset_deg"] == [10.0, 20.0, 30.0]


def test_no_provenance(tmp_path):
    write_smv(tmp_path / "x.img", np.zeros((5, 5), np.uint16))
    with pytest.raises(FileFormatError, match="holds no provenance"):
        read_provenance(tmp_path / "x.img")


def test_frame_names():
    assert frame_path("a/out_##.cbf", 3) == "a/out_03.cbf"
    assert frame_path("out.img", 12345) == "out_12345.img"


def test_what_the_formats_cannot_hold(tmp_path):
    tilted, upright = experiment(), flat()
    image = nb.simulate(upright)
    with pytest.raises(ConfigError, match="at right angles to the beam"):
        write_cbf(tmp_path / "x.cbf", nb.add_noise(nb.simulate(tilted), seed=1), tilted)
    with pytest.raises(ConfigError, match="hold one panel"):
        write_cbf(tmp_path / "x.cbf", np.zeros((20, 24), int), four())
    with pytest.raises(ConfigError, match=r"this format holds whole counts; use add_noise"):
        write_cbf(tmp_path / "x.cbf", image, upright)
    with pytest.raises(ConfigError, match=r"whole counts"):
        write_frames(tmp_path / "x.img", [image], upright)
    with pytest.raises(ConfigError, match="must be the detector's"):
        write_nxmx(tmp_path / "x.nxs", image[:5], upright)
    with pytest.raises(ConfigError, match="at least one image"):
        write_nxmx(tmp_path / "x.nxs", [], upright)
    still = upright.replace(goniometer=nb.Goniometer())
    with pytest.raises(ConfigError, match=r"osc_deg=.*must be > 0 for 2 images"):
        write_nxmx(tmp_path / "x.nxs", [image, image], still)
    with pytest.raises(ConfigError, match=r"must be > 0 for 2 images"):
        nb.simulate_scan(still, 2)
    with pytest.raises(ConfigError, match="compression"):
        write_nxmx(tmp_path / "x.nxs", image, upright, compression="zip")
    with pytest.raises(ConfigError, match="no known image format"):
        write_frames(tmp_path / "x.xyz", [image], upright)
    with pytest.raises(ConfigError, match="dialect"):
        write_smv(tmp_path / "x.img", np.zeros((26, 30), np.uint16), experiment=upright, dialect="adsc")
    assert list(tmp_path.iterdir()) == [], "nothing is half written"
    with pytest.raises(FileFormatError, match="cannot be written"):
        write_nxmx(tmp_path / "missing" / "x.nxs", image, upright)


def test_a_scan_is_its_images():
    e = experiment()
    images = list(nb.simulate_scan(e, 3))
    np.testing.assert_array_equal(images[2], nb.simulate(e.replace("goniometer.phi_start_deg", 17.0)))
    region = (slice(3, 9), slice(0, 5))
    part = next(nb.simulate_scan(e, 3, roi=region))
    np.testing.assert_array_equal(part[region], images[0][region])


@pytest.fixture
def stored(tmp_path):
    e = four()
    path = tmp_path / "x.nxs"
    write_nxmx(path, nb.simulate(e), e)
    return path


DETECTOR = "/entry/instrument/detector"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["/entry/instrument/beam/incident_wavelength"].attrs.update(units="furlong"),
         r"incident_wavelength: units='furlong': expected one of angstrom"),
        (lambda f: f[f"{DETECTOR}/module_0001/module_offset"].attrs.update(units="deg"), r"module_offset: units='deg': expected"),
        (lambda f: f[f"{DETECTOR}/module_0002/fast_pixel_direction"].attrs.__delitem__("units"), "has no units"),
        (lambda f: f[f"{DETECTOR}/module_0001/module_offset"].attrs.update(depends_on="/entry/nowhere"),
         r"module_0001/module_offset: depends on /entry/nowhere, which is not there"),
        (lambda f: f[f"{DETECTOR}/transformations/translation"].attrs.update(depends_on="translation"), "depends on itself"),
        (lambda f: f[f"{DETECTOR}/module_0001/module_offset"].attrs.update(transformation_type="swirl"), "must be transl"),
        (lambda f: f["/entry/instrument"].__delitem__("beam"), "holds no NXbeam"),
        (lambda f: [f[DETECTOR].__delitem__(f"module_{i:04d}") for i in range(4)], "holds no NXdetector_module"),
        (lambda f: f[f"{DETECTOR}/module_0003"].__delitem__("data_size"), "module_0003/data_size: is missing"),
    ],
)  # fmt: skip
def test_nxmx_that_cannot_be_read(stored, change, message):
    with h5py.File(stored, "r+") as file:
        change(file)
    with pytest.raises(FileFormatError, match=message) as caught:
        nb.Experiment.from_image(stored, four())
    assert "x.nxs" in str(caught.value)


def test_lengths_and_angles_in_other_units(stored):
    before = nb.Experiment.from_image(stored, four())
    with h5py.File(stored, "r+") as file:
        item = file[f"{DETECTOR}/module_0001/module_offset"]
        item[()] = item[()] / 1000
        item.attrs["units"] = "m"
        omega = file["/entry/sample/transformations/omega"]
        omega[...] = np.radians(omega[()])
        omega.attrs["units"] = "rad"
        wavelength = file["/entry/instrument/beam/incident_wavelength"]
        wavelength[()] = wavelength[()] / 10
        wavelength.attrs["units"] = "nm"
    geometries_agree(before, nb.Experiment.from_image(stored, four()), 1e-9)


def test_truncated_files(tmp_path, stored):
    data = stored.read_bytes()
    stored.write_bytes(data[: len(data) // 2])
    with pytest.raises(FileFormatError, match="is it truncated"):
        nb.Experiment.from_image(stored, four())
    e = flat()
    path = tmp_path / "x.cbf"
    write_cbf(path, counts(e, 1)[0], e)
    data = path.read_bytes()
    for length in (2700, 500, 10):
        path.write_bytes(data[:length])
        with pytest.raises(FileFormatError, match=r"truncated|no geometry|as an image"):
            nb.Experiment.from_image(path, e)
    begin = data.index(b"\x0c\x1a\x04\xd5")
    path.write_bytes(data[: begin + 200])
    with pytest.raises(FileFormatError, match=r"bytes of compressed pixels, expected \d+; is it truncated"):
        read_cbf(path)
    path.write_bytes(data.replace(b"Beam_xy", b"Beam_zy"))
    with pytest.raises(FileFormatError, match=r"has no line '# Beam_xy ...'"):
        nb.Experiment.from_image(path, e)
    (tmp_path / "x.tif").write_bytes(b"II*\0junk")
    with pytest.raises(FileFormatError, match="cannot be read as an image"):
        read_image(tmp_path / "x.tif")
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_image(tmp_path / "missing.cbf")


def test_smv_headers_that_do_not_describe_a_tilt(tmp_path):
    e = experiment()
    image = nb.add_noise(nb.simulate(e), seed=1)
    write_smv(tmp_path / "x.img", image, experiment=e)
    with pytest.raises(FileFormatError, match=r"TWOTHETA=12: .*use the experiment list"):
        nb.Experiment.from_image(tmp_path / "x.img", e)
    e = experiment(twotheta_deg=0.0)
    write_smv(tmp_path / "y.img", nb.add_noise(nb.simulate(e), seed=1), experiment=e)
    with pytest.raises(FileFormatError, match="the detector is tilted"):
        nb.Experiment.from_image(tmp_path / "y.img", e)


def stills(n=3, make=experiment):
    """Shots that differ in orientation, wavelength and flux."""
    rng = np.random.default_rng(7)
    for i in range(n):
        goniometer = nb.Goniometer(phi_start_deg=float(rng.uniform(0, 20)))
        beam = nb.Beam(wavelength_angstrom=1.1 + 0.01 * i, flux_per_s=(i + 1) * 1e11, size_mm=0.05, kahn_factor=0.5)
        turned = make().replace("crystal.misset_deg", tuple(rng.uniform(0, 90, 3)))
        yield turned.replace(beam=beam, goniometer=goniometer)


@pytest.mark.parametrize("make", [experiment, four], ids=["one", "panels"])
def test_stills_share_a_file(tmp_path, make):
    shots = list(stills(make=make))
    images = [nb.simulate(shot) for shot in shots]
    write_nxmx(tmp_path / "shots.nxs", images, shots, provenance={"noise_seed": 3})
    for i, (shot, image) in enumerate(zip(shots, images, strict=True)):
        np.testing.assert_array_equal(read_image(tmp_path / "shots.nxs", i + 1), np.asarray(image).astype(np.float32))
        again = nb.read_geometry(tmp_path / "shots.nxs", template=shot, image=i + 1)
        assert again.beam.wavelength_angstrom == pytest.approx(1.1 + 0.01 * i, rel=1e-12)
        assert again.beam.flux_per_s == pytest.approx((i + 1) * 1e11)
        assert again.goniometer.phi_start_deg == pytest.approx(shot.goniometer.phi_start_deg)
        first, second = np.asarray(image), np.asarray(nb.simulate(again))
        assert np.abs(first - second).max() < SAME * first.max()  # measured 1e-13
    recorded = read_provenance(tmp_path / "shots.nxs")
    assert recorded["noise_seed"] == 3
    assert [one["beam"]["wavelength_angstrom"] for one in recorded["experiments"]] == [
        shot.beam.wavelength_angstrom for shot in shots
    ]


def test_stills_that_do_not_go_together_are_refused(tmp_path):
    shots = list(stills(2))
    images = [nb.simulate(shot) for shot in shots]
    for changed, hint in (
        (shots[1].replace("goniometer.osc_deg", 1.0), r"experiment\[1\].goniometer.osc_deg"),
        (shots[1].replace("detector.distance_mm", 200.0).replace("detector.pix0_mm", (200.0, 1.0, 1.0)), "detector"),
        (shots[1].replace("beam.kahn_factor", 0.1), "kahn_factor"), (shots[1].replace("beam.exposure_s", 2.0), "exposure_s"),
    ):  # fmt: skip
        with pytest.raises(nb.ConfigError, match=hint):
            write_nxmx(tmp_path / "x.nxs", images, [shots[0], changed])
    with pytest.raises(nb.ConfigError, match="must be 2, one for each"):
        write_nxmx(tmp_path / "x.nxs", images[:1], shots)
    with pytest.raises(nb.ConfigError, match="one for each image"):
        write_nxmx(tmp_path / "x.nxs", images, [])
    with pytest.raises(nb.ConfigError, match="sidecar"):
        write_nxmx(tmp_path / "x.nxs", images, shots, sidecar=True)
    assert not (tmp_path / "x.nxs").exists()


def test_a_flux_is_kept_but_never_overrules_the_fluence_of_a_template(tmp_path):
    shot = next(stills(1))
    shot.to_dials(tmp_path / "x.expt")
    assert (
        nb.Experiment.from_dials(tmp_path / "x.expt", structure_factors=shot.crystal.structure_factors).beam.flux_per_s
        == 1e11
    )
    told = shot.replace(beam=nb.Beam(fluence_per_m2=1e20))
    assert nb.Experiment.from_dials(tmp_path / "x.expt", told).beam.flux_per_s is None
