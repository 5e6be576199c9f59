"""Tokens as an operator declares them, by a flag, in a file or through the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from linksocks.tunnel.access import NO_RULES, AccessRules
from linksocks.tunnel.channels.limits import NO_LIMITS, Limits
from linksocks.wire.auth import fingerprint, token_hash


class Kind(Enum):
    """What a token is for; see `grants`."""

    FORWARD = "forward"
    REVERSE = "reverse"
    AUTONOMY = "autonomy"
    CONNECTOR = "connector"


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """One token and what it grants."""

    kind: Kind
    token: str = field(repr=False)
    port: int = 0
    """REVERSE: the port for applications, or 0 for one of the pool."""
    username: str = ""
    """REVERSE: what applications must give, where this or the password is not empty."""
    password: str = field(default="", repr=False)
    reverse_token: str = field(default="", repr=False)
    """CONNECTOR: whose providers it leads to."""
    rules: AccessRules = NO_RULES
    """Which targets its clients may ask for; of REVERSE, the applications at its port; of AUTONOMY, all connectors
    of its providers."""
    limits: Limits = NO_LIMITS
    known_by: str = ""
    """The fingerprint of a token whose text nobody here knows any more: it comes from the state file."""
    reverse_known_by: str = ""
    """The same of the reverse token."""

    @property
    def fingerprint(self) -> str:
        """By this it is found."""
        return self.known_by or fingerprint(token_hash(self.token))

    @property
    def reverse_fingerprint(self) -> str:
        """The same of the reverse token."""
        return self.reverse_known_by or fingerprint(token_hash(self.reverse_token))

    @property
    def label(self) -> str:
        """What people and programs call it where its text must not stand, or is not known."""
        return f"sha256:{self.fingerprint[:16]}"
