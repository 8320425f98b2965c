"""An experiment as the Python that makes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanobragg.arrays import detached, is_tensor
from nanobragg.config import Experiment
from nanobragg.config.fields import Config
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.quirks import FIDELITIES
from nanobragg.config.spoken.speaks import told
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.explorer.session import SEED

_SMALL = 64
"""Arrays of at most so many numbers are written out."""
_READERS = {"hkl", "fdump", "mtz", "cif", "model"}


class PythonText:
    """The text of an experiment, and the arrays that it reads from files beside it.

    With a readout also what the detector makes of the image: expected values, or the counts of a frame of noise.
    """

    def __init__(self, experiment: Experiment, readout: Readout | None = None, frame: int | None = None) -> None:
        self.files: dict[str, Any] = {}
        """by name: arrays, or structure factors"""
        body = [f"experiment = {self._made(experiment, '')}", "image = nb.simulate(experiment)"]
        if readout is not None:
            what = "expected" if frame is None else "counts"
            body += [
                f"readout = {self._made(readout, 'readout')}",
                f"exposure = nb.expose(experiment, readout, photons=image, seed={SEED}, frame={frame or 0})",
                f"{what} = exposure.{what}",
            ]
        head = ["import numpy as np", ""] if any("np." in line for line in body) else []
        beside = [f"# reads {', '.join(self.files)} from this folder", ""] if self.files else []
        lines = ['"""An experiment of nanobragg, as it stood in the explorer."""', "", *head, "import nanobragg as nb", "",
                 *beside, *body, ""]  # fmt: skip
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
        if table.energy_ev is not None:
            each = [(energy, table.at(energy)) for energy in table.energy_ev]
            items = [f"{energy!r}: {self._factors(one, f'{path}_{energy:g}eV')},\n" for energy, one in each]
            return "nb.StructureFactors.by_energy({\n" + "".join(map(_indented_line, items)) + "})"
        self.files[f"{path}.hkl"] = table
        return f'nb.StructureFactors.from_hkl("{path}.hkl", default_F={float(detached(table.default_F))!r})'


def _indented_line(text: str) -> str:
    return f"    {text}"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
