"""Geometry in files of DIALS, XDS, MOSFLM and CrystFEL: the image before and after is the same; bad files."""

import dataclasses
import json

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.derivation import panels
from nanobragg.errors import ConfigError, FileFormatError, NanoBraggWarning
from nanobragg.exchange.geometry import of_experiment
from nanobragg.io import write_frames, write_nxmx
from nanobragg.io.geometry.axes import FROM_XDS, rotation

SAME = 1e-9
"""Largest difference of two images relative to the maximum; measured: below 5e-12 everywhere."""


def experiment(convention="mosflm", **detector):
    """Tilted, swung, not square, off center, rotating, triclinic, with mosaic domains."""
    values = {"n_fast": 23, "n_slow": 19, "pixel_size_mm": 0.9, "distance_mm": 80.0, "rotation_deg": (3, -2, 5),
              "twotheta_deg": 12.0, "beam_center_mm": (9.0, 7.5), "convention": convention, **detector}  # fmt: skip
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(30, 40, 50, 80, 95, 105), n_cells=(6, 5, 4), misset_deg=(10, 20, 30),
                           mosaic=nb.Mosaic(spread_deg=0.5, n_domains=3),
                           structure_factors=nb.StructureFactors.constant(50.0)),
        beam=nb.Beam(wavelength_angstrom=1.1, kahn_factor=0.7), goniometer=nb.Goniometer(phi_start_deg=15, osc_deg=1, n_steps=2),
        detector=nb.Detector(**values), sampling=nb.Sampling(oversample=1),
    )  # fmt: skip


def assert_same_image(before, after):
    first, second = nb.simulate(before), nb.simulate(after)
    assert np.abs(np.asarray(first) - np.asarray(second)).max() < SAME * np.max(first)


@pytest.mark.parametrize("convention", ["mosflm", "denzo", "adxv", "xds", "dials"])
@pytest.mark.parametrize("program", ["dials", "xparm", "xds_inp", "mosflm"])
def test_round_trip(tmp_path, program, convention):
    before = experiment(convention)
    path = tmp_path / "file"
    if program == "dials":
        before.to_dials(path)
        after = nb.Experiment.from_dials(path, before)
    elif program == "mosflm":
        before.to_mosflm(path, digits=17)
        after = nb.Experiment.from_mosflm(path, before)
    else:
        getattr(before, f"to_{program}")(path)
        after = nb.Experiment.from_xds(path, before)
    assert after.crystal.a_star_matrix is not None and after.crystal.unit_cell is None
    assert_same_image(before, after)


OBLONG = {"pixel_size_mm": (0.9, 1.05)}
SKEWED = {"slow_axis": (0.1, -1.0, 0.12), "pixel_size_mm": (0.9, 1.05)}


@pytest.mark.parametrize("convention", ["mosflm", "xds"])
@pytest.mark.parametrize(("program", "detector"), [
    ("x.expt", OBLONG), ("x.expt", SKEWED), ("XPARM.XDS", OBLONG), ("XDS.INP", OBLONG), ("x.geom", OBLONG),
    ("x.geom", SKEWED), ("x.nxs", OBLONG), ("x.nxs", SKEWED), ("x.json", OBLONG), ("x.json", SKEWED),
])  # fmt: skip
def test_oblong_and_skewed_pixels(tmp_path, program, detector, convention):
    """Both edges, and the angle between the axes, come back from every format that can hold them."""
    if detector is SKEWED and convention == "xds":
        detector = {**SKEWED, "slow_axis": (0.12, 1.0, 0.1)}
    before, path = experiment(convention, **detector).replace("goniometer", nb.Goniometer()), tmp_path / program
    if program == "x.nxs":
        write_nxmx(path, [nb.simulate(before)], before)
        after = nb.Experiment.from_image(path, before)
    elif program == "x.json":
        after = nb.Experiment.from_json(before.to_json())
    else:
        nb.write_geometry(before, path)
        after = nb.read_geometry(path, template=before)
    assert after.detector.pixel_size_mm == pytest.approx((0.9, 1.05), rel=1e-12)
    assert_same_image(before, after)


