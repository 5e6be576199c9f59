"""What the API may see and do of its server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from linksocks.server.clients import Clients
from linksocks.server.issuer import Issuer
from linksocks.server.tokens import TokenTable
from linksocks.tunnel.access import AccessRules

Reload: TypeAlias = Callable[[], Sequence[str]]
"""Reads the settings again and applies them; says what has changed. Raises ConfigError, and nothing has changed."""


class Access(Protocol):
    """Where the access rules of the whole server may be read and replaced."""

    entry_rules: AccessRules
    dial_rules: AccessRules


@dataclass
class Controls:
    """The server's own objects, by which the API acts."""

    tokens: TokenTable
    clients: Clients
    issuer: Issuer
    access: Access
    reload: Reload | None = None
    """Set by whoever started the server, where there is something to read again."""
