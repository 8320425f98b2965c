"""Experiment lists: models that vary during the scan, and messages."""

import json

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.exchange.toml import read_toml
from nanobragg.io import read_image
from tests.field.field_inputs import DIRECTION, FIELD, TEMPLATE, TO_DIALS, refusal, spindle, warned

VARYING = FIELD / "f01_scan_varying"
CRYSTALS = {
    (0, 1): ((0.015636515, 0.010973783, -0.0059087768), (-0.0096228561, 0.016654448, 0.0054652774),
             (0.0049514287, -0.00089406935, 0.011442593), 79.0157),
    (0, 2): ((0.015599124, 0.010969396, -0.0059881732), (-0.0095902729, 0.01664779, 0.0055133825),
             (0.0050112739, -0.00089406935, 0.01141651), 79.3877),
    (0, 3): ((0.015561336, 0.010965013, -0.0060673421), (-0.0095574529, 0.016641137, 0.0055612981),
             (0.0050709816, -0.00089406935, 0.011390115), 79.7647),
    (0, 4): ((0.015523151, 0.010960633, -0.0061462815), (-0.0095243972, 0.01663449, 0.005609023),
             (0.0051305503, -0.00089406935, 0.011363407), 80.1466),
    (1, 1): ((0.0097480076, 0.015659986, -0.0077187659), (-0.013565734, 0.012358851, 0.0079415931),
             (0.0068702637, 0.000853338, 0.0104077), 76.0785),
    (1, 2): ((0.009701096, 0.015643075, -0.0077911154), (-0.013524985, 0.012363739, 0.0079832552),
             (0.0069211162, 0.00087380624, 0.010372249), 76.6907),
    (1, 3): ((0.0096538548, 0.015626032, -0.0078631757), (-0.013484052, 0.012368713, 0.0080246923),
             (0.0069717873, 0.00089422749, 0.010336512), 77.3050),
    (1, 4): ((0.0096062856, 0.015608856, -0.0079349451), (-0.013442935, 0.012373772, 0.0080659034),
             (0.0070222754, 0.0009146012, 0.01030049), 77.9213),
}  # fmt: skip
"""a*, b*, c* at spindle angle 0 [1/Angstrom] and the angle of a* and the beam in the middle of the image [degrees]."""


def rotated(vector, axis, degrees):
    angle, axis = np.radians(degrees), np.array(axis)
    return (vector * np.cos(angle) + np.cross(axis, vector) * np.sin(angle)
            + axis * (axis @ vector) * (1 - np.cos(angle)))  # fmt: skip


@pytest.mark.parametrize(("index", "image"), CRYSTALS)
def test_a_crystal_that_varies(index, image):
    found = nb.Experiment.from_dials(VARYING / "crystal_varies.expt", TEMPLATE, index=index, image=image)
    *stars, angle = CRYSTALS[index, image]
    a_star = np.asarray(found.crystal.a_star_matrix) @ TO_DIALS.T
    np.testing.assert_allclose(a_star, stars, atol=1e-6 * 0.02)
    assert found.goniometer.phi_start_deg == 10 + image - 1 and found.goniometer.osc_deg == 1
    expected = (1, 0, 0) if index == 0 else (0.984808, 0, -0.173648)
    np.testing.assert_allclose(spindle(found), expected, atol=DIRECTION)
    turned = rotated(a_star[0], spindle(found), 10 + image - 0.5)
    beam = TO_DIALS @ np.array(found.beam.direction)
    assert np.degrees(np.arccos(turned @ beam / np.linalg.norm(turned))) == pytest.approx(angle, abs=1e-4)
    # the mean of two turned matrices shrinks by 3.4e-6
    edges = np.linalg.norm(np.linalg.inv(a_star), axis=0)
    np.testing.assert_allclose(edges, (50 + 0.02 * (image - 0.5),) * 2 + (80,), rtol=5e-6)


def test_the_image_is_named_where_none_is_chosen():
    with warned() as texts:
        found = nb.Experiment.from_dials(VARYING / "crystal_varies.expt", TEMPLATE, index=0)
    assert any("crystal varies during the scan; the model of image 1 is taken" in text for text in texts)
    np.testing.assert_allclose(np.asarray(found.crystal.a_star_matrix) @ TO_DIALS.T, CRYSTALS[0, 1][:3], atol=2e-8)


