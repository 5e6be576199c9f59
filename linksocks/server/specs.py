"""Tokens as an operator declares them, by a flag, in a file or through the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


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
