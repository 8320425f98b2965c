"""Text of our own inside image files: where it stands, and how it is packed where few characters are allowed."""

from __future__ import annotations

SMV_KEY = "NANOBRAGG_PROVENANCE"
"""Key of an SMV header; its value is compressed and holds neither ``=``, ``;`` nor braces."""
COMMENT = "# nanobragg: "
"""What comes before the JSON on its line in a text header."""
TIFF_KEY = "nanobragg"
"""Key of a TIFF description or an EDF header."""


def packed(text: str) -> str:
    """Text in letters, digits, ``-`` and ``_``."""
    import base64
    import zlib

    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def unpacked(text: str) -> str:
    """The inverse of `packed`."""
    import base64
    import zlib

    return zlib.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))).decode()
