"""The orientation of a crystal of known cell from the places of spots alone.

For a real-space lattice vector t and scattering vectors q of spots of its lattice, q . t is a whole number. The directions of
t for each edge of the cell are those in which the sum of cos(2 pi q . t) over the spots is large (as in the indexing of stills
by T. White, and by Gevorkov and others, Acta Cryst. A75 (2019) 694); two of them that stand at the angle of the cell make
an orientation, and the orientation that gives the most spots whole indices is fitted to their places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.config.experiment import check_experiment
from nanobragg.derivation.prediction.candidates import Mean
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import RenderOptions
from nanobragg.errors import ConfigError, RefinementError
from nanobragg.io.optional import needed
from nanobragg.lazy import dataclass
from nanobragg.refinement.data.pixels import Image, as_image
from nanobragg.refinement.data.spots import Spots, as_spots, find_spots
from nanobragg.refinement.results.result import check_progress
from nanobragg.refinement.solving.positions import fit, indices
from nanobragg.refinement.variables.crystals import Lattice, angles_of, rotation_between
from nanobragg.refinement.variables.parameters import Parameters

Array = NDArray[np.float64]
_MOST_TURNS = 11.0
"""q . t of the outermost spot that counts in the first search: the more, the finer the directions must be."""
_STEP = 0.18
"""Of the directions, in 1/(q . t)."""
_PEAKS = 40
"""Directions that are kept for each edge."""
_ANGLE = 3.0
"""By which two directions may miss the angle of the cell [degrees]."""
_WHOLE = 0.2
"""Distance of all three indices from whole numbers within which a spot belongs to the lattice."""
_TIGHT = 0.15
"""The same after the fit, where it is asked whether chance would do as well."""
_LEAST = 8
_ONE = 0.05
"""Lattices whose axes differ by less are one."""


@dataclass(frozen=True, eq=False)
class IndexedLattice:
    """A lattice that was found."""

    experiment: Experiment
    """with its orientation, and the cell fitted to the spots where that was asked for"""
    hkl: NDArray[np.int64]
    """(n, 3) indices of the spots of the lattice"""
    rows: NDArray[np.int64]
    """(n,) which spots these are"""
    distance: Array
    """(n,) of the spots from their predictions [pixels]"""
    spots: Spots
    """all spots"""
    tried: int
    """how many of them were looked at"""

    @property
    def share(self) -> float:
        """Share of the spots that were looked at that belong to the lattice."""
        return len(self.rows) / self.tried

    def __str__(self) -> str:
        x, y, z = Lattice(self.experiment).misset(np.zeros(3)) if Lattice(self.experiment).named else (0.0, 0.0, 0.0)
        turn = f", misset {x:.3f} {y:.3f} {z:.3f} degrees" if (x, y, z) != (0.0, 0.0, 0.0) else ""
        median = np.median(self.distance)
        return f"{len(self.rows)} of {self.tried} spots indexed, median distance {median:.2f} pixels{turn}"


def index(
    image: Any,
    experiment: Experiment,
    *,
    spots: Any = None,
    lattices: int = 1,
    refine_cell: bool = True,
    most_spots: int = 300,
    device: str | None = None,
    progress: Callable[[str, int, int], object] | None = None,
    **readout: Any,
) -> list[IndexedLattice]:
    """Find the orientation of a crystal of known cell, without a start.

    Parameters
    ----------
    image : array, list of panels, path or Exposure
        Counts, in which spots are looked for; None where `spots` are given.
    experiment : Experiment
        Cell and geometry; its orientation plays no part.
    spots : Spots, path or rows, optional
        Places of spots, from `find_spots`, a ``.refl`` or CSV file, or rows (fast, slow).
    lattices : int
        How many crystals to look for, one after the other in the spots that are left.
    refine_cell : bool
        Fit the free elements of the cell to the spots too (within 1 %).
    most_spots : int
        The strongest so many are used.
    device : str, optional
        Where the directions of the lattice are searched, by torch: "cuda", "cpu" ...; None: here, without torch.
    progress : callable, optional
        Receives (stage, steps done, steps at most).
    **readout
        gain, offset, read_noise, saturation, mask: as for `refine`.

    Returns
    -------
    list of IndexedLattice
        The crystal with the most spots first.

    Raises
    ------
    RefinementError
        When no orientation explains more spots than chance.
    BackendUnavailableError
        For a `device` that is not there, and without torch for any.
    """
    check_experiment(experiment)
    check_progress(progress, "spots", 0, lattices)
    if isinstance(lattices, bool) or not isinstance(lattices, int) or lattices < 1:
        raise ConfigError("lattices", lattices, "must be a whole number >= 1")
    place = None if device is None else engine("torch", RenderOptions(device=device))
    if spots is None:
        data: Image = as_image(image, experiment, **readout)
        whole = find_spots(data, experiment)
    else:
        whole = as_spots(spots)
    left = np.arange(min(len(whole), most_spots))
    found: list[IndexedLattice] = []
    while len(found) < lattices:
        check_progress(progress, f"{len(whole)} spots, lattice {len(found) + 1}", len(found), lattices)
        one = _lattice(experiment, whole, left, refine_cell, place) if len(left) >= _LEAST else None
        if one is None:
            break
        if any(_same(one, other) for other in found):
            break
        found.append(one)
        left = np.setdiff1d(left, one.rows)
    if not found:
        raise RefinementError(
            f"no orientation of the cell explains the {len(whole)} spots better than chance; are the cell, the distance and the "
            "beam center right, and is this the image of a crystal?"
        )
    return found


def _same(one: IndexedLattice, other: IndexedLattice) -> bool:
    """Whether two lattices are one, up to its symmetry: whole numbers take the axes of one to those of the other."""
    change = Lattice(one.experiment).a_star @ np.linalg.inv(Lattice(other.experiment).a_star)
    return bool(np.abs(change - np.rint(change)).max() < _ONE)


def _lattice(
    experiment: Experiment, spots: Spots, rows: NDArray[np.int64], refine_cell: bool, place: Any
) -> IndexedLattice | None:
    """The lattice with the most of some spots; None where chance would do as well."""
    some = Spots(spots.panel[rows], spots.fast[rows], spots.slow[rows], spots.intensity[rows])
    plain = Parameters(experiment, ["crystal.misset_deg"]).with_one_domain()
    scenes = plain.scenes(np.zeros(plain.size))
    _, vectors = indices(scenes, some)
    lattice = Lattice(experiment)
    real = np.asarray(np.linalg.inv(lattice.base(lattice.cell)).T, dtype=np.float64)
    # the spindle has turned the crystal when the image is taken; its orientation is that before
    spindle = rotation_between(lattice.a_star, np.asarray(Mean(scenes[0]).reciprocal.T, dtype=np.float64))
    vectors = np.asarray(vectors @ spindle)
    turn = best_orientation(vectors, real, place)
    if turn is None:
        return None
    oriented = _oriented(experiment, lattice, turn)
    wanted = ["crystal.misset_deg", *(["crystal.unit_cell"] if refine_cell else [])]
    parameters = Parameters(oriented, wanted)
    placed = fit(parameters, some, np.zeros(parameters.size), most=len(rows))
    if placed is None or _by_chance(parameters, some, placed.x):
        return None
    return IndexedLattice(
        parameters.experiment(placed.x), placed.hkl, rows[placed.used], placed.distance, spots, len(rows)
    )


def _by_chance(parameters: Parameters, some: Spots, x: Array) -> bool:
    """Whether spots at random would have as many whole indices: their mean and eight standard deviations of it, because the
    orientation is the best of many."""
    real, _ = indices(parameters.with_one_domain().scenes(x), some)
    whole = np.rint(real)
    count = int(((np.abs(real - whole).max(1) < _TIGHT) & whole.any(1)).sum())
    mean = (2 * _TIGHT) ** 3 * len(some)
    return count < max(_LEAST + 2, mean + 8 * np.sqrt(mean))


def _oriented(experiment: Experiment, lattice: Lattice, turn: Array) -> Experiment:
    """The experiment with its crystal turned, in the form that it has."""
    if lattice.named:
        return experiment.replace("crystal.misset_deg", angles_of(turn))
    turned = experiment.replace("crystal.a_star_matrix", lattice.base(lattice.cell) @ turn.T)
    return turned.replace("crystal.misset_deg", (0.0, 0.0, 0.0))


def best_orientation(vectors: Array, real: Array, place: Any = None) -> Array | None:
    """The rotation of a crystal under which the most scattering vectors have whole indices.

    Parameters
    ----------
    vectors : (n, 3) array
        [1/Angstrom]
    real : (3, 3) array
        Rows a, b, c before the rotation [Angstrom].
    place : Engine, optional
        One of torch, on whose device the directions are searched.

    Returns
    -------
    (3, 3) array or None
        None where no pair of directions fits the cell.
    """
    lengths = np.linalg.norm(real, axis=1)
    radii = np.linalg.norm(vectors, axis=1)
    directions = [_directions(vectors, radii, length, place) for length in lengths]
    best: tuple[float, Array] | None = None
    near = radii <= max(np.sort(radii)[min(len(radii) - 1, 60)], _MOST_TURNS / lengths.max())
    for i, j in ((0, 1), (0, 2), (1, 2)):
        angle = _angle(real[i], real[j])
        for first in directions[i]:
            cosines = directions[j] @ first
            for second in directions[j][np.abs(np.degrees(np.arccos(np.clip(cosines, -1, 1))) - angle) < _ANGLE]:
                turn = _aligned(real[[i, j]], np.stack([first * lengths[i], second * lengths[j]]))
                score = _score(vectors[near], real @ turn.T)
                if best is None or score > best[0]:
                    best = score, turn
    if best is None:
        return None
    return _polished(vectors, radii, real, best[1])


def _angle(a: Array, b: Array) -> float:
    return float(np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))


def _directions(vectors: Array, radii: Array, length: float, place: Any) -> Array:
    """(n, 3): the directions, both ways, in which a lattice vector of this length fits best."""
    order = np.argsort(radii)
    count = max(int((radii * length <= _MOST_TURNS).sum()), min(40, len(radii)))
    chosen = vectors[order[:count]]
    reach = float(radii[order[:count]].max()) * length
    grid = _hemisphere(_STEP / reach)
    score = _waves(grid, 2 * np.pi * length * chosen, place)
    found: list[Array] = []
    close = np.cos(2.5 * _STEP / reach)
    for row in np.argsort(-score):
        if all(abs(grid[row] @ other) < close for other in found):
            found.append(grid[row])
            if len(found) == _PEAKS:
                break
    return np.array([sign * _climbed(t, chosen, length) for t in found for sign in (1, -1)])


def _waves(grid: Array, vectors: Array, place: Any) -> Array:
    """(n,): the sum of cos(t . q) over the vectors, for every direction t."""
    if place is None:
        return np.asarray(np.cos(grid @ vectors.T).sum(1))
    torch = needed("torch", "a search for lattices on a device")
    t, q = (torch.as_tensor(rows, device=place.device) for rows in (grid, vectors))
    return np.asarray(torch.cos(t @ q.T).sum(1).cpu().numpy(), np.float64)


def _hemisphere(step: float) -> Array:
    """(n, 3): directions about `step` [rad] apart (Fibonacci's spiral)."""
    n = min(int(2 * np.pi / step**2) + 1, 400_000)
    z = (np.arange(n) + 0.5) / n
    phi = np.arange(n) * np.pi * (3 - np.sqrt(5))
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], -1)


