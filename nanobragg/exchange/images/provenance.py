"""Where an image comes from: the experiment, the versions, the quirks and the seeds, as JSON in the image file."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from os import PathLike
from typing import Any

from nanobragg.config import Experiment
from nanobragg.errors import FileFormatError
from nanobragg.io.images.image_file import embedded_text


def provenance(experiment: Any, **more: Any) -> dict[str, Any]:
    """What is recorded in image files.

    Parameters
    ----------
    experiment : Experiment or other
        What was simulated; its tables and masks are replaced by their shape and SHA-256, and the seed that a random
        orientation drew is filled in. Of a list of experiments (stills) each is recorded, of anything else (the geometry of
        an image that is converted) nothing.
    **more
        Further plain values, for example ``noise_seed=1, adc_offset=40.0``.
    """
    record = {"program": "nanobragg", **{key: _slim(value) for key, value in more.items() if value is not None}}
    if isinstance(experiment, Experiment):
        record["experiment"] = _slim(experiment.to_dict())
    elif isinstance(experiment, list):
        record["experiments"] = [_slim(one.to_dict()) for one in experiment if isinstance(one, Experiment)]
    return record


def provenance_json(experiment: Any, **more: Any) -> str:
    """`provenance` as one line of JSON."""
    return json.dumps(provenance(experiment, **more), allow_nan=False, separators=(",", ":"))


def read_provenance(path: str | PathLike[str]) -> dict[str, Any]:
    """What `provenance` recorded in an NXmx, miniCBF, SMV, TIFF or EDF file of ours.

    Raises
    ------
    FileFormatError
        When there is no such record.
    """
    text = embedded_text(path)
    if text is None:
        raise FileFormatError(path, "holds no provenance of nanobragg")
    data = json.loads(text)
    assert isinstance(data, dict)
    return data


def _slim(value: Any) -> Any:
    if isinstance(value, dict):
        if "array" in value:
            raw = zlib.decompress(base64.b64decode(value["array"]))
            return {"sha256": hashlib.sha256(raw).hexdigest(), "dtype": value["dtype"], "shape": value["shape"]}
        return {key: _slim(item) for key, item in value.items()}
    return [_slim(item) for item in value] if isinstance(value, list) else value