@pytest.mark.parametrize(("image", "direction"), [
    (1, (-0.0004363323, 0, -0.9999999)), (2, (-0.0013089966, 0, -0.99999914)),
    (3, (-0.0021816598, 0, -0.99999762)), (4, (-0.0030543214, 0, -0.99999534)),
])  # fmt: skip
def test_a_beam_that_varies(image, direction):
    found = nb.Experiment.from_dials(VARYING / "beam_varies.expt", TEMPLATE, image=image)
    np.testing.assert_allclose(TO_DIALS @ np.array(found.beam.direction), direction, atol=DIRECTION)
    assert found.beam.wavelength_angstrom == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(("image", "axis", "a_star"), [
    (1, (0.99999848, 0, -0.0017453284), (0.015569785, 0.010967204, -0.0060549984)),
    (2, (0.99998629, 0, -0.0052359638), (0.015548554, 0.010967204, -0.0061093102)),
    (3, (0.99996192, 0, -0.0087265355), (0.015527134, 0.010967204, -0.0061635476)),
    (4, (0.99992537, 0, -0.012217001), (0.015505525, 0.010967204, -0.0062177098)),
])  # fmt: skip
def test_a_goniometer_that_varies(image, axis, a_star):
    found = nb.Experiment.from_dials(VARYING / "goniometer_varies.expt", TEMPLATE, image=image)
    np.testing.assert_allclose(spindle(found), axis, atol=DIRECTION)
    np.testing.assert_allclose(TO_DIALS @ np.asarray(found.crystal.a_star_matrix)[0], a_star, atol=2e-8)


def test_an_image_beyond_the_scan():
    path = VARYING / "crystal_varies.expt"
    assert refusal(nb.Experiment.from_dials, path, TEMPLATE, index=0, image=5).endswith(
        "scan[0]: image=5: the scan has images 1 to 4"
    )


def test_points_that_do_not_fit_the_scan(tmp_path):
    path = tmp_path / "x.expt"
    path.write_text((VARYING / "beam_varies.expt").read_text().replace("[\n     1,\n     4\n", "[\n     1,\n     3\n"))
    text = path.read_text().replace('"image_range": [\n    1,\n    4\n', '"image_range": [\n    1,\n    3\n')
    path.write_text(text)
    assert "s0_at_scan_points has 5 points, a scan of 3 images has 4" in refusal(
        nb.Experiment.from_dials, path, TEMPLATE
    )


def test_refusals_are_said_once():
    folder = FIELD / "f13_messages"
    text = refusal(nb.Experiment.from_dials, folder / "polychromatic.expt", TEMPLATE)
    assert (
        text == f"{folder / 'polychromatic.expt'}: beam[0]: is a polychromatic beam; only monochromatic ones are read"
    )
    text = refusal(nb.Experiment.from_dials, folder / "parallel.expt", TEMPLATE)
    assert "fs (fast) and ss (slow) of panel p0 are parallel" in text


@pytest.mark.parametrize(
    ("name", "index"),
    [("crystal_varies", 0), ("crystal_varies", 1), ("beam_varies", None), ("goniometer_varies", None)],
)
def test_every_image_of_a_scan_has_its_models(name, index):
    path = VARYING / f"{name}.expt"
    with warned() as texts:
        found = nb.read_scan(path, template=TEMPLATE, index=index)
    alone = [nb.Experiment.from_dials(path, TEMPLATE, index=index, image=image) for image in (1, 2, 3, 4)]
    assert len(found) == 4 and all(one.equals(other) for one, other in zip(found, alone, strict=True))
    assert not any("varies" in text for text in texts)
    images = list(nb.simulate_scan(found, 3))
    assert len(images) == 3
    for image, one in zip(images, alone[:3], strict=True):
        np.testing.assert_array_equal(image, nb.simulate(one))
    with pytest.raises(nb.ConfigError, match="n_images=5: there are 4 experiments"):
        nb.simulate_scan(found, 5)


