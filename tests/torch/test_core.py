"""The C core under autograd: when it is taken, what it refuses, and that threads change no bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from experiments import BLOCK, amplitudes, base, with_values
from nanobragg.torch_backend.engine import TorchEngine
from nanobragg.torch_backend.kernels import fused
from nanobragg.torch_backend.kernels.inputs import prepare
from nanobragg.torch_backend.ops import TORCH_OPS

import nanobragg as nb
from nanobragg.derivation.derive import derivation
from nanobragg.derivation.resolve import resolve
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import RenderOptions
from nanobragg.errors import ConfigError

MISSET, TABLE = "crystal.misset_deg", "crystal.structure_factors"
pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.QuirkWarning")


def leaf(value=(10.0, 20.0, 30.0)):
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def rendered(experiment, kernel):
    return nb.simulate(experiment, backend="torch", kernel=kernel)


def test_auto_takes_the_core_where_gradients_are_wanted_and_eager_elsewhere():
    wanted = base().replace(MISSET, leaf())
    assert torch.equal(rendered(wanted, "auto"), rendered(wanted, "core"))
    assert torch.equal(rendered(base(), "auto"), rendered(base(), "eager"))
    assert not torch.equal(rendered(base(), "eager"), rendered(base(), "core"))  # two implementations
    with torch.no_grad():
        assert torch.equal(rendered(wanted, "auto"), rendered(wanted, "eager"))


def test_the_core_is_the_c_engine():
    image = nb.simulate(base(), backend="c")
    assert np.array_equal(rendered(base(), "core").numpy(), image)


@pytest.mark.parametrize(
    "options",
    [{"dtype": torch.float32}, {"precision": "mixed"}, {"phase": "f32x2"}, {"twice_differentiable": True}],
    ids=str,
)
def test_options_that_the_core_lacks(options):
    with pytest.raises(ConfigError, match="kernel='eager'"):
        nb.simulate(base(), backend="torch", kernel="core", **options)
    wanted = base().replace(MISSET, leaf())  # auto leaves these to plain torch
    image = nb.simulate(wanted, backend="torch", **options)
    image.sum().backward()


def test_reference_fidelity_is_left_to_eager():
    reference = base().with_fidelity("reference").replace(MISSET, leaf())
    with pytest.raises(ConfigError, match="quirks of the original are in force"):
        rendered(reference, "core")
    assert torch.equal(rendered(reference, "auto"), rendered(reference, "eager"))


def test_explain_says_which_kernel_and_why():
    assert nb.explain(base()).gradients == "core"
    assert "gradients: eager (quirks of the original are in force)" in str(
        nb.explain(base().with_fidelity("reference"))
    )


@pytest.mark.parametrize("shape", ["square", "gauss"])
def test_the_name_of_a_kernel_is_that_of_what_renders(shape):
    """Kernel "compiled" leaves what it does not serve to "eager"; both ways to ask agree."""
    decided = resolve(base().replace("crystal.shape", shape).replace("sampling.interpolate", "nearest"))
    scene = derivation(decided, TORCH_OPS).scene
    chosen = TorchEngine(RenderOptions(kernel="compiled"))
    plan, _ = prepare(scene, torch.device("cpu"), torch.float64, "f64", 1000)
    assert fused.serves(plan) == fused.serves_scene(scene, "f64") == (shape == "square")
    assert chosen.kernel(scene).startswith("torch compiled" if shape == "square" else "torch eager")


def test_a_cotangent_that_is_not_a_number_is_refused():
    image = rendered(base().replace(MISSET, leaf()), "core")
    weights = torch.ones_like(image)
    weights[1, 2] = torch.nan
    with pytest.raises(ConfigError, match=r"slow 1, fast 2"):
        (weights * image).sum().backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_table_keeps_its_number_type(dtype):
    table = torch.from_numpy(amplitudes().astype(np.float64)).to(dtype).requires_grad_()
    structure_factors = nb.StructureFactors(amplitude=table, hkl_min=(-7, -7, -7), default_F=45.0)
    rendered(base().replace(TABLE, structure_factors), "core").sum().backward()
    assert table.grad.dtype == dtype and table.grad.any()


MATRIX = {"crystal.shape": "gauss", "crystal.n_cells": (1, 1, 1), "crystal.block_matrix": BLOCK}


def large():
    """4 million evaluations: several chunks."""
    return with_values(
        base(),
        {"detector.n_fast": 64, "detector.n_slow": 256, "detector.pixel_size_mm": 0.1, "crystal.mosaic.n_domains": 64},
    )


@pytest.mark.parametrize("changes", [{}, {"detector.curved": True} | MATRIX], ids=["square", "curved, matrix"])
def test_threads_change_no_bit(changes):
    found = []
    for n_threads in (1, 2, 7):
        misset, wavelength = leaf(), torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
        experiment = (
            with_values(large(), changes).replace(MISSET, misset).replace("beam.wavelength_angstrom", wavelength)
        )
        experiment = experiment.replace("sampling.interpolate", "nearest")
        image = nb.simulate(experiment, backend="torch", kernel="core", n_threads=n_threads)
        image.square().sum().backward()
        found.append(torch.cat([misset.grad, wavelength.grad[None]]))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


@pytest.mark.parametrize("n_threads", [1, 2])
def test_tangents_through_the_face_of_the_engine(n_threads):
    """K directions at once equal what the transforms of torch make of the same engine."""
    render = nb.prepare(base(), backend="torch", kernel="core", n_threads=n_threads)
    jacobian = torch.func.jacfwd(lambda misset: render({MISSET: misset}))(leaf().detach())
    reverse = torch.func.jacrev(lambda misset: render({MISSET: misset}))(leaf().detach())
    assert (jacobian - reverse).norm() <= 1e-12 * reverse.norm()


def test_the_c_engine_differentiates_scenes_of_arrays():
    from nanobragg.derivation.derive import derive
    from nanobragg.derivation.resolve import resolve

    scene = derive(resolve(base()))
    c = engine("c", RenderOptions(n_threads=2))
    assert c.derivative_obstacle(scene) is None
    cotangent = np.linspace(-1, 1, scene.n_pixels)
    grads = c.pull_back(scene, cotangent, ["fluence", "orientations"])
    photons = c.photons(scene)
    assert abs(grads["fluence"] * scene.fluence / (cotangent @ photons) - 1) < 1e-12
    assert grads["orientations"].shape == scene.orientations.shape
    along = c.push_forward(scene, {"fluence": np.array([1.0, 2.0])})
    assert np.allclose(along, np.array([[1.0], [2.0]]) * photons / scene.fluence, rtol=1e-12)