def test_formats_that_hold_one_edge_or_a_right_angle(tmp_path):
    flat = experiment(pixel_size_mm=(0.9, 0.9001), rotation_deg=(0, 0, 0), twotheta_deg=0.0)
    with pytest.raises(
        ConfigError, match=r"pixel_size_mm=\(0.9, 0.9001\): an SMV header holds one edge .* use to_dials"
    ):
        write_frames(tmp_path / "x_####.img", [np.zeros((19, 23), int)], flat)
    nearly = flat.replace("detector.pixel_size_mm", (0.9, 0.9 * (1 + 9e-6)))
    (name,) = write_frames(tmp_path / "x_####.img", [np.zeros((19, 23), int)], nearly)
    assert nb.Experiment.from_image(name, flat).detector.pixel_size_mm == pytest.approx(0.9, rel=1e-5)
    with pytest.raises(ConfigError, match=r"slow_axis=.*0.119.*: files of XDS hold axes that are perpendicular"):
        experiment(**SKEWED).to_xparm(tmp_path / "XPARM.XDS")


@pytest.mark.parametrize("convention", ["mosflm", "xds"])
def test_round_trip_crystfel(tmp_path, convention):
    before = experiment(convention).replace(goniometer=nb.Goniometer())
    before.to_crystfel(tmp_path / "x.geom", tmp_path / "x.stream")
    after = nb.Experiment.from_crystfel(tmp_path / "x.geom", tmp_path / "x.stream", before, wavelength_angstrom=1.1)
    assert_same_image(before, after)


@pytest.mark.parametrize("program", ["dials", "crystfel"])
def test_round_trip_of_several_panels(tmp_path, program):
    whole = experiment(n_fast=24, n_slow=20).replace(goniometer=nb.Goniometer())
    before = panels.split(whole, 2, 2).replace("detector_pose", nb.Pose(shift_mm=(1, 2, 3), rotation_deg=(1, 2, 3)))
    mask = np.ones((10, 12), bool)
    mask[2:5, 3:7] = mask[8, 8] = False
    before = before.replace("detector[2].mask", mask)
    if program == "dials":
        before.to_dials(tmp_path / "x")
        after = nb.Experiment.from_dials(tmp_path / "x", before)
        np.testing.assert_array_equal(after.detector[2].mask, mask)
    else:
        before.to_crystfel(tmp_path / "x", tmp_path / "y")
        after = nb.Experiment.from_crystfel(tmp_path / "x", tmp_path / "y", before, wavelength_angstrom=1.1)
    assert len(after.detector) == 4 and after.detector_pose is None
    assert_same_image(before, after)


def test_a_beam_off_the_axis_and_a_rotated_still(tmp_path):
    # the angle of a still goes into the orientation, which domains with random rotations about lab axes would notice
    before = experiment().replace("crystal.mosaic", nb.Mosaic()).replace("beam.direction", (1.0, 0.02, -0.03))
    before = before.replace("goniometer", nb.Goniometer(phi_start_deg=33.0))
    before.to_dials(tmp_path / "x")
    assert_same_image(before, nb.Experiment.from_dials(tmp_path / "x", before))
    before.to_xparm(tmp_path / "y")
    assert_same_image(before, nb.Experiment.from_xds(tmp_path / "y", before))


def test_a_sensor_survives(tmp_path):
    before = experiment(sensor=nb.Sensor(thickness_um=320.0, attenuation_um=250.0, n_layers=3))
    before.to_dials(tmp_path / "x")
    after = nb.Experiment.from_dials(tmp_path / "x", before)
    assert after.detector.sensor.thickness_um == pytest.approx(320, rel=1e-12)
    assert_same_image(before, after)