def test_a_scan_of_any_other_file(tmp_path):
    """The same models at the angles of its images; a still has one."""
    base = TEMPLATE.replace("goniometer", nb.Goniometer(phi_start_deg=10.0, osc_deg=0.5))
    nb.write_geometry(base, tmp_path / "XDS.INP", n_images=3)
    found = nb.read_scan(tmp_path / "XDS.INP", template=base)
    assert [one.goniometer.phi_start_deg for one in found] == [10.0, 10.5, 11.0]
    again = nb.simulate_scan(base, 3)
    for one, other in zip(nb.simulate_scan(found), again, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9 * other.max())
    TEMPLATE.to_dials(tmp_path / "still.expt")
    assert len(nb.read_scan(tmp_path / "still.expt", template=TEMPLATE)) == 1


def test_the_command_simulates_a_scan_that_varies(tmp_path, capsys):
    (tmp_path / "x.toml").write_text("""[crystal]
n_cells = [3, 3, 3]
[crystal.unit_cell]
a = 50.0
b = 60.0
c = 70.0
alpha = 90.0
beta = 90.0
gamma = 90.0
[crystal.structure_factors]
default_F = 100.0
[run]
noise = false
""")
    path = str(VARYING / "crystal_varies.expt")
    words = ["run", str(tmp_path / "x.toml"), "--geometry", path, "--index", "1", "-o", str(tmp_path / "x_####.tif")]
    assert main(words) == 0
    output = capsys.readouterr()
    assert len(output.out.split()) == 4 and "models vary during the scan" in output.err
    template = read_toml(tmp_path / "x.toml").experiment
    third = nb.Experiment.from_dials(path, template, index=1, image=3)
    np.testing.assert_allclose(read_image(tmp_path / "x_0003.tif"), nb.simulate(third), rtol=1e-6)
    assert main(words) != 0 and "exists" in capsys.readouterr().err  # the record does not know the other models
    assert main([*words, "--force", "-n", "2"]) == 0


def changed(tmp_path, name, change):
    data = json.loads((VARYING / "crystal_varies.expt").read_text())
    change(data)
    path = tmp_path / name
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(("kind", "key", "value", "message"), [
    ("goniometer", "rotation_axis", [0, 0, 0], "goniometer[0]: [0, 0, 0] is no direction"),
    ("goniometer", "fixed_rotation", [1, 0, 0, 0, 1, 0, 0, 0, 2], "goniometer[0]: fixed_rotation is no rotation"),
    ("goniometer", "setting_rotation", [1, 0, 0], "goniometer[0]: cannot reshape"),
    ("beam", "direction", None, "beam[0]: has no entry 'direction'"),
])  # fmt: skip
def test_models_that_are_none(tmp_path, kind, key, value, message):
    """The message names the place and no exception of Python."""

    def change(data):
        data[kind][0].pop(key) if value is None else data[kind][0].update({key: value})

    text = refusal(nb.Experiment.from_dials, changed(tmp_path, "x.expt", change), TEMPLATE, index=0)
    assert message in text and "Error:" not in text


def test_widths_that_differ(tmp_path):
    """An image ends where the next one begins."""

    def change(data):
        scan = data["scan"][0]
        del scan["oscillation"]
        scan["properties"] = {"oscillation": [10, 11, 12.5, 13]}

    found = nb.read_scan(changed(tmp_path, "x.expt", change), template=TEMPLATE, index=0)
    assert [(e.goniometer.phi_start_deg, e.goniometer.osc_deg) for e in found] == [
        (10, 1),
        (11, 1.5),
        (12.5, 0.5),
        (13, 0.5),
    ]


def test_files_that_go_with_the_images_are_told(tmp_path):
    def change(data):
        data["imageset"] = [
            {"__id__": "ImageSet"},
            {"__id__": "ImageSequence", "mask": "m.pickle", "dx": "dx.pickle", "gain": ""},
        ]
        data["experiment"][0]["imageset"] = 1

    with warned() as texts:
        nb.Experiment.from_dials(changed(tmp_path, "x.expt", change), TEMPLATE, index=0, image=2)
    assert sum("imageset[1]: mask = m.pickle" in text for text in texts) == 1
    assert sum("imageset[1]: dx = dx.pickle: a file that moves pixels" in text for text in texts) == 1
