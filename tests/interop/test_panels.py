"""Detectors of several panels, and the motion that they share."""

import dataclasses

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.derivation import panels
from nanobragg.errors import ConfigError


def experiment(**detector):
    values = {"n_fast": 24, "n_slow": 20, "pixel_size_mm": 0.8, "distance_mm": 80.0, "rotation_deg": (3, -2, 5),
              "twotheta_deg": 10.0, "beam_center_mm": (8.0, 9.5), **detector}  # fmt: skip
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(30, 40, 50, 80, 95, 105), n_cells=(6, 5, 4), misset_deg=(10, 20, 30),
                           structure_factors=nb.StructureFactors.constant(50.0)),
        detector=nb.Detector(**values), sampling=nb.Sampling(oversample=1),
    )  # fmt: skip


def together(image):
    """Four panels of a 2 x 2 split side by side."""
    return np.block([[image[0], image[1]], [image[2], image[3]]])


def torch_missing():
    try:
        from nanobragg import torch_backend  # noqa: F401
    except ImportError:
        return True
    return False


BACKENDS = ["c", pytest.param("torch", marks=pytest.mark.skipif(torch_missing(), reason="torch is not installed"))]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("convention", ["mosflm", "xds"])
def test_a_split_detector_is_the_detector(backend, convention):
    whole = experiment(convention=convention)
    parts = panels.split(whole, 2, 2)
    image = nb.simulate(whole, backend=backend)
    tiles = nb.simulate(parts, backend=backend)
    assert tuple(tiles.shape) == (4, 10, 12)
    difference = np.abs(together(np.asarray(tiles)) - np.asarray(image)).max() / float(image.max())
    assert difference < 1e-11  # measured 3e-14: the corners differ in the last bit


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_pose_moves_every_panel_as_it_moves_the_detector(backend):
    pose = nb.Pose(shift_mm=(1.0, -2.0, 0.5), rotation_deg=(2.0, -3.0, 1.0), origin_mm=(80.0, 1.0, 2.0))
    whole = experiment().replace("detector_pose", pose)
    tiles = nb.simulate(panels.split(whole, 2, 2), backend=backend)
    image = nb.simulate(whole, backend=backend)
    assert np.abs(together(np.asarray(tiles)) - np.asarray(image)).max() < 1e-11 * float(image.max())
    still = nb.simulate(experiment(), backend=backend)
    assert np.abs(np.asarray(image) - np.asarray(still)).max() > 0.1 * float(still.max())


def test_the_pose_is_the_rigid_motion_it_says():
    from nanobragg.derivation.resolve import resolve

    pose = nb.Pose(shift_mm=(1.0, -2.0, 0.5), rotation_deg=(20.0, -30.0, 10.0), origin_mm=(80.0, 1.0, 2.0))
    before, after = (resolve(e).placement for e in (experiment(), experiment().replace("detector_pose", pose)))
    x, y, z = np.radians(pose.rotation_deg)
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    turn, origin = rz @ ry @ rx, np.array(pose.origin_mm) / 1000
    np.testing.assert_allclose(after.fast, turn @ before.fast, atol=1e-15)
    np.testing.assert_allclose(after.slow, turn @ before.slow, atol=1e-15)
    expected = origin + turn @ (np.array(before.pix0) - origin) + np.array(pose.shift_mm) / 1000
    np.testing.assert_allclose(after.pix0, expected, atol=1e-16)


def test_a_pose_of_nothing_changes_no_bit_but_of_rounding():
    plain, posed = experiment(), experiment().replace("detector_pose", nb.Pose())
    np.testing.assert_array_equal(nb.simulate(plain), nb.simulate(posed))


@pytest.mark.skipif(torch_missing(), reason="torch is not installed")
def test_gradient_of_the_pose_against_differences_through_c():
    import torch

    base = panels.split(experiment(), 2, 1)
    weights = np.random.default_rng(0).uniform(size=(2, 10, 24))
    start = {"detector_pose.shift_mm": (0.3, -0.2, 0.5), "detector_pose.rotation_deg": (0.2, 0.1, -0.3)}

    def loss(values):
        moved = base
        for path, value in values.items():
            moved = moved.replace(path, value)
        return float((nb.simulate(moved) * weights).sum())

    tensors = {path: torch.tensor(value, dtype=torch.float64, requires_grad=True) for path, value in start.items()}
    moved = base
    for path, tensor in tensors.items():
        moved = moved.replace(path, tensor)
    (nb.simulate(moved, backend="torch") * torch.as_tensor(weights)).sum().backward()
    for path, tensor in tensors.items():
        for i in range(3):
            estimates = []
            for h in (2e-4, 1e-4):  # central differences, Richardson extrapolation
                sides = []
                for sign in (1, -1):
                    value = list(start[path])
                    value[i] += sign * h
                    sides.append(loss({**start, path: tuple(value)}))
                estimates.append((sides[0] - sides[1]) / (2 * h))
            expected = (4 * estimates[1] - estimates[0]) / 3
            assert float(tensor.grad[i]) == pytest.approx(expected, rel=1e-5)  # measured 1e-7