def test_the_frames_are_those_of_the_programs(tmp_path):
    """A flat detector as every program sees it (docs/file_formats.md, Geometry files)."""
    flat = nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(50, 60, 70, 90, 90, 90), structure_factors=nb.StructureFactors.constant(1.0)),
        detector=nb.Detector(n_fast=1000, n_slow=900, pixel_size_mm=0.15, distance_mm=150, beam_center_mm=(75.15, 60.0)),
        goniometer=nb.Goniometer(osc_deg=0.5),
    )  # fmt: skip
    flat.to_dials(tmp_path / "x.expt", n_images=20)
    data = json.loads((tmp_path / "x.expt").read_text())
    panel = data["detector"][0]["panels"][0]
    np.testing.assert_allclose(panel["origin"], (-75.15, 60.0, -150.0), atol=1e-12)
    np.testing.assert_allclose(panel["fast_axis"], (1, 0, 0), atol=1e-15)
    np.testing.assert_allclose(panel["slow_axis"], (0, -1, 0), atol=1e-15)
    assert panel["image_size"] == [1000, 900]
    np.testing.assert_allclose(data["beam"][0]["direction"], (0, 0, 1), atol=1e-15)
    np.testing.assert_allclose(np.abs(data["beam"][0]["polarization_normal"]), (0, 1, 0), atol=1e-15)
    np.testing.assert_allclose(data["goniometer"][0]["rotation_axis"], (1, 0, 0), atol=1e-15)
    assert data["scan"][0]["image_range"] == [1, 20] and data["scan"][0]["oscillation"] == [0.0, 0.5]
    flat.to_xparm(tmp_path / "XPARM.XDS")
    lines = (tmp_path / "XPARM.XDS").read_text().splitlines()
    org_x, org_y, distance = map(float, lines[8].split())
    # 75.15 mm/0.15 mm + 0.5: counted from 1 at the center of the first pixel
    assert (org_x, org_y, distance) == pytest.approx((501.5, 400.5, 150.0), abs=1e-9)
    np.testing.assert_allclose([float(x) for x in lines[1].split()[3:]], (1, 0, 0), atol=1e-15)
    np.testing.assert_allclose([[float(x) for x in line.split()] for line in lines[9:12]], np.eye(3), atol=1e-15)
    flat.to_crystfel(tmp_path / "x.geom")
    geom = dict(line.split(" = ") for line in (tmp_path / "x.geom").read_text().splitlines() if " = " in line)
    assert float(geom["panel/corner_x"]) == pytest.approx(75.15 / 0.15) and float(
        geom["panel/corner_y"]
    ) == pytest.approx(400)
    assert float(geom["clen"].removesuffix(" m")) + float(geom["panel/coffset"]) == pytest.approx(0.15)


def test_goniometers_with_fixed_and_setting_rotations(tmp_path):
    """r(phi) = S R(phi) F r, and the same with the axes of a kappa goniometer."""
    base = experiment()
    base.to_dials(tmp_path / "x")
    data = json.loads((tmp_path / "x").read_text())
    axis = np.array(data["goniometer"][0]["rotation_axis"])
    fixed, setting = rotation(np.array([1.0, 2, 3]), 20), rotation(np.array([0.0, 1, 0]), 30)
    axes = np.array([data["crystal"][0][f"real_space_{x}"] for x in "abc"])
    moved = json.loads(json.dumps(data))
    inner = fixed.T @ axes.T  # undone by F
    for i, x in enumerate("abc"):
        moved["crystal"][0][f"real_space_{x}"] = inner[:, i].tolist()
    moved["goniometer"][0]["fixed_rotation"] = fixed.ravel().tolist()
    (tmp_path / "y").write_text(json.dumps(moved))
    assert_same_image(base, nb.Experiment.from_dials(tmp_path / "y", base))
    moved["crystal"][0] |= {f"real_space_{x}": (fixed.T @ setting.T @ axes[i]).tolist() for i, x in enumerate("abc")}
    moved["goniometer"][0] |= {
        "setting_rotation": setting.ravel().tolist(),
        "rotation_axis": (setting.T @ axis).tolist(),
    }
    (tmp_path / "z").write_text(json.dumps(moved))
    assert_same_image(base, nb.Experiment.from_dials(tmp_path / "z", base))
    kappa = json.loads(json.dumps(moved))
    kappa["goniometer"][0] = {"axes": [[1, 2, 3], (setting.T @ axis).tolist(), [0, 1, 0]], "angles": [20, 0, 30],
                              "names": ["phi", "omega", "arm"], "scan_axis": 1}  # fmt: skip
    (tmp_path / "k").write_text(json.dumps(kappa))
    assert_same_image(base, nb.Experiment.from_dials(tmp_path / "k", base))


