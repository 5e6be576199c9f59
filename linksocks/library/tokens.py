"""Tokens as programs declare them, and what they get for it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import linksocks.config.values as v
from linksocks.library import arguments as a
from linksocks.library.rules import AccessRule, access_rules
from linksocks.server.specs import Kind, TokenSpec

NO_PORT: Final = -1

log = logging.getLogger("linksocks.library")


@dataclass(frozen=True)
class ReverseTokenResult:
    """What `Server.add_reverse_token` has added."""

    token: str = field(repr=False)
    port: int
    """The port for applications; -1 where there is none, as with allow_manage_connector."""


def forward(token: str | None, rules: Iterable[AccessRule] | None) -> TokenSpec:
    """See Server.add_forward_token."""
    return _spec(Kind.FORWARD, token, rules)


def reverse(
    token: str | None,
    port: int | None,
    username: str | None,
    password: str | None,
    allow_manage_connector: bool | None,
    rules: Iterable[AccessRule] | None,
) -> TokenSpec:
    """See Server.add_reverse_token."""
    user, word = a.login("username", username, "password", password)
    asked = a.number("port", port, v.PORT, 0)
    if not a.flag("allow_manage_connector", allow_manage_connector):
        return replace(_spec(Kind.REVERSE, token, rules), port=asked, username=user, password=word)
    if asked or user:
        log.warning("add_reverse_token: with allow_manage_connector there is no port, nor a login for it")
    return _spec(Kind.AUTONOMY, token, rules)


def connector(token: str | None, reverse_token: str, rules: Iterable[AccessRule] | None) -> TokenSpec:
    """See Server.add_connector_token."""
    spec = _spec(Kind.CONNECTOR, token, rules, "connector_token")
    return replace(spec, reverse_token=a.required("reverse_token", reverse_token))


def _spec(
    kind: Kind, token: str | None, rules: Iterable[AccessRule] | None, name: str = "token"
) -> TokenSpec:
    """With a token that is made up where none is given."""
    given = a.secret(name, token, v.TOKEN)
    return TokenSpec(kind, given or secrets.token_hex(16), rules=access_rules("rules", rules))
