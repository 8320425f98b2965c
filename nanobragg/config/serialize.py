"""Experiments as plain data and back, and values at dotted paths."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from itertools import groupby
from typing import Any, TypeVar, cast

import numpy as np

from nanobragg.arrays import detached, elements, is_tensor
from nanobragg.config.fields import Config
from nanobragg.config.quirks import Quirk, as_quirks
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import ConfigError, alike
from nanobragg.version import installed_version

MODEL_VERSION = 1
"""Version of the corrected model; raised together with an entry under "Results change" in the CHANGELOG."""


_LARGE = 64
"""Arrays of more elements than this are stored compressed."""


E = TypeVar("E", bound=Config)
"""The class of experiments, which uses this module and so is not known here."""


def to_dict(experiment: Any) -> dict[str, Any]:
    """See `Experiment.to_dict`."""
    names = [field.name for field in dataclasses.fields(experiment) if field.name != "quirks"]
    data = {name: plain(getattr(experiment, name)) for name in names}
    quirks = sorted(cast(str, quirk.name) for quirk in experiment.quirks)
    return {
        "nanobragg_version": installed_version(),
        "model_version": MODEL_VERSION,
        "fidelity": experiment.fidelity,
        "quirks": quirks,
        **data,
    }


def from_dict(kind: type[E], data: dict[str, Any]) -> E:
    """See `Experiment.from_dict`."""
    if not isinstance(data, dict):
        raise ConfigError("experiment", data, "must be an object of fields")
    known = {"nanobragg_version", "model_version", "fidelity", "quirks"}
    version = data.get("model_version", MODEL_VERSION)
    if isinstance(version, bool) or not isinstance(version, int) or version > MODEL_VERSION:
        raise ConfigError(
            "model_version", version, f"this version knows models up to {MODEL_VERSION}", "update nanobragg"
        )
    parts = {key: value for key, value in data.items() if key not in known}
    quirks = as_quirks(data["quirks"] if "quirks" in data else data.get("fidelity", "corrected"))
    return cast(E, built(kind, "", {**parts, "quirks": quirks}))


def to_json(experiment: Any) -> str:
    """An experiment as JSON text, tables inline."""
    return json_text(to_dict(experiment))


def json_text(data: dict[str, Any]) -> str:
    """Plain data as JSON text.

    Raises
    ------
    ConfigError
        For NaN.
    """
    import json

    try:
        return json.dumps(data, indent=1, allow_nan=False)
    except ValueError:
        raise ConfigError("experiment", "NaN", "stands somewhere in it, and has no place in JSON") from None


def from_json(kind: type[E], text: str) -> E:
    """See `Experiment.from_json`."""
    import json

    try:
        data = json.loads(text)
    except TypeError:
        raise ConfigError("experiment", text, "must be JSON text", "from_dict takes plain data") from None
    except ValueError as error:
        raise ConfigError("experiment", text[:40], f"is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError("experiment", text[:40], "must be a JSON object")
    return from_dict(kind, data)


def equal(first: Config, second: object) -> bool:
    """See `Experiment.equals`."""
    return isinstance(second, type(first)) and to_dict(first) == to_dict(second)


def value_at(experiment: Any, path: str) -> Any:
    """See `Experiment.get`."""
    if panel := _panel_path(path):
        i = _panel_index(experiment, panel, path)
        return value_at(dataclasses.replace(experiment, detector=experiment.detector[i]), f"detector.{panel[2]}")
    if item := re.fullmatch(_ITEM, path):
        return value_at(_items(experiment, item)[int(item[2])], item[3])
    names, index = _parsed(path)
    value: Any = experiment
    for name in names:
        _known_field(value, name, path)
        value = getattr(value, name)
    return value if index is None else _elements_at(value, index, ".".join(names), path)[index]


def metadata_at(experiment: Any, path: str) -> dict[str, Any]:
    """What is known of the field at a path (see `nanobragg.config.fields.setting`).

    Raises
    ------
    ConfigError
        For what is no field of a config object.
    """
    value_at(experiment, path)  # refuses what is no path
    node: Any = experiment
    *way, last = (
        path.split("[")[0].split(".") if not path.startswith("detector[") else ("detector", path.split(".")[-1])
    )
    for name in way:
        node = getattr(node, name)
        node = node[0] if isinstance(node, tuple) else node
    if not isinstance(node, Config):
        raise ConfigError("refine", path, "cannot be refined", "name a number of a config object")
    found = {field.name: dict(field.metadata) for field in dataclasses.fields(node)}  # type: ignore[arg-type]
    return found[last]


def replaced(experiment: E, path: str | None, value: Any, parts: dict[str, Any]) -> E:
    """See `Experiment.replace`."""
    for name in parts:
        _known_field(experiment, name, name)
    result: Any = dataclasses.replace(experiment, **parts) if parts else experiment  # type: ignore[type-var]
    if path is None:
        return cast(E, result)
    if panel := _panel_path(path):
        panels, i = list(result.detector), _panel_index(result, panel, path)
        single = dataclasses.replace(result, detector=panels[i])
        panels[i] = replaced(single, f"detector.{panel[2]}", value, {}).detector
        return cast(E, dataclasses.replace(result, detector=tuple(panels)))
    if item := re.fullmatch(_ITEM, path):
        items, i = list(_items(result, item)), int(item[2])
        items[i] = replaced(items[i], item[3], value, {})
        return replaced(result, item[1], tuple(items), {})
    names, index = _parsed(path)
    return cast(E, _with(result, names, index, value, path, ""))


def all_replaced(experiment: E, values: Mapping[str, Any]) -> E:
    """The experiment with values replaced by path, one after the other; those of one part are checked together."""
    for parent, part in groupby(values.items(), key=lambda item: _parent(item[0])):
        own = dict(part)
        if parent is not None and len(own) > 1 and isinstance(node := value_at(experiment, parent), Config):
            named = {path.rpartition(".")[2]: (path, value) for path, value in own.items()}
            for name, (path, _) in named.items():
                _known_field(node, name, path)
            own = {parent: node.with_values({name: value for name, (_, value) in named.items()})}
        for path, value in own.items():
            experiment = replaced(experiment, path, value, {})
    return experiment


def _parent(path: Any) -> str | None:
    """Path of the part that holds a value; None where the path has an index, or no dot."""
    return path.rpartition(".")[0] or None if isinstance(path, str) and "[" not in path else None


_PANEL = r"detector\[(\d+)\]\.(.+)"
"""Path of a value of one panel."""


_ITEM = r"([A-Za-z_.]+)\[(\d+)\]\.(.+)"
"""Path of a value of one of several parts, as background.components[0].scale."""


def _items(experiment: Any, match: re.Match[str]) -> Any:
    """The parts that such a path goes through."""
    items = value_at(experiment, match[1])
    if not isinstance(items, tuple):
        raise ConfigError(match[0], f"one {match[1]}", "has no parts", f"write {match[1]}.{match[3]}")
    if int(match[2]) >= len(items):
        raise ConfigError(
            match[0], int(match[2]), f"must be an index below {len(items)}", f"{match[1]} has {len(items)} parts"
        )
    return items


def _panel_path(path: str) -> re.Match[str] | None:
    if not isinstance(path, str):
        raise ConfigError("path", path, "must look like crystal.misset_deg or crystal.misset_deg[2]")
    return re.fullmatch(_PANEL, path)


def _panel_index(experiment: Any, match: re.Match[str], path: str) -> int:
    if not isinstance(experiment.detector, tuple):
        raise ConfigError(path, "one detector", "has no panels", f"write detector.{match[2]}")
    if int(match[1]) >= len(experiment.detector):
        raise ConfigError(path, int(match[1]), f"must be an index below {len(experiment.detector)}")
    return int(match[1])


def _with(node: Any, names: list[str], index: int | None, value: Any, path: str, prefix: str) -> Any:
    name, rest = names[0], names[1:]
    _known_field(node, name, path)
    current = getattr(node, name)
    here = f"{prefix}.{name}" if prefix else name
    if rest:
        if current is None:
            part = _part(node, name)
            if part is None or any(_required(f) for f in dataclasses.fields(part)):
                raise ConfigError(here, None, f"is not set, so {path} cannot be", f"set {here} as a whole first")
            current = part()
        new = _with(current, rest, index, value, path, here)
    elif index is not None:
        items = _elements_at(current, index, here, path)
        items[index] = value
        new = tuple(items)
    else:
        new = value
    return node.with_value(name, new) if isinstance(node, Config) else dataclasses.replace(node, **{name: new})


def _elements_at(value: Any, index: int, here: str, path: str) -> list[Any]:
    """The elements of a vector that has one of this index."""
    if not (isinstance(value, tuple) or (is_tensor(value) and value.ndim)):
        raise ConfigError(here, value, "has no elements", f"set {here} as a whole first")
    items = elements(value)
    if not -len(items) <= index < len(items):
        raise ConfigError(path, index, f"must be an index below {len(items)}")
    return items


def _part(kind: Any, name: str) -> Any:
    """The class of a field that holds another object; None: it holds a value."""
    return next(field.metadata.get("part") for field in dataclasses.fields(kind) if field.name == name)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _parsed(path: str) -> tuple[list[str], int | None]:
    match = re.fullmatch(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\[(-?\d+)\])?", path)
    if not match:
        raise ConfigError("path", path, "must look like crystal.misset_deg or crystal.misset_deg[2]")
    return match[1].split("."), None if match[2] is None else int(match[2])


def _known_field(node: Any, name: str, path: str) -> None:
    if isinstance(node, Config) and name in node.__dataclass_fields__ and name[0] != "_":  # type: ignore[attr-defined]
        return
    if isinstance(node, tuple) and node and dataclasses.is_dataclass(node[0]):
        head, _, rest = path.partition(f".{name}")
        raise ConfigError(path, f"{len(node)} parts", "says not which of them", f"write {head}[0].{name}{rest}")
    if not dataclasses.is_dataclass(node):
        if node is None:
            head = path.partition(f".{name}")[0]
            raise ConfigError(path, None, f"{head} is not set", f"set {head} as a whole first")
        raise ConfigError(path, node, "is not part of an experiment")
    names = [field.name for field in dataclasses.fields(node)]
    if name not in names:
        near = alike(name, names)
        raise ConfigError(
            path, name, "no such field", f"did you mean {near[0]}?" if near else f"one of {', '.join(names)}"
        )


def plain(value: Any) -> Any:
    """Plain data behind a config value: tensors and gradients become numbers."""
    if isinstance(value, Config):
        stored = value.stored()
        return {
            field.name: plain(stored.get(field.name, getattr(value, field.name)))
            for field in dataclasses.fields(value)  # type: ignore[arg-type]
        }
    if isinstance(value, StructureFactors):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if is_tensor(value):
        return plain(value.detach().cpu().numpy())
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            return plain(value.item())
        if value.size <= _LARGE and value.dtype != bool:
            return [plain(item) for item in value]
        return {"array": _packed(value), "dtype": str(value.dtype), "shape": list(value.shape)}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, slice):
        return {"slice": [plain(value.start), plain(value.stop)]}
    if isinstance(value, Quirk):
        return value.name
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value if value is None or isinstance(value, bool | int | str) else detached(value)


def _packed(value: np.ndarray) -> str:
    import base64
    import zlib

    return base64.b64encode(zlib.compress(np.ascontiguousarray(value).tobytes())).decode("ascii")


def _unpacked(text: str) -> bytes:
    import base64
    import zlib

    try:
        return zlib.decompress(base64.b64decode(text))
    except zlib.error as error:
        raise ValueError(error) from None


def _natural(value: Any) -> Any:
    """The inverse of `plain` for values that are not parts."""
    if isinstance(value, dict) and "array" in value:
        try:
            return np.frombuffer(_unpacked(value["array"]), dtype=value["dtype"]).reshape(value["shape"]).copy()
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError("array", value, f"is not a packed array: {error}") from None
    if isinstance(value, dict) and "slice" in value:
        ends = value["slice"]
        if not isinstance(ends, list) or len(ends) != 2 or not all(end is None or isinstance(end, int) for end in ends):
            raise ConfigError("slice", ends, "must be [start, stop] in whole numbers or null")
        return slice(*ends)
    if isinstance(value, list):
        return tuple(_natural(item) for item in value)
    if isinstance(value, str) and value in ("inf", "-inf"):
        return float(value)
    return value


def check_keys(kind: type, path: str, data: Mapping[str, Any]) -> None:
    """Refuse a key that is no field of a class, with a suggestion.

    Raises
    ------
    ConfigError
    """
    names = {field.name for field in dataclasses.fields(kind)}
    for key, value in data.items():
        if key not in names:
            near = alike(key, names)
            shown = Braces() if isinstance(value, dict | list) else value
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(sorted(names))}"
            raise ConfigError(f"{path}.{key}" if path else key, shown, "no such field", hint)
        part = _part(kind, key)
        if part is not None and part is not StructureFactors and isinstance(value, dict):
            check_keys(part, f"{path}.{key}" if path else key, value)


class Braces:
    """Stands in messages for a table, whose content would only be long."""

    def __repr__(self) -> str:
        return "{...}"


def built(kind: type, path: str, data: Any) -> Any:
    """An object of a config class from plain data; unknown keys are refused with a suggestion."""
    if not isinstance(data, dict):
        raise ConfigError(path or "experiment", data, "must be an object of fields")
    if kind is StructureFactors and "file" in data:
        raise ConfigError(
            f"{path}.file", data["file"], "is the name of a file", "read it with Experiment.from_json_file"
        )
    check_keys(kind, path, data)
    values = {}
    for key, value in data.items():
        here = f"{path}.{key}" if path else key
        part = _part(kind, key)
        if part is None or value is None or isinstance(value, part):
            values[key] = _natural(value)
        elif isinstance(value, list):
            values[key] = tuple(built(part, here, item) for item in value)
        else:
            values[key] = built(part, here, value)
    missing = [f.name for f in dataclasses.fields(kind) if _required(f) and f.name not in values]
    if missing:
        raise ConfigError(f"{path}.{missing[0]}" if path else missing[0], None, "is required")
    if kind is StructureFactors:
        try:
            table = np.asarray(values["amplitude"], dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise ConfigError(f"{path}.amplitude", values["amplitude"], "must be a table of numbers") from None
        values["amplitude"] = table if table.size else np.empty((0, 0, 0))  # lists cannot say which axes are empty
    return kind(**values)
