"""Who may have a link: the server's side of PROTOCOL section 2.2.

The hash of the token stands in the URL, or the token itself in a first message. Either way the answer is an
AuthResponse; after a refusal the WebSocket is closed with 1008, which tells pywssocks not to come back.
"""

from __future__ import annotations

from typing import Final, cast

import gevent

from linksocks.errors import AuthError, FrameError, LinkError, MessageError
from linksocks.net.accept import Accepted
from linksocks.net.websocket import WebSocket
from linksocks.server.tokens import TokenTable
from linksocks.wire.auth import token_hash
from linksocks.wire.codec import VERSION, pack, parse, version_of
from linksocks.wire.frames import CloseCode
from linksocks.wire.messages import Auth, AuthResponse

LOGIN_TIMEOUT: Final = 20.0
"""Seconds for the first message of a client that does not log in by its URL."""

_HASH_LENGTH: Final = 64


def log_in(accepted: Accepted, tokens: TokenTable) -> int:
    """Answers the login; the version of the protocol that the client is known to speak.

    Raises AuthError after a refusal, LinkError when no login came, LinkClosed when the client left.
    """
    websocket = accepted.websocket
    version = VERSION  # a client that logs in by its URL has not spoken yet
    try:
        if "token" in accepted.query:
            _check_query(accepted.query, tokens)
        else:
            version = _check_message(websocket, tokens)
    except AuthError as error:
        websocket.send(pack(AuthResponse(False, str(error)), version))
        websocket.close(CloseCode.POLICY, str(error))
        raise
    websocket.send(pack(AuthResponse(True), version))
    return version


def _check_query(query: dict[str, str], tokens: TokenTable) -> None:
    digest = query["token"]
    if len(digest) != _HASH_LENGTH:
        raise AuthError("invalid token format")
    if query.get("reverse") in ("true", "1") or not tokens.is_forward(digest):
        raise AuthError("invalid token")


def _check_message(websocket: WebSocket, tokens: TokenTable) -> int:
    try:
        with gevent.Timeout(LOGIN_TIMEOUT, LinkError(f"no login in {LOGIN_TIMEOUT:g} s")):
            raw = websocket.receive()
    except FrameError as error:
        raise LinkError(f"no login: {error}") from error
    if len(raw) < 2 or raw[1] != Auth.type:  # strangers get nothing else parsed
        raise AuthError("invalid auth message: expected Auth as the first message")
    try:
        message = cast(Auth, parse(raw))
    except MessageError as error:
        raise AuthError(f"invalid auth message: {error.reason}") from error
    if message.reverse or not tokens.is_forward(token_hash(message.token)):
        raise AuthError("invalid token")
    return version_of(raw)
