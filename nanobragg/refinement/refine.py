"""`refine`: an experiment that nearly explains an image becomes one that does, with errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nanobragg.config import Experiment
from nanobragg.config.experiment import check_experiment
from nanobragg.errors import ConfigError
from nanobragg.refinement.data.pixels import as_image
from nanobragg.refinement.results.result import Refinement
from nanobragg.refinement.solving.stages import PixelFit
from nanobragg.refinement.variables.several import variables_of

_OWN = (
    "background",
    "loss",
    "method",
    "likelihood",
    "memory_budget",
    "max_steps",
    "d_min",
    "max_boxes",
    "max_domains",
    "margin",
    "n_threads",
    "time_budget_s",
    "progress",
    "cancel",
)
"""Options of `refine` that a run keeps."""
BACKGROUNDS = ("plane", "constant", "model")
INTENSITIES = ("model", "free")
LIKELIHOODS = ("gaussian", "poisson")
LOSSES = ("linear", "soft_l1", "huber", "cauchy")
METHODS = ("auto", "least_squares", "lbfgs")


def refine(
    images: Any,
    experiment: Experiment,
    *,
    refine: Sequence[str],
    spots: Any = None,
    bounds: Mapping[str, Any] | None = None,
    priors: Mapping[str, Any] | None = None,
    background: str = "plane",
    intensities: str = "model",
    loss: str = "linear",
    method: str = "auto",
    likelihood: str = "gaussian",
    gain: float = 1.0,
    offset: float = 0.0,
    read_noise: float = 0.0,
    saturation: float | None = None,
    mask: Any = None,
    d_min: float | None = None,
    max_boxes: int = 200,
    max_domains: int = 500,
    margin: int = 2,
    positions: bool = True,
    max_steps: int = 30,
    time_budget_s: float | None = None,
    memory_budget: int | None = None,
    n_threads: int | None = None,
    progress: Callable[[str, int, int], object] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Refinement:
    """Refine parameters of an experiment against the pixels of an image.

    First the places of spots bring orientation, cell and geometry within reach (`positions`); then the pixels of the shoeboxes
    of the brightest predicted reflections are fitted by Gauss-Newton steps in a trust region (scipy's `least_squares`, method
    "trf"), with the K tangents of the C engine as the Jacobian. The weights are those of the model: the fit is that of
    maximum quasi-likelihood (Poisson's, with the variance of the read-out added). A plane under each spot is solved for at every
    step. The mosaic model of the experiment is kept, and its domains.

    Parameters
    ----------
    images : array, list of panels, path or Exposure
        One image in counts.
    experiment : Experiment
        The start.
    refine : list of str
        Paths: ``crystal.misset_deg`` (a rotation of the crystal, whether its orientation is angles or a matrix),
        ``crystal.unit_cell`` (the free elements of the crystal system) or one element, ``crystal.n_cells``,
        ``crystal.mosaic.spread_deg``, ``beam.fluence_per_m2``, ``beam.wavelength_angstrom``, ``detector.distance_mm``,
        ``detector_pose.shift_mm`` and every other differentiable number or vector; ``crystal.structure_factors``: one amplitude
        for each set of symmetry mates (Laue group of ``crystal.space_group``; none: Friedel mates) among the shoeboxes.
    spots : Spots, path or rows, optional
        Places of spots, from `find_spots`, a ``.refl`` or CSV file, or rows (fast, slow); None: they are found here.
    bounds : dict, optional
        (lowest, highest) by path; kept by a smooth map.
    priors : dict, optional
        (center, standard deviation) by path of one number; of ``crystal.structure_factors``: of ln(F/F_start), (0, 0.5) where
        nothing is said.
    background : {"plane", "constant", "model"}
        Under each spot: a plane or a constant that is solved for, or what the experiment's own background gives.
    intensities : {"model", "free"}
        "free": each spot has a factor of its own, which is solved for, so that structure factors need not be known.
    loss : {"linear", "soft_l1", "huber", "cauchy"}
        Of scipy's `least_squares`.
    method : {"auto", "least_squares", "lbfgs"}
        "least_squares": steps of Gauss and Newton with the whole Jacobian. "lbfgs": L-BFGS of scipy, with the gradient of the
        adjoint and Fisher's matrix, part of the shoeboxes by part, as the curvature to begin with; errors come from that matrix
        too. Of a crystal of mosaic domains one draw of `max_domains` is fitted then, whose scatter is in the errors. "auto":
        "lbfgs" for more than 100 numbers.
    likelihood : {"gaussian", "poisson"}
        "gaussian": squares of residuals over their standard deviations, those of the model with the read-out's; at the end the
        estimate of maximum quasi-likelihood. "poisson": the deviance of counts without read-out noise, which tells more where
        there is hardly a photon in a pixel, and with a robust `loss`.
    gain, offset, read_noise, saturation, mask
        photons = (counts - offset)/gain; standard deviation of the read-out [counts]; counts from which on a pixel is left
        out; pixels that count (on top of the detector's mask).
    d_min : float, optional
        Smallest spacing [Angstrom] of shoeboxes.
    max_boxes : int
        The brightest so many are used.
    max_domains : int
        The number of mosaic domains is raised up to this where it would make up too much of the errors, and the mean over nine
        draws of them is fitted in the end; the experiment that comes out has as many as the start.
    margin : int
        Pixels around the predicted shoeboxes.
    positions : bool
        Whether the places of spots are fitted first.
    max_steps : int
        Evaluations of each stage.
    time_budget_s : float, optional
        After which no new stage begins.
    memory_budget : int, optional
        Bytes that the pixels of the shoeboxes and their derivatives may take: fewer of the brightest are used.
    n_threads : int, optional
        None: all cores.
    progress : callable, optional
        Receives (stage, stages done, stages in all).
    cancel : callable, optional
        Asked between blocks; a true answer ends the refinement with a `CoreError`.

    Returns
    -------
    Refinement

    Raises
    ------
    ConfigError
        For a path that cannot be refined, bounds that exclude the start, an image of another detector.
    RefinementError
        When it cannot work: no spots where they are predicted, nothing that the image depends on.

    Examples
    --------
    >>> import numpy as np, nanobragg as nb
    >>> truth = nb.Experiment(crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(12, 12, 12),
    ...     shape="gauss", misset_deg=(10, 20, 30), structure_factors=nb.StructureFactors.constant(300.0)),
    ...     beam=nb.Beam(fluence_per_m2=1e26), detector=nb.Detector(n_fast=300, n_slow=300, distance_mm=60.0))
    >>> counts = np.random.default_rng(1).poisson(nb.simulate(truth) + 1.0)
    >>> start = truth.replace("crystal.misset_deg", (10.2, 19.9, 30.1))
    >>> found = nb.refine(counts, start, refine=["crystal.misset_deg"])
    >>> bool(np.abs(found.estimate - [10, 20, 30]).max() < 0.01)
    True
    """
    return prepared(images, experiment, locals()).run(spots, positions)


def prepared(images: Any, experiment: Experiment, options: Mapping[str, Any], first_draw: int = 0) -> PixelFit:
    """A refinement that is checked and has not begun; `options` are those of `refine`.

    `first_draw`: draws of the mosaic domains from this one on.
    """
    check_experiment(experiment)
    for name, choices in (("background", BACKGROUNDS), ("intensities", INTENSITIES), ("loss", LOSSES),
                          ("method", METHODS), ("likelihood", LIKELIHOODS)):  # fmt: skip
        if options[name] not in choices:
            raise ConfigError(name, options[name], f"must be one of {', '.join(map(repr, choices))}")
    if options["likelihood"] == "poisson" and options["read_noise"]:
        raise ConfigError(
            "likelihood", "poisson", f"does not hold a read_noise of {options['read_noise']:g}", "write 'gaussian'"
        )
    budget = options["memory_budget"]
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget <= 0):
        raise ConfigError("memory_budget", budget, "must be a whole number > 0 [bytes]")
    if options["background"] == "model" and experiment.background.components:
        raise ConfigError(
            "background", "model", "does not hold background.components", "write 'plane': they are smooth there"
        )
    crystals = experiment.crystal if isinstance(experiment.crystal, tuple) else (experiment.crystal,)
    if any(crystal.diffuse.acts for crystal in crystals):
        raise ConfigError(
            "crystal.diffuse", "diffuse scattering", "is not in the model of a refinement",
            "leave it out, the background takes it; or fit images with nanobragg.ExperimentModule",
        )  # fmt: skip
    parameters = variables_of(experiment, options["refine"], bounds=options["bounds"], priors=options["priors"])
    if first_draw:
        parameters = parameters.with_draws_from(first_draw)
    readout = {name: options[name] for name in ("gain", "offset", "read_noise", "saturation", "mask")}
    own = {name: options[name] for name in _OWN}
    return PixelFit(parameters, as_image(images, experiment, **readout), options["intensities"] == "free", **own)
