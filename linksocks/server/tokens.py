"""The tokens that a server accepts, found by a hash of their hash: a wrong guess takes as long as a near one."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from linksocks.errors import ConfigError
from linksocks.server.grants import Grant
from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.channels.limits import Rates
from linksocks.tunnel.channels.link import Link
from linksocks.wire.auth import fingerprint, token_hash
from linksocks.wire.frames import CloseCode

RESERVED: Final = "anonymous"
"""What a client without a token calls itself (PROTOCOL section 2.2)."""


@dataclass(eq=False, slots=True)
class Token:
    """An accepted token: what it grants, and the links that it let in. It goes when `parent` goes."""

    spec: TokenSpec
    grant: Grant
    parent: Grant | None
    links: set[Link] = field(default_factory=set)
    rates: Rates | None = None
    """What its clients share, once there was one and if there is a limit."""


class TokenTable:
    """All tokens of a server, by their fingerprints."""

    def __init__(self) -> None:
        # A dict finds a key faster the less of it is unlike. The keys are made with a secret of this process,
        # so how long a look-up takes tells nothing about them.
        self._secret = secrets.token_bytes(32)
        self._tokens: dict[bytes, Token] = {}
        self._children: dict[Grant, set[Token]] = {}

    def __iter__(self) -> Iterator[Token]:
        return iter(list(self._tokens.values()))

    def check(self, spec: TokenSpec) -> None:
        """Raises ConfigError when it can't be added."""
        if not spec.known_by and spec.token in ("", RESERVED):
            raise ConfigError(f"a token can't be empty or {RESERVED!r}, which is reserved")
        if self.get(spec.fingerprint) is not None:
            raise ConfigError(
                "connector token already exists" if spec.kind is Kind.CONNECTOR else "token already exists"
            )

    def add(self, spec: TokenSpec, grant: Grant, parent: Grant | None = None) -> Token:
        """Accepts a token. Raises ConfigError."""
        self.check(spec)
        accepted = self._tokens[self._key(spec.fingerprint)] = Token(spec, grant, parent)
        if parent is not None:
            self._children.setdefault(parent, set()).add(accepted)
        return accepted

    def find(self, digest: str) -> Token | None:
        """The token whose hash is `digest`, as it stands in a URL."""
        return self.get(fingerprint(digest))

    def get(self, known_by: str) -> Token | None:
        """The token with this fingerprint."""
        token = self._tokens.get(self._key(known_by))
        if token is None or not hmac.compare_digest(token.spec.fingerprint, known_by):
            return None
        return token

    def children(self, grant: Grant) -> int:
        """How many tokens go with `grant`."""
        return len(self._children.get(grant, ()))

    def named(self, name: str) -> Token | None:
        """The token that an operator calls so, by its text or by its label."""
        return self.find(token_hash(name)) or next((each for each in self if each.spec.label == name), None)

    def remove(self, token: Token) -> None:
        """Accepts `token` no more, nor those that it is the parent of, and ends what they let in."""
        gone = [token, *self._children.pop(token.grant, ())]
        for each in gone:
            self._tokens.pop(self._key(each.spec.fingerprint), None)
            if each.parent is not None:
                self._children.get(each.parent, set()).discard(each)
        for each in gone:
            each.grant.stop()
            for link in list(each.links):
                link.close(CloseCode.POLICY, "token removed")

    def _key(self, known_by: str) -> bytes:
        return hashlib.blake2b(known_by.encode(), key=self._secret).digest()
