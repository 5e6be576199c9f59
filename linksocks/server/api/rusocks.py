"""The endpoints that rusocks has beside those of LinkSocks, in its envelope `{"success", "error", "data"}`.

Its failures are status codes: 400 for what can't be, 404 for what is not there. No text of a token is shown but
that of one just made.
"""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, Response

from linksocks.errors import ConfigError, ListenError, StateError
from linksocks.server.api import tokens
from linksocks.server.api.answers import STATUS_OF_UNWRITTEN, answer
from linksocks.server.api.bodies import FLAG, TEXT, read
from linksocks.server.api.controls import Controls
from linksocks.server.specs import Kind, TokenSpec
from linksocks.server.tokens import Token

_TOKEN_KEYS: Final = {"token": TEXT, "reverse": FLAG, **tokens.REVERSE_KEYS}

_CONNECTOR_KEYS: Final = {"connector_token": TEXT, "reverse_token": TEXT}


def add_pages(api: Blueprint, controls: Controls) -> None:
    """/api/tokens and /api/connectors."""

    @api.get("/api/tokens")
    def list_tokens() -> Response:
        clients = tokens.counts(controls)
        return _done([_item(token, clients[token]) for token in controls.tokens])

    @api.post("/api/tokens")
    def make_token_of_rusocks() -> Response:
        body = read(_TOKEN_KEYS, required="reverse")
        make = tokens.reverse if body["reverse"] else tokens.forward
        return _make(controls, make(body["token"], body), "token")

    @api.post("/api/connectors")
    def make_connector() -> Response:
        body = read(_CONNECTOR_KEYS, required="reverse_token")
        return _make(controls, tokens.connector(controls, body["connector_token"], body), "connector_token")

    @api.delete("/api/tokens/<token:name>")
    def remove_token_of_rusocks(name: str) -> Response:
        return _remove(controls, name, connector=False)

    @api.delete("/api/connectors/<token:name>")
    def remove_connector(name: str) -> Response:
        return _remove(controls, name, connector=True)


def _make(controls: Controls, spec: TokenSpec, key: str) -> Response:
    try:
        made = controls.issuer.issue(spec)
    except (ConfigError, ListenError) as error:
        return _failed(400, str(error))
    except StateError as error:
        return _failed(STATUS_OF_UNWRITTEN, str(error))
    port = tokens.port(made)
    return _done({key: made.spec.token, **({} if port is None else {"port": port})})


def _remove(controls: Controls, name: str, *, connector: bool) -> Response:
    """A connector token is found among the connectors and nowhere else."""
    token = controls.tokens.named(name)
    if token is not None and (token.spec.kind is Kind.CONNECTOR) is not connector:
        return _failed(404, "there is no such token here")
    try:
        removed = controls.issuer.revoke(name)
    except StateError as error:
        return _failed(STATUS_OF_UNWRITTEN, str(error))
    return _done(None) if removed else _failed(404, "there is no such token")


def _item(token: Token, clients: int) -> dict[str, Any]:
    port = tokens.port(token)
    kind = "connector" if token.spec.kind is Kind.CONNECTOR else "forward" if port is None else "reverse"
    item: dict[str, Any] = {"token": token.spec.label, "type": kind, "clients_count": clients}
    return item if port is None else item | {"port": port}


def _done(data: Any) -> Response:
    return answer(success=True, error=None, data=data)


def _failed(status: int, error: str) -> Response:
    return answer(status, success=False, error=error, data=None)
