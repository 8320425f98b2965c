"""The solid angle that the report prints (docs/model.md, Solid angle)."""

from __future__ import annotations

from nanobragg import _core
from nanobragg.derivation.scene import FactorMode, Scene


def detector_solid_angle(scene: Scene, as_original: bool) -> float:
    """Solid angle of the rendered pixels [steradian].

    Parameters
    ----------
    scene : Scene
        With numpy values.
    as_original : bool
        The sum over layers and sub-pixels divided by the number of steps, so it is too small when there are several
        sources, domains or phi steps; otherwise the mean over sub-pixels on the front plane.
    """
    n, core = scene.oversample, _core.CoreScene(scene)
    if not as_original:
        return core.solid_angle(1, n) / (n * n)
    if scene.omega_mode is FactorMode.CACHED:  # that of the first sub-pixel of the first layer stands for all
        return core.solid_angle(1, 1) * (n * n * scene.n_layers) / float(scene.steps_alone)
    return core.solid_angle(scene.n_layers, n) / float(scene.steps_alone)
