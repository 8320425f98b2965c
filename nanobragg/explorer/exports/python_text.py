"""An experiment as the Python that makes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanobragg.arrays import detached, is_tensor
from nanobragg.config import Experiment
from nanobragg.config.fields import Config
from nanobragg.config.quirks import FIDELITIES
from nanobragg.config.spoken.speaks import told
from nanobragg.config.structure_factors import StructureFactors

_SMALL = 64
"""Arrays of at most so many numbers are written out."""
_READERS = {"hkl", "fdump", "mtz", "cif", "model"}


class PythonText:
    """The text of an experiment, and the arrays that it reads from files beside it."""

    def __init__(self, experiment: Experiment) -> None:
        self.files: dict[str, Any] = {}
        """by name: arrays, or structure factors"""
        body = self._made(experiment, "")
        head = ["import numpy as np", ""] if "np." in body else []
        lines = ['"""An experiment of nanobragg, as it stood in the explorer."""', "", *head, "import nanobragg as nb", "",
                 f"experiment = {body}", "image = nb.simulate(experiment)", ""]  # fmt: skip
        self.text = "\n".join(lines)

    def _made(self, part: Config, path: str) -> str:
        values = [f"{name}={self._value(value, f'{path}_{name}'.strip('_'))}" for name, value in told(part)]
        line = f"nb.{type(part).__name__}({', '.join(values)})"
        if len(line) <= 100:
            return line
        return f"nb.{type(part).__name__}(\n" + "".join(f"{_indented(value)},\n" for value in values) + ")"

    def _value(self, value: Any, path: str) -> str:
        if isinstance(value, StructureFactors):
            return self._factors(value, path)
        if isinstance(value, Config):
            return self._made(value, path)
        if isinstance(value, tuple) and any(isinstance(item, Config) for item in value):
            inside = "".join(f"{_indented(self._value(item, f'{path}_{i}'))},\n" for i, item in enumerate(value))
            return f"(\n{inside})"
        if isinstance(value, frozenset):
            return self._quirks(value)
        if is_tensor(value):
            value = value.detach().cpu().numpy()
        if isinstance(value, np.ndarray) and value.ndim:
            if value.size <= _SMALL:
                return f"np.array({value.tolist()!r})"
            self.files[f"{path}.npy"] = value
            return f'np.load("{path}.npy")'
        if isinstance(value, tuple | list):
            items = ", ".join(self._value(item, path) for item in value)
            return f"({items},)" if len(value) == 1 else f"({items})"
        if isinstance(value, slice):
            return f"slice({value.start!r}, {value.stop!r})"
        if isinstance(value, bool | int | str) or value is None:
            return repr(value)
        return repr(float(detached(value)))

    @staticmethod
    def _quirks(quirks: Any) -> str:
        name = next((name for name, known in FIDELITIES.items() if known == quirks), None)
        if name is not None:
            return repr(name)
        return "{" + ", ".join(sorted(f"nb.Quirk.{quirk.name}" for quirk in quirks)) + "}"

    def _factors(self, table: StructureFactors, path: str) -> str:
        if not table.has_table:
            return f"nb.StructureFactors.constant({float(detached(table.default_F))!r})"
        origin = table.origin
        if origin is not None and origin.format in _READERS and origin.checksum() is not None:
            options = "".join(f", {name}={value!r}" for name, value in origin.options.items())
            return f"nb.StructureFactors.from_{origin.format}({origin.path!r}{options})"
        self.files[f"{path}.hkl"] = table
        return f'nb.StructureFactors.from_hkl("{path}.hkl", default_F={float(detached(table.default_F))!r})'


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