def _climbed(direction: Array, vectors: Array, length: float) -> Array:
    """The direction after least squares on the spots that it fits."""
    for _ in range(4):
        phase = length * (vectors @ direction)
        off = phase - np.rint(phase)
        good = np.abs(off) < 0.25
        if good.sum() < 4:
            break
        matrix = length * (vectors[good] - np.outer(vectors[good] @ direction, direction))
        direction = direction - np.linalg.lstsq(matrix, off[good], rcond=None)[0]
        direction = direction / np.linalg.norm(direction)
    return direction


def _aligned(before: Array, after: Array) -> Array:
    """The rotation that takes two vectors to two others as well as one can."""
    full = [np.vstack([pair, np.cross(*pair)[None] / np.linalg.norm(pair[0])]) for pair in (before, after)]
    u, _, v = np.linalg.svd(full[1].T @ full[0])
    return np.asarray(u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))]) @ v)


def _score(vectors: Array, real: Array) -> float:
    """How many spots have whole indices, those that fit well counting more."""
    off = vectors @ real.T
    off -= np.rint(off)
    return float(np.maximum(1 - (np.abs(off).max(1) / _WHOLE) ** 2, 0).sum())


def _polished(vectors: Array, radii: Array, real: Array, turn: Array) -> Array:
    """The rotation after least squares on the spots that have whole indices, further and further out."""
    reach = np.sort(radii)
    for share in (0.3, 0.5, 0.7, 1.0, 1.0):
        rows = real @ turn.T
        inside = radii <= reach[min(int(share * len(reach)), len(reach) - 1)]
        hkl = vectors @ rows.T
        whole = np.rint(hkl)
        good = inside & (np.abs(hkl - whole).max(1) < _WHOLE) & whole.any(1)
        if good.sum() < _LEAST:
            continue
        star = np.linalg.inv(rows)  # columns a*, b*, c*
        expected = whole[good] @ star.T
        # a small rotation w turns the expected vectors: w x q = measured - expected
        zero = np.zeros(len(expected))
        x, y, z = expected.T
        cross = np.stack([np.stack([zero, z, -y], -1), np.stack([-z, zero, x], -1), np.stack([y, -x, zero], -1)], 1)
        w = np.linalg.lstsq(cross.reshape(-1, 3), (vectors[good] - expected).ravel(), rcond=None)[0]
        size = float(np.linalg.norm(w))
        if size > 0:
            k = np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
            turn = (np.eye(3) + np.sin(size) / size * k + (1 - np.cos(size)) / size**2 * (k @ k)) @ turn
    return turn
