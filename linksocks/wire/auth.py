"""What stands for a token on the wire."""

from __future__ import annotations

import hashlib


def token_hash(token: str) -> str:
    """A token in a URL: its SHA-256 in lower-case hex (PROTOCOL section 2.1)."""
    return hashlib.sha256(token.encode()).hexdigest()


def fingerprint(digest: str) -> str:
    """By this a server knows a token's hash again, and nobody logs in with it: the SHA-256 of the hash, in hex."""
    return hashlib.sha256(digest.encode()).hexdigest()
