from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

version: str
PI: float
ROUND_SCALE: float
GAUSS_WIDTH: float
TOPHAT_CUT: float
MAX_STEPS: int
scene_fields: tuple[tuple[str, tuple[int | str, ...]], ...]
quantity_names: tuple[str, ...]
kernel_names: tuple[str, ...]
available_kernels: tuple[str, ...]
continuous_fields: tuple[str, ...]
SINCG_NOISE: float
SINC3_NOISE: float

def strerror(status: int) -> str: ...
def adjoint_obstacle(scene: CoreScene) -> str: ...
def read_plain_hkl(
    data: bytes,
) -> tuple[NDArray[np.int64], NDArray[np.float64], tuple[int, int, int], tuple[int, int, int]] | None: ...

class CancelFlag:
    def set(self) -> None: ...
    def __bool__(self) -> bool: ...

class CoreScene:
    def __init__(self, scene: Any) -> None: ...
    @property
    def n_pixels(self) -> int: ...
    @property
    def simd_obstacle(self) -> str: ...
    @property
    def simd_exception(self) -> str: ...
    def render(
        self,
        begin: int,
        end: int,
        out: NDArray[np.float64],
        cancel: CancelFlag,
        kernel: str = ...,
        weights: NDArray[np.float64] | None = ...,
        channels: NDArray[np.float64] | None = ...,
    ) -> bool: ...
    def prescan(
        self, wants_pass: bool, wants_lookup: bool, most: int = ...
    ) -> tuple[tuple[int, int] | None, tuple[int, int] | None, tuple[float, float, float], bool]: ...
    def solid_angle(self, n_layers: int, n_sub: int) -> float: ...
    def trace(
        self, position: int, max_records: int = ...
    ) -> tuple[list[tuple[str, tuple[int, ...], float | tuple[float, ...]]], float]: ...

class CoreDiffuse:
    def __init__(
        self, scene: CoreScene | None, found: Any, table: NDArray[np.float64], first: tuple[float, float, float]
    ) -> None: ...
    def add(self, begin: int, end: int, photons: NDArray[np.float64], cancel: CancelFlag, kernel: str) -> bool: ...
    def at(self, hkl: NDArray[np.float64], out: NDArray[np.float64], kernel: str) -> None: ...
    def pull_back(
        self,
        hkl: NDArray[np.float64],
        cotangent: NDArray[np.float64],
        by_hkl: NDArray[np.float64],
        by_forms: NDArray[np.float64],
        by_table: NDArray[np.float64],
    ) -> None: ...

class Gradients:
    values: dict[str, NDArray[np.float64]]
    def __init__(self, scene: CoreScene, names: Iterable[str], entries: NDArray[np.int64] | None = ...) -> None: ...
    def pull_back(
        self, begin: int, end: int, cotangent: NDArray[np.float64], cancel: CancelFlag, kernel: str = ...
    ) -> bool: ...

class Tangents:
    values: dict[str, NDArray[np.float64]]
    count: int
    def __init__(self, scene: CoreScene, directions: Mapping[str, NDArray[np.float64]]) -> None: ...
    def push_forward(
        self, begin: int, end: int, out: NDArray[np.float64], cancel: CancelFlag, kernel: str = ...
    ) -> bool: ...

def image_statistics(
    image: NDArray[np.float32], region: tuple[slice, slice], mask: NDArray[np.uint8] | None = ...
) -> tuple[int, float, float, float, float, int]: ...
def integer_image(
    image: NDArray[np.float32],
    region: tuple[slice, slice],
    scale: float,
    offset: float,
    as_original: bool,
    counts: NDArray[np.uint16],
) -> None: ...
def grey_image(
    image: NDArray[np.float32], region: tuple[slice, slice], scale: float, grey: NDArray[np.uint8]
) -> None: ...