def test_panel_hierarchies_are_multiplied_down(tmp_path):
    base = experiment(n_fast=24, n_slow=20)
    before = panels.split(base, 1, 2)
    before.to_dials(tmp_path / "x")
    data = json.loads((tmp_path / "x").read_text())
    detector = data["detector"][0]
    turn, shift = rotation(np.array([1.0, 1, 0]), 25), np.array([3.0, -4, 5])
    for panel in detector["panels"]:  # into the frame of a group that is rotated and shifted
        panel["origin"] = (turn.T @ (np.array(panel["origin"]) - shift)).tolist()
        for axis in ("fast_axis", "slow_axis"):
            panel[axis] = (turn.T @ panel[axis]).tolist()
    group = {"fast_axis": turn[:, 0].tolist(), "slow_axis": turn[:, 1].tolist(), "origin": shift.tolist(),
             "children": [{"panel": 1}]}  # fmt: skip
    detector["hierarchy"] |= {"children": [{**group, "children": [{"panel": 0}]}, group]}
    (tmp_path / "y").write_text(json.dumps(data))
    assert_same_image(before, nb.Experiment.from_dials(tmp_path / "y", before))


def test_images_of_a_scan_old_and_new(tmp_path):
    base = experiment()
    base.to_dials(tmp_path / "x", n_images=5)
    third = nb.Experiment.from_dials(tmp_path / "x", base, image=3)
    assert third.goniometer.phi_start_deg == 17.0 and third.goniometer.osc_deg == 1.0
    data = json.loads((tmp_path / "x").read_text())
    scan = data["scan"][0]
    del scan["oscillation"], scan["exposure_time"], scan["epochs"]
    scan["properties"] = {
        "oscillation": [15.0, 16.0, 17.0, 18.0, 19.0],
        "exposure_time": [0.1] * 5,
        "epochs": [0.0] * 5,
    }
    (tmp_path / "y").write_text(json.dumps(data))
    assert nb.Experiment.from_dials(tmp_path / "y", base, image=3).goniometer.phi_start_deg == 17.0
    with pytest.raises(FileFormatError, match=r"scan\[0\]: image=6: the scan has images 1 to 5"):
        nb.Experiment.from_dials(tmp_path / "y", base, image=6)
    base.to_xparm(tmp_path / "z")
    assert nb.Experiment.from_xds(tmp_path / "z", base, image=3).goniometer.phi_start_deg == 17.0


def test_without_a_template(tmp_path):
    base = experiment()
    base.to_dials(tmp_path / "x")
    with pytest.warns(NanoBraggWarning, match=r"no structure factors given, every one is 1 electron"):
        bare = nb.Experiment.from_dials(tmp_path / "x")
    assert nb.simulate(bare.replace("sampling.oversample", 1)).max() > 0
    given = nb.Experiment.from_dials(tmp_path / "x", structure_factors=nb.StructureFactors.constant(7.0))
    assert given.crystal.structure_factors.default_F == 7.0
    data = json.loads((tmp_path / "x").read_text())
    del data["experiment"][0]["crystal"]
    (tmp_path / "y").write_text(json.dumps(data))
    with pytest.raises(FileFormatError, match=r"holds no crystal; give template="):
        nb.Experiment.from_dials(tmp_path / "y", structure_factors=nb.StructureFactors.constant(7.0))
    assert nb.Experiment.from_dials(tmp_path / "y", base).crystal.misset_deg == (10.0, 20.0, 30.0)
    with pytest.raises(ConfigError, match=r"use template.with_fidelity\('corrected'\)"):
        nb.Experiment.from_dials(tmp_path / "x", base.with_fidelity("reference"))


def change(path, *steps):
    """Change one value deep inside a JSON file."""
    data = json.loads(path.read_text())
    *way, last, value = steps
    node = data
    for step in way:
        node = node[step]
    node[last] = value
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (("experiment", 0, "detector", 3), r"detector\[3\]: the experiment refers to it, but there are 1"),
        (("detector", 0, "hierarchy", "children", [{"panel": 4}]), r"hierarchy: refers to panel 4, there are panels 0 to 0"),
        (("detector", 0, "hierarchy", "children", []), r"panels \[0\] have no parent in the hierarchy"),
        (("detector", 0, "panels", 0, "pixel_size", [0.1, 0]), r"panels\[0\]: pixels of 0.1 x 0 mm; both edges must be > 0"),
        (("detector", 0, "panels", 0, "fast_axis", [0, 0, 0]), r"panels\[0\]: .* no direction"),
        (("beam", 0, "__id__", "polychromatic"), r"beam\[0\]: is a polychromatic beam"),
        (("beam", 0, "direction", "up"), r"beam\[0\]:"),
        (("crystal", 0, "real_space_a", [0, 0, 0]), r"crystal\[0\]: a, b, c lie in a plane"),
        (("experiment", []), "has no entry 'experiment'"),
    ],
)  # fmt: skip
def test_experiment_lists_that_cannot_be_read(tmp_path, steps, message):
    base = experiment()
    base.to_dials(tmp_path / "x.expt")
    change(tmp_path / "x.expt", *steps)
    with pytest.raises(FileFormatError, match=message) as caught:
        nb.Experiment.from_dials(tmp_path / "x.expt", base)
    assert "x.expt" in str(caught.value)


