"""Who may have a link: the server's side of PROTOCOL section 2.2.

The hash of the token stands in the URL, or the token itself in a first message. Either way the answer is an
AuthResponse; after a refusal the WebSocket is closed with 1008, which tells pywssocks not to come back. Where the
token has too many links there is no answer but a close with 1013, which means later.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import gevent

from linksocks.errors import AuthError, FrameError, LinkError, ListenError, MessageError
from linksocks.net.ws.accept import Accepted
from linksocks.net.ws.websocket import WebSocket
from linksocks.server.tokens import Token, TokenTable
from linksocks.tunnel.channels.limits import Limits
from linksocks.wire.auth import token_hash
from linksocks.wire.codec import VERSION, pack, parse, version_of
from linksocks.wire.frames import CloseCode
from linksocks.wire.messages import NO_ID, Auth, AuthResponse

LOGIN_TIMEOUT: Final = 20.0
"""Seconds for the first message of a client that does not log in by its URL."""

_HASH_LENGTH: Final = 64

_REVERSE: Final = {"true": True, "1": True, None: None}
"""What `reverse` in a URL says; any other word is no, and without it any token will do."""


@dataclass(frozen=True, slots=True)
class Login:
    """A client that is in. `instance` names it over all its links and reconnects."""

    token: Token
    instance: bytes
    version: int
    """The version of the protocol that it is known to speak."""


class TooManyLinksError(LinkError):
    """The token is good, and has all the links that it may have."""


def log_in(accepted: Accepted, tokens: TokenTable, limits: Callable[[Token], Limits]) -> Login:
    """Answers the login; `limits` are those of a token.

    Raises AuthError after a refusal, LinkError when no login came or the server can't do what the token grants,
    LinkClosed when the client left.
    """
    websocket = accepted.websocket
    try:
        login = (
            _by_query(accepted.query, tokens) if "token" in accepted.query else _by_message(websocket, tokens)
        )
        most = limits(login.token).links
        if most and len(login.token.links) >= most:
            raise TooManyLinksError(f"this token may have {most} links")
        login.token.grant.prepare()
    except TooManyLinksError as error:  # no refusal: one of them may end
        websocket.close(CloseCode.TRY_AGAIN_LATER, str(error))
        raise
    except _RefusedError as error:
        websocket.send(pack(AuthResponse(False, str(error)), error.version))
        websocket.close(CloseCode.POLICY, str(error))
        raise
    except ListenError as error:  # no refusal: the next try may succeed
        websocket.close(CloseCode.INTERNAL_ERROR, "the server can't open the port of this token")
        raise LinkError(str(error)) from error
    websocket.send(pack(AuthResponse(True), login.version))
    return login


class _RefusedError(AuthError):
    """The client hears why, in the version that it speaks."""

    def __init__(self, reason: str, version: int = VERSION) -> None:
        super().__init__(reason)
        self.version = version


def _by_query(query: dict[str, str], tokens: TokenTable) -> Login:
    """The client has not spoken yet, so it gets VERSION."""
    digest = query["token"]
    if len(digest) != _HASH_LENGTH:
        raise _RefusedError("invalid token format")
    token = _found(tokens, digest, _REVERSE.get(query.get("reverse"), False), VERSION)
    try:
        instance = uuid.UUID(query.get("instance", "")).bytes
    except ValueError:
        instance = NO_ID
    return _login(token, instance, VERSION)


def _by_message(websocket: WebSocket, tokens: TokenTable) -> Login:
    try:
        with gevent.Timeout(LOGIN_TIMEOUT, LinkError(f"no login in {LOGIN_TIMEOUT:g} s")):
            raw = websocket.receive()
    except FrameError as error:
        raise LinkError(f"no login: {error}") from error
    if len(raw) < 2 or raw[1] != Auth.type:  # strangers get nothing else parsed
        raise _RefusedError("invalid auth message: expected Auth as the first message")
    try:
        message, version = cast(Auth, parse(raw)), version_of(raw)
    except MessageError as error:
        raise _RefusedError(f"invalid auth message: {error.reason}") from error
    token = _found(tokens, token_hash(message.token), message.reverse, version)
    return _login(token, message.instance, version)


def _found(tokens: TokenTable, digest: str, reverse: bool | None, version: int) -> Token:
    """The token, where its clients may play the role that this one wants to; None is any."""
    token = tokens.find(digest)
    if token is None or reverse not in (None, token.grant.reverse):
        raise _RefusedError("invalid token", version)
    return token


def _login(token: Token, instance: bytes, version: int) -> Login:
    """A client without an instance is one of its own."""
    return Login(token, uuid.uuid4().bytes if instance == NO_ID else instance, version)
