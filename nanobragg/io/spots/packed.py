"""The part of MessagePack that reflection tables of DIALS use: numbers, texts, bytes, lists and maps.

Source: the MessagePack specification. A table holds a dozen such values around blocks of bytes, so that no library is asked for.
"""

from __future__ import annotations

import struct
from typing import Any

_MOST_DEPTH = 32
_FIXED: dict[int, str] = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_LENGTHS: dict[int, tuple[str, str]] = {
    0xC4: (">B", "bytes"), 0xC5: (">H", "bytes"), 0xC6: (">I", "bytes"), 0xD9: (">B", "text"), 0xDA: (">H", "text"),
    0xDB: (">I", "text"), 0xDC: (">H", "list"), 0xDD: (">I", "list"), 0xDE: (">H", "map"), 0xDF: (">I", "map"),
}  # fmt: skip
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def pack(value: Any) -> bytes:
    """A value as bytes: int, float, str, bytes, list or dict."""
    if isinstance(value, dict):
        return b"\xdf" + struct.pack(">I", len(value)) + b"".join(pack(k) + pack(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(pack(item) for item in value)
    if isinstance(value, str):
        text = value.encode()
        return b"\xdb" + struct.pack(">I", len(text)) + text
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, int):
        return struct.pack(">Bq", 0xD3, value) if value < 0 else struct.pack(">BQ", 0xCF, value)
    return struct.pack(">Bd", 0xCB, value)


def unpack(data: bytes) -> Any:
    """The value in bytes.

    Raises
    ------
    ValueError
        For what is cut short, nested too deeply or no MessagePack.
    """
    value, end = _unpack(data, 0, 0)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes behind its end")
    return value


def _unpack(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > _MOST_DEPTH:
        raise ValueError("nested too deeply")
    if at >= len(data):
        raise ValueError("it ends early")
    kind = data[at]
    at += 1
    if kind < 0x80:
        return kind, at
    if kind >= 0xE0:
        return kind - 256, at
    if kind in _CONSTANTS:
        return _CONSTANTS[kind], at
    if kind in _FIXED:
        size = struct.calcsize(_FIXED[kind])
        return struct.unpack(_FIXED[kind], _piece(data, at, size))[0], at + size
    if kind < 0xC0:
        length = kind & (0x1F if kind >= 0xA0 else 0x0F)
        what = "text" if kind >= 0xA0 else "list" if kind >= 0x90 else "map"
    elif kind in _LENGTHS:
        form, what = _LENGTHS[kind]
        size = struct.calcsize(form)
        length, at = struct.unpack(form, _piece(data, at, size))[0], at + size
    else:
        raise ValueError(f"byte {kind:#04x} begins no value that is known here")
    if what in ("bytes", "text"):
        piece = _piece(data, at, length)
        return (piece if what == "bytes" else piece.decode("utf-8", "replace")), at + length
    items = []
    for _ in range(length * (2 if what == "map" else 1)):
        item, at = _unpack(data, at, depth + 1)
        items.append(item)
    if what == "list":
        return items, at
    try:
        return dict(zip(items[::2], items[1::2], strict=True)), at
    except TypeError:
        raise ValueError("a map has a list for a key") from None


def _piece(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise ValueError("it ends early")
    return data[at : at + size]