def test_a_scan_backwards_turns_about_the_opposite_axis(tmp_path):
    base = experiment()
    base.to_dials(tmp_path / "x.expt")
    change(tmp_path / "x.expt", "scan", 0, "oscillation", [16.0, -1.0])
    found = nb.Experiment.from_dials(tmp_path / "x.expt", base)
    axis = nb.Experiment.from_dials(_written(base, tmp_path / "y.expt"), base).goniometer.axis
    np.testing.assert_allclose(found.goniometer.axis, -np.array(axis), atol=1e-15)
    assert (found.goniometer.phi_start_deg, found.goniometer.osc_deg) == (-16.0, 1.0)


def _written(experiment, path):
    experiment.to_dials(path)
    return path


@pytest.mark.parametrize(
    ("kind", "values", "model", "spread"),
    [
        ("crystal", {"ML_half_mosaicity_deg": 0.25, "ML_domain_size_ang": 1000.0}, "ball", 0.25),
        ("crystal", {"mosaicity": 0.11}, "gaussian", 0.11),
        ("profile", {"__id__": "gaussian_rs", "sigma_b": 0.02, "sigma_m": [0.06, 0.08]}, "gaussian", 0.07),
        ("crystal", {"mosaicity": 0.0, "ML_half_mosaicity_deg": None}, "cap", 0.0),
    ],
)
def test_mosaicity_and_block_size_of_an_experiment_list(tmp_path, kind, values, model, spread):
    """A template that has a mosaicity and a size of its own keeps them."""
    base = experiment()
    base.to_dials(tmp_path / "x")
    data = json.loads((tmp_path / "x").read_text())
    if kind == "profile":
        data["profile"].append({})
        data["experiment"][0]["profile"] = 0
    data[kind][0].update(values)
    (tmp_path / "y").write_text(json.dumps(data))
    bare = base.replace("crystal.n_cells", (1, 1, 1)).replace("crystal.mosaic", nb.Mosaic())
    found = nb.Experiment.from_dials(tmp_path / "y", bare).crystal
    assert (found.mosaic.model, found.mosaic.spread_deg) == (model, spread)
    edges = of_experiment(base).parameters[:3]
    cells = [float(round(1000.0 / edge)) for edge in edges] if "ML_domain_size_ang" in values else [1.0, 1.0, 1.0]
    assert list(found.n_cells) == cells
    own = base.replace("crystal.n_cells", (5, 6, 7)).replace("crystal.mosaic", nb.Mosaic(spread_deg=0.4))
    kept = nb.Experiment.from_dials(tmp_path / "y", own).crystal
    assert (kept.mosaic.model, kept.mosaic.spread_deg, tuple(kept.n_cells)) == ("cap", 0.4, (5.0, 6.0, 7.0))
    data[kind][0].update({name: -1.0 for name in values if name not in ("__id__", "sigma_b")})
    (tmp_path / "z").write_text(json.dumps(data))
    with pytest.raises(FileFormatError, match=r"must be a number >= 0"):
        nb.Experiment.from_dials(tmp_path / "z", bare)


