"""Seeds that nobody chose."""

from __future__ import annotations

import secrets


def drawn_seed() -> int:
    """A seed from the entropy of the system, legal for every generator here."""
    return secrets.randbelow(2**31 - 2) + 1
