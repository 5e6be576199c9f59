"""What both token APIs share: the TokenSpec that a body asks for, and what came of it."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import Any, Final

from linksocks.server.api.bodies import FLAG, PORT, TEXT, invalid
from linksocks.server.api.controls import Controls
from linksocks.server.specs import Kind, TokenSpec
from linksocks.server.tokens import Token

NO_PORT: Final = -1
"""LinkSocks's port of a reverse token whose providers have connectors only."""

REVERSE_KEYS: Final = {"port": PORT, "username": TEXT, "password": TEXT, "allow_manage_connector": FLAG}
"""What only a reverse token has."""


def forward(token: str, body: dict[str, Any]) -> TokenSpec:
    """Raises BadRequest where the body says what only other tokens have, as the next two do."""
    _no_others(body, "a forward token", *REVERSE_KEYS, "reverse_token")
    return TokenSpec(Kind.FORWARD, token or _new())


def reverse(token: str, body: dict[str, Any]) -> TokenSpec:
    """With a port, or with providers that manage their connectors."""
    _no_others(body, "a reverse token", "reverse_token")
    if body["allow_manage_connector"]:
        _no_others(body, "a token with allow_manage_connector", "port", "username", "password")
        return TokenSpec(Kind.AUTONOMY, token or _new())
    if bool(body["username"]) != bool(body["password"]):
        raise invalid("username and password go together")
    return TokenSpec(
        Kind.REVERSE, token or _new(), body["port"], username=body["username"], password=body["password"]
    )


def connector(controls: Controls, token: str, body: dict[str, Any]) -> TokenSpec:
    """For the providers of one reverse token, which its text or its label names."""
    _no_others(body, "a connector token", *REVERSE_KEYS)
    owner = controls.tokens.named(body["reverse_token"])
    known_by = owner.spec.fingerprint if owner is not None else ""
    return TokenSpec(
        Kind.CONNECTOR, token or _new(), reverse_token=body["reverse_token"], reverse_known_by=known_by
    )


def _no_others(body: dict[str, Any], what: str, *names: str) -> None:
    for name in names:
        if body.get(name):
            raise invalid(f"{name} has no effect on {what}")


def _new() -> str:
    return secrets.token_hex(16)


def port(token: Token) -> int | None:
    """Where applications go, NO_PORT, or None for a token that is for clients only."""
    port = token.grant.port
    return NO_PORT if port is None and token.grant.reverse else port


def counts(controls: Controls) -> Counter[Token]:
    """How many clients each token has let in."""
    return Counter(client.token for client in controls.clients)