def test_the_first_of_several_crystals_is_taken_with_a_warning(tmp_path):
    base = experiment()
    base.to_dials(tmp_path / "x")
    data = json.loads((tmp_path / "x").read_text())
    second = json.loads(json.dumps(data["crystal"][0]))
    second["real_space_a"] = [2 * x for x in second["real_space_a"]]
    data["crystal"].append(second)
    data["experiment"].append({**data["experiment"][0], "crystal": 1})
    (tmp_path / "y").write_text(json.dumps(data))
    with pytest.warns(
        nb.NanoBraggWarning, match=r"holds 2 experiments \(2 crystals\); the first is taken, .*index=0 to 1"
    ):
        assert_same_image(base, nb.Experiment.from_dials(tmp_path / "y", base))
    assert_same_image(base, nb.Experiment.from_dials(tmp_path / "y", base, index=0))
    other = nb.Experiment.from_dials(tmp_path / "y", base, index=1)
    assert np.linalg.norm(other.crystal.a_star_matrix[0]) != pytest.approx(
        np.linalg.norm(of_experiment(base).a_star[0])
    )
    (tmp_path / "z").write_text("{not json")
    with pytest.raises(FileFormatError, match=r"is not JSON"):
        nb.Experiment.from_dials(tmp_path / "z", base)


