"""The endpoints of LinkSocks 1.10.3 (PROTOCOL section 5), with its keys, status codes and order of keys.

A failure to make a token is 200 with `success` false, as there. Where we differ: a token that is not there can't be
removed, so DELETE answers 404; a bad body says what is bad in it; and a token whose text is not known, because the
state file holds only its fingerprint, is shown and may be named by its label, `sha256:` and 16 digits.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any, Final

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest

from linksocks.errors import ConfigError, ListenError, StateError
from linksocks.server.api import access, tokens
from linksocks.server.api.access import RULES
from linksocks.server.api.answers import STATUS_OF_UNWRITTEN, answer, failure
from linksocks.server.api.bodies import TEXT, read
from linksocks.server.api.controls import Controls
from linksocks.server.specs import TokenSpec
from linksocks.server.tokens import Token
from linksocks.version import __version__

_KEYS: Final = {"type": TEXT, "token": TEXT, **tokens.REVERSE_KEYS, "reverse_token": TEXT, "rules": RULES}


def add_pages(api: Blueprint, controls: Controls) -> None:
    """/api/status and /api/token."""

    @api.get("/api/status")
    def status() -> Response:
        clients = tokens.counts(controls)
        connectors = defaultdict(list)
        for token in controls.tokens:
            connectors[token.parent].append(_shown(token))
        # Those without a parent: connector tokens stand with their reverse token.
        items = [
            _item(token, clients[token], connectors[token.grant])
            for token in controls.tokens
            if token.parent is None
        ]
        items.sort(key=lambda item: item["type"], reverse=True)  # reverse tokens go first
        return answer(version=f"v{__version__}", tokens=items, direct={"enabled": False})

    @api.post("/api/token")
    def make_token() -> Response:
        body = read(_KEYS)
        if body["type"] == "connector" and not body["reverse_token"]:
            return failure(200, "reverse_token is required for connector token")
        try:
            spec = replace(_spec(controls, body), rules=access.parsed(body["rules"]))
            made = controls.issuer.issue(spec)
        except (ConfigError, ListenError) as error:
            return failure(200, str(error))
        except StateError as error:
            return failure(STATUS_OF_UNWRITTEN, str(error))
        port = tokens.port(made)
        return answer(success=True, token=made.spec.token, **({} if port is None else {"port": port}))

    @api.delete("/api/token", strict_slashes=False)  # /api/token/ has no token either
    def remove_token_in_body() -> Response:
        name = read({"token": TEXT})["token"] if request.get_data() else ""
        return _remove(controls, name) if name else failure(200, "token not specified")

    @api.delete("/api/token/<token:name>")
    def remove_token(name: str) -> Response:
        return _remove(controls, name)


def _spec(controls: Controls, body: dict[str, Any]) -> TokenSpec:
    """Raises BadRequest."""
    match body["type"]:
        case "forward":
            return tokens.forward(body["token"], body)
        case "reverse":
            return tokens.reverse(body["token"], body)
        case "connector":
            return tokens.connector(controls, body["token"], body)
    raise BadRequest("invalid token type: expected forward, reverse or connector")


def _remove(controls: Controls, name: str) -> Response:
    try:
        removed = controls.issuer.revoke(name)
    except StateError as error:
        return failure(STATUS_OF_UNWRITTEN, str(error))
    return answer(success=True, token=name) if removed else failure(404, "there is no such token")


def _item(token: Token, clients: int, connectors: list[str]) -> dict[str, Any]:
    """What /api/status says of a token."""
    port = tokens.port(token)
    if port is None:
        return {"token": _shown(token), "type": "forward", "clients_count": clients}
    item: dict[str, Any] = {
        "token": _shown(token),
        "type": "reverse",
        "clients_count": clients,
        "port": port,
    }
    return item | {"connector_tokens": connectors} if connectors else item


def _shown(token: Token) -> str:
    """The text, as long as it is known."""
    return token.spec.token or token.spec.label