@pytest.mark.skipif(torch_missing(), reason="torch is not installed")
def test_the_pose_of_panels_is_found_again_by_a_module():
    """Two steps of Gauss-Newton (Jacobian by forward differences of the module) bring the shift back."""
    import torch

    base = panels.split(experiment(), 2, 2).replace("detector_pose", nb.Pose())
    target = torch.as_tensor(nb.simulate(base.replace("detector_pose.shift_mm", (0.02, -0.03, 0.01))))
    module = nb.ExperimentModule(base, ["detector_pose.shift_mm"])
    (shift,) = module.parameters()
    assert module().shape == (4, 10, 12)
    ((module() - target) ** 2).sum().backward()
    assert torch.isfinite(shift.grad).all() and shift.grad.abs().max() > 0
    for _ in range(4):
        with torch.no_grad():
            image, columns = module(), []
            for i in range(3):
                shift[i] += 1e-6
                columns.append((module() - image).ravel() / 1e-6)
                shift[i] -= 1e-6
            shift += torch.linalg.lstsq(torch.stack(columns, 1), (target - image).ravel()).solution
    torch.testing.assert_close(
        shift.detach(), torch.tensor([0.02, -0.03, 0.01], dtype=torch.float64), atol=1e-6, rtol=0
    )


def test_panels_of_different_shapes_give_a_list():
    first = panels.split(experiment(), 2, 2)
    second = dataclasses.replace(first, detector=(*first.detector[:1], nb.Detector(n_fast=7, n_slow=5)))
    images = nb.simulate(second)
    assert [image.shape for image in images] == [(10, 12), (5, 7)]


def test_prepare_replaces_values_of_one_panel_and_of_all():
    base = panels.split(experiment(), 2, 2)
    render = nb.prepare(base)
    np.testing.assert_array_equal(render(), nb.simulate(base))
    corner = tuple(np.array(base.detector[1].pix0_mm) + np.array((0, 0, 1.0)))
    moved = render({"detector[1].pix0_mm": corner})
    np.testing.assert_array_equal(moved, nb.simulate(base.replace("detector[1].pix0_mm", corner)))
    np.testing.assert_array_equal(moved[0], render()[0])
    assert (moved[1] != render()[1]).any()


def test_paths_serialisation_and_regions():
    base = panels.split(experiment(), 2, 2)
    changed = base.replace("detector[2].pixel_size_mm", 0.7)
    assert changed.get("detector[2].pixel_size_mm") == 0.7 and changed.get("detector[1].pixel_size_mm") == 0.8
    posed = changed.replace("detector_pose.shift_mm[1]", 2.5)
    again = nb.Experiment.from_json(posed.to_json())
    assert again.equals(posed) and len(again.detector) == 4
    np.testing.assert_array_equal(nb.simulate(again), nb.simulate(posed))
    region = (slice(2, 5), slice(0, 4))
    part = nb.simulate(base, roi=[None, region, None, None])
    whole = nb.simulate(base)
    np.testing.assert_array_equal(part[1][region], whole[1][region])
    assert np.count_nonzero(part[1]) <= 12
    with pytest.raises(ConfigError, match=r"one for each panel"):
        nb.simulate(base, roi=region)
    with pytest.raises(ConfigError, match=r"no meaning for several panels"):
        nb.simulate(base.replace("sampling.roi", region))
    with pytest.raises(ConfigError, match=r"below 4"):
        base.replace("detector[4].pixel_size_mm", 0.7)
    with pytest.raises(ConfigError, match=r"has no panels"):
        experiment().get("detector[0].pixel_size_mm")
    assert nb.explain(base).evaluations == nb.explain(experiment()).evaluations


def test_a_random_orientation_is_the_same_for_all_panels():
    whole = experiment().replace("crystal.misset_deg", "random")
    seeds = {part.crystal.misset_seed for part in panels.experiments(panels.split(whole, 2, 2))}
    assert len(seeds) == 1 and None not in seeds


def test_trace_and_compare_know_the_panel():
    base = panels.split(experiment(), 2, 2)
    image = nb.simulate(base, kernel="scalar")
    traced = nb.trace(base, (2, 3, 7))
    assert traced.steps[-1].value == image[2, 3, 7]
    with pytest.raises(ConfigError, match=r"must be \(panel, slow, fast\)"):
        nb.trace(base, (3, 7))
    with pytest.raises(ConfigError, match=r"there are panels 0 to 3"):
        nb.trace(base, (4, 3, 7))
    other = image.copy()
    other[3, 2, 5] += image.max()
    found = nb.compare(image, other)
    assert not found and found.shape == (40, 12)
    assert "panel 3, slow 2 there" in str(found)
    assert nb.compare(image, image)
