"""What stands for a token on the wire."""

from __future__ import annotations

import hashlib


def token_hash(token: str) -> str:
    """A token in a URL: its SHA-256 in lower-case hex (PROTOCOL section 2.1)."""
    return hashlib.sha256(token.encode()).hexdigest()
