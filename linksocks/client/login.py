"""The client's side of PROTOCOL section 2: log in by the URL, or by a first message, and read the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import gevent

from linksocks.errors import AuthError, FrameError, LinkClosed, LinkError, MessageError
from linksocks.net.greenlets import within
from linksocks.net.ws.websocket import WebSocket
from linksocks.wire.codec import pack, parse, version_of
from linksocks.wire.frames import CloseCode
from linksocks.wire.messages import Auth, AuthResponse

LOGIN_TIMEOUT: Final = 20.0
"""Seconds for the server's answer."""

SILENCE: Final = 3.0
"""Seconds after which a server that was told by the URL is told by a message too: rusocks never reads the URL. All
others answer at once, and ignore an Auth after a login."""

ANONYMOUS: Final = "anonymous"
"""The token of a client that has none; only hosted relays accept it."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """A server's yes: the version of the protocol that it speaks, and the token that it assigned, if any."""

    version: int
    token: str = field(default="", repr=False)


def log_in(websocket: WebSocket, auth: Auth, *, by_url: bool) -> Welcome:
    """Waits for the server's word on `auth`, which the URL has told it already when `by_url`.

    Raises AuthError, LinkError.
    """
    try:
        raw = _answer(websocket, auth, by_url=by_url)
        answer, version = parse(raw), version_of(raw)
    except LinkClosed as error:
        if error.code == CloseCode.POLICY:  # pywssocks says no more than that
            raise _refused(auth, error.reason) from error
        raise LinkError(f"auth: the server closed before it answered: {error}") from error
    except (MessageError, FrameError) as error:
        raise LinkError(f"auth: the server's answer is malformed: {error}") from error
    if not isinstance(answer, AuthResponse):
        raise LinkError(f"auth: expected AuthResponse first, got {type(answer).__name__}")
    if not answer.success:
        raise _refused(auth, answer.error)
    return Welcome(version, answer.token)


def _answer(websocket: WebSocket, auth: Auth, *, by_url: bool) -> bytes:
    """The server's first message, as bytes of our own."""
    with gevent.Timeout(LOGIN_TIMEOUT, LinkError(f"auth: no answer in {LOGIN_TIMEOUT:g} s")):
        if by_url:
            with within(SILENCE):
                return bytes(websocket.receive())
        websocket.send(_packed(auth))
        return bytes(websocket.receive())


def _packed(auth: Auth) -> bytes:
    try:
        return pack(auth)
    except ValueError as error:
        raise AuthError(
            "auth: this server wants the token in a message, which holds 255 bytes: choose a shorter token"
        ) from error


def _refused(auth: Auth, reason: str) -> AuthError:
    kind = "providers" if auth.reverse else "clients or connectors"
    advice = f"check that it is the token that the server has, and that it is one for {kind}"
    if auth.token == ANONYMOUS:
        advice = "no token was given: pass one with --token-file, LINKSOCKS_TOKEN or the INI file"
    return AuthError(f"authentication failed: {reason or 'invalid token'}; {advice}")
