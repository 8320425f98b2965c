"""Messages as text."""

from __future__ import annotations

import json
import math
from typing import Any

_LONGEST = 2000
"""Characters of a text that a page shows: what was typed may be in it, whatever its length."""


def as_text(message: dict[str, Any]) -> str:
    """A message in JSON; infinite numbers and NaN, which JSON does not know, are null."""
    try:
        return json.dumps(message, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(message), allow_nan=False)


def mistake(text: str) -> dict[str, Any]:
    """The message that tells a mistake."""
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
    return {"kind": "message", "level": "error", "text": short}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