def test_xds_files_that_cannot_be_read(tmp_path):
    base = experiment()
    base.to_xparm(tmp_path / "good")
    lines = (tmp_path / "good").read_text().splitlines()
    for name, text, message in (
        ("short", "\n".join(lines[:7]), "is it truncated"),
        ("words", "\n".join([*lines[:3], "a b c d e f g", *lines[4:]]), ":4:"),
        ("few", "\n".join([*lines[:8], "1 2", *lines[9:]]), ":9: 2 numbers, expected 3"),
        ("segments", "\n".join([*lines[:7], "5 10 10 0.1 0.1", *lines[8:]]), "5 detector segments"),
        ("other", "hello\n", "neither XPARM.XDS"),
        ("input", "NX= 100 NY= 100 QX= 0.1 QY= 0.1 ORGX= 50\n", "has no ORGY="),
        ("value", "NX= 100 NY= 100 QX= 0.1 QY= 0.1 ORGX= here\n", "ORGX= here: not 1 numbers"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(FileFormatError, match=message):
            nb.Experiment.from_xds(tmp_path / name, base)
    with pytest.raises(ConfigError, match=r"files of XDS hold one panel"):
        panels.split(experiment(n_fast=24, n_slow=20), 2, 2).to_xparm(tmp_path / "x")
    with pytest.raises(ConfigError, match=r"curved"):
        experiment(curved=True).to_dials(tmp_path / "x")


def test_xds_inp_with_comments_and_several_keys_on_a_line(tmp_path):
    (tmp_path / "XDS.INP").write_text("""! a comment with ORGX= 1
 NX=2463 NY=2527 QX=0.172  QY=0.172 ! pixels
ORGX=1230.5 ORGY=1263.5
DETECTOR_DISTANCE= 200
DIRECTION_OF_DETECTOR_X-AXIS= 1 0 0
ROTATION_AXIS= 1 0 0  X-RAY_WAVELENGTH= 0.9795
STARTING_ANGLE= 10 STARTING_FRAME= 1 OSCILLATION_RANGE=0.1
FRACTION_OF_POLARIZATION=0.99 POLARIZATION_PLANE_NORMAL= 0 1 0
SPACE_GROUP_NUMBER=0
UNIT_CELL_CONSTANTS= 50 60 70 90 90 90
""")
    found = nb.Experiment.from_xds(tmp_path / "XDS.INP", structure_factors=nb.StructureFactors.constant(1.0), image=11)
    assert found.crystal.unit_cell.b == 60.0
    assert found.goniometer.phi_start_deg == pytest.approx(11.0)
    assert found.beam.kahn_factor == pytest.approx(0.98)
    geometry = of_experiment(found).turned(FROM_XDS)
    np.testing.assert_allclose(geometry.panels[0].origin, (-1230 * 0.172, -1263 * 0.172, 200), atol=1e-9)


def test_mosflm_files(tmp_path):
    base = experiment()
    base.to_mosflm(tmp_path / "x.mat")
    eight = nb.Experiment.from_mosflm(tmp_path / "x.mat", base)
    exact = of_experiment(base).a_star
    assert np.abs(of_experiment(eight).a_star - exact).max() < 1e-8  # what 8 decimals hold
    text = (tmp_path / "x.mat").read_text().splitlines()
    (tmp_path / "y.mat").write_text("\n".join([*text[:3], "  0.5 -1.0 2.0", *text[4:]]))
    with pytest.warns(NanoBraggWarning, match=r"y.mat: the missets 0.5 -1 2 degrees turn the crystal"):
        missed = nb.Experiment.from_mosflm(tmp_path / "y.mat", base)
    again = dataclasses.replace(eight.crystal, misset_deg=(0.5, -1.0, 2.0))
    np.testing.assert_allclose(
        of_experiment(missed).a_star, of_experiment(eight.replace(crystal=again)).a_star, atol=1e-12
    )
    with pytest.raises(ConfigError, match=r"wavelength_angstrom"):
        nb.Experiment.from_mosflm(tmp_path / "x.mat")


@pytest.mark.parametrize("name", ["x.expt", "XDS.INP", "GXPARM.XDS", "x.geom", "x.stream", "x.mat"])
def test_any_format_by_name_and_content(tmp_path, name):
    """The name decides what is written, the content what is read, whatever the file is called then."""
    before = experiment().replace(goniometer=nb.Goniometer())
    nb.write_geometry(before, tmp_path / name)
    (tmp_path / name).rename(tmp_path / "file")
    stream = tmp_path / "x.stream" if name == "x.geom" else None
    after = nb.read_geometry(tmp_path / "file", template=before, stream=stream)
    if name == "x.mat":  # 8 decimals
        turned = np.asarray(nb.read_geometry(tmp_path / "file", wavelength_angstrom=1.1).crystal.a_star_matrix)
        assert np.abs(turned - after.crystal.a_star_matrix).max() < 1e-12
        assert np.abs(of_experiment(after).a_star - of_experiment(before).a_star).max() < 1e-8
    else:
        assert_same_image(before, after)


def test_a_stream_quotes_its_geometry(tmp_path):
    before = experiment().replace(goniometer=nb.Goniometer())
    nb.write_geometry(before, tmp_path / "x.geom")
    stream = (tmp_path / "x.stream").read_text()
    head, mark, rest = stream.partition("----- Begin chunk")
    quoted = f"----- Begin geometry file -----\n{(tmp_path / 'x.geom').read_text()}----- End geometry file -----\n"
    (tmp_path / "whole.stream").write_text(head + quoted + mark + rest)
    panel = of_experiment(nb.read_geometry(tmp_path / "whole.stream", template=experiment(distance_mm=300.0))).panels[0]
    # a .geom has no beam direction: the whole laboratory is turned so that the beam is its z axis, which keeps lengths
    assert abs(np.linalg.norm(panel.origin) - np.linalg.norm(of_experiment(before).panels[0].origin)) < 1e-9
    (tmp_path / "alone.stream").write_text(stream)
    bare = nb.read_geometry(tmp_path / "alone.stream", template=experiment(distance_mm=300.0))
    assert bare.detector.distance_mm == 300.0 and bare.crystal.a_star_matrix is not None


def test_geometry_of_scans_images_and_experiment_files(tmp_path):
    before = experiment()
    nb.write_geometry(before, tmp_path / "x.expt", n_images=5)
    third = nb.read_geometry(tmp_path / "x.expt", template=before, image=3)
    assert abs(third.goniometer.phi_start_deg - 17) < 1e-12
    nb.io.write_nxmx(tmp_path / "x.nxs", nb.simulate(before), before)
    assert_same_image(before, nb.read_geometry(tmp_path / "x.nxs", template=before))
    nb.write_geometry(before, tmp_path / "x.toml")
    again = nb.read_geometry(tmp_path / "x.toml")
    assert again.replace("crystal.structure_factors", before.crystal.structure_factors).equals(before)


def test_geometry_of_no_known_format(tmp_path):
    with pytest.raises(ConfigError, match=r"no known format of geometry.*\.expt"):
        nb.write_geometry(experiment(), tmp_path / "x.xyz")
    experiment().to_mosflm(tmp_path / "x.mat")
    with pytest.raises(ConfigError, match=r"wavelength_angstrom.*template="):
        nb.read_geometry(tmp_path / "x.mat")
    (tmp_path / "x").write_text("nothing of the kind")
    with pytest.raises(FileFormatError, match=r"not a geometry file that is known.*\.stream"):
        nb.read_geometry(tmp_path / "x")
