"""The tokens that a server accepts. Only hashes are kept, and a wrong guess takes as long as a near one."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from linksocks.wire.auth import token_hash


class TokenTable:
    """Forward tokens, by their hash. `anonymous` is reserved (PROTOCOL section 2.2)."""

    def __init__(self) -> None:
        # A dict finds a key faster the less of it is unlike. The keys are made with a secret of this process,
        # so how long a look-up takes tells nothing about the hashes.
        self._secret = secrets.token_bytes(32)
        self._forward: dict[bytes, str] = {}

    def add_forward(self, token: str) -> None:
        """Accepts `token`. Raises ValueError for one that can't be."""
        if not token or token == "anonymous":
            raise ValueError("a token can't be empty or 'anonymous', which is reserved")
        digest = token_hash(token)
        self._forward[self._key(digest)] = digest

    def is_forward(self, digest: str) -> bool:
        """Whether `digest`, as it stands in a URL, is the hash of a forward token."""
        kept = self._forward.get(self._key(digest))
        return kept is not None and hmac.compare_digest(kept.encode(), digest.encode())

    def _key(self, digest: str) -> bytes:
        return hashlib.blake2b(digest.encode(), key=self._secret).digest()
