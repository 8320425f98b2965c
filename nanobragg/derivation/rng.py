"""The original program's random numbers, for its mosaic domains, random orientations and noise images.

Every stream has an integer state of its own, but all share one shuffle table, one Gaussian spare and one Poisson cache
(docs/random_numbers.md), so the order in which streams are used matters when a state is positive. Deviates are float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanobragg import _random
from nanobragg.errors import ConfigError

LARGEST_STATE = 2**31 - 1


def checked_seed(path: str, seed: int) -> int:
    """A seed of the original's generator.

    Raises
    ------
    ConfigError
        For a seed that does not fit into the original's 32 bits.
    """
    number = int(seed)
    if number != seed or abs(number) > LARGEST_STATE:
        raise ConfigError(path, seed, f"must be an integer of at most {LARGEST_STATE} in size")
    return number


class LegacyRandom:
    """The generators of one run of the original program.

    A stream must be seeded before it is used. Seeding with a negative state, or 0, refills the shared table at the next
    draw; a positive state goes on with the table as it is, as NEGATIVE_SEED_NO_RESEED describes.

    Examples
    --------
    >>> random = LegacyRandom()
    >>> random.seed("mosaic", -12345678)
    >>> random.uniform("mosaic", 2)
    array([0.7659893 , 0.02345366])
    """

    def __init__(self) -> None:
        self._core = _random.Rng()
        self._states: dict[str, int] = {}

    def seed(self, stream: str, state: int) -> None:
        """Set the integer state of a stream.

        Parameters
        ----------
        stream : str
            Any name; the original has misset, mosaic and noise.
        state : int
            The internal state, that is *minus* the seed that is typed.

        Raises
        ------
        ConfigError
            For a state that does not fit into the original's 32 bits.
        """
        self._states[stream] = checked_seed(f"{stream}.seed", state)

    def state(self, stream: str) -> int:
        """Integer state of a stream."""
        return self._states[stream]

    def uniform(self, stream: str, n: int) -> NDArray[np.float64]:
        """Draw n uniform deviates.

        Returns
        -------
        ndarray of float64, shape (n,)
            Each the value of a float32 (docs/random_numbers.md, Uniform deviate).
        """
        values, self._states[stream] = self._core.uniform(self._states[stream], n)
        return values.astype(np.float64)

    def gaussian(self, stream: str, n: int) -> NDArray[np.float32]:
        """Draw n Gaussian deviates of unit variance (docs/random_numbers.md, Gaussian deviate)."""
        values, self._states[stream] = self._core.gaussian(self._states[stream], n)
        return values

    def poisson(self, stream: str, means: ArrayLike) -> NDArray[np.float32]:
        """Draw one Poisson deviate for each mean, in the order of the means (docs/random_numbers.md, Poisson deviate).

        Parameters
        ----------
        stream : str
        means : array_like
            Expected photons; rounded to float32. Raster order for an image.

        Returns
        -------
        ndarray of float32, the shape of means
            Whole numbers up to means of 10^6, not whole above.
        """
        expected = np.asarray(means, dtype=np.float32)
        flat = np.ascontiguousarray(expected).reshape(-1)
        values, self._states[stream] = self._core.poisson(self._states[stream], flat)
        return values.reshape(expected.shape)

    def copy(self) -> LegacyRandom:
        """Return an independent generator in the same state."""
        other = LegacyRandom()
        other._core = self._core.copy()
        other._states = dict(self._states)
        return other

    __copy__ = copy

    def __deepcopy__(self, memo: object) -> LegacyRandom:
        return self.copy()


def log_gamma(x: float) -> np.float32:
    """Logarithm of the gamma function as the original's Poisson deviates use it (docs/random_numbers.md, Poisson deviate)."""
    return _random.log_gamma(x)
