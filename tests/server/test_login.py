"""The server's login against a client played by hand: every answer of PROTOCOL section 2.2."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from gevent import socket

from linksocks.errors import AuthError, LinkClosed, LinkError, ListenError
from linksocks.net.ws.accept import Accepted
from linksocks.net.ws.websocket import WebSocket
from linksocks.server import login as module
from linksocks.server.grants import Grant
from linksocks.server.login import log_in
from linksocks.server.specs import Kind, TokenSpec
from linksocks.server.tokens import Token, TokenTable
from linksocks.tunnel.channels.limits import Limits
from linksocks.wire.auth import token_hash
from linksocks.wire.extensions import Extensions
from tests.support.rawsocket import BINARY, CLOSE, TEXT, RawPeer

HASH = token_hash("secret")
INSTANCE = bytes(range(16))


def unlimited(_token: Token) -> Limits:
    return Limits()


class ReverseGrant(Grant):
    """Prepared as often as `prepare` was called; fails when it is told to."""

    reverse = True
    prepared = 0
    failure: ListenError | None = None

    def prepare(self) -> None:
        if self.failure:
            raise self.failure
        self.prepared += 1


def auth(token: bytes = b"secret", *, reverse: int = 0, version: int = 1) -> bytes:
    return bytes([version, 1, len(token)]) + token + bytes([reverse]) + INSTANCE


@pytest.fixture
def tokens() -> TokenTable:
    tokens = TokenTable()
    tokens.add(TokenSpec(Kind.FORWARD, "secret"), Grant())
    tokens.add(TokenSpec(Kind.FORWARD, "reverse"), ReverseGrant())
    return tokens


@pytest.fixture
def ends() -> Iterator[tuple[WebSocket, RawPeer]]:
    """The server's WebSocket, and the client by hand."""
    ours, theirs = socket.socketpair()
    websocket = WebSocket(ours, client=False, name="client", stranger=True)
    yield websocket, RawPeer(theirs, masking=True)
    theirs.close()
    websocket.finish()


def accepted(websocket: WebSocket, **query: str) -> Accepted:
    return Accepted(websocket, query, Extensions())


def test_refusals_end_with_1008(ends, tokens):
    websocket, peer = ends
    with pytest.raises(AuthError):
        log_in(accepted(websocket, token="x"), tokens, unlimited)
    websocket.send(b"no message follows")
    assert peer.read().payload == b"\x01\x02\x00\x14invalid token format"
    got = peer.read()
    assert (got.opcode, got.code, got.payload[2:]) == (CLOSE, 1008, b"invalid token format")


# By the URL


@pytest.mark.parametrize("reverse", [None, "false", "0", "", "other", "TRUE"])
def test_by_url(ends, tokens, reverse):
    websocket, peer = ends
    query = {"token": HASH} | ({} if reverse is None else {"reverse": reverse})
    login = log_in(accepted(websocket, **query), tokens, unlimited)
    assert (login.token.spec.token, login.version) == ("secret", 1)
    assert peer.read().payload == b"\x01\x02\x01"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"token": token_hash("wrong")}, "invalid token"),
        ({"token": HASH.upper()}, "invalid token"),
        ({"token": "é" * 64}, "invalid token"),
        ({"token": token_hash("anonymous")}, "invalid token"),
        ({"token": HASH, "reverse": "true"}, "invalid token"),
        ({"token": HASH, "reverse": "1"}, "invalid token"),
        ({"token": "secret"}, "invalid token format"),
        ({"token": HASH[:-1]}, "invalid token format"),
        ({"token": HASH + "0"}, "invalid token format"),
        ({"token": "x" * 8000}, "invalid token format"),
    ],
)
def test_by_url_refused(ends, tokens, query, reason):
    websocket, peer = ends
    with pytest.raises(AuthError, match=f"^{reason}$"):
        log_in(accepted(websocket, **query), tokens, unlimited)
    assert peer.read().payload == b"\x01\x02\x00" + bytes([len(reason)]) + reason.encode()


@pytest.mark.parametrize("reverse", [None, "true", "1"])
def test_a_provider_by_url(ends, tokens, reverse):
    websocket, peer = ends
    query = {"token": token_hash("reverse")} | ({} if reverse is None else {"reverse": reverse})
    assert log_in(accepted(websocket, **query), tokens, unlimited).token.grant.prepared == 1
    assert peer.read().payload == b"\x01\x02\x01"


@pytest.mark.parametrize("reverse", ["false", "0", "TRUE", ""])
def test_a_reverse_token_is_for_providers_only(ends, tokens, reverse):
    websocket, _ = ends
    with pytest.raises(AuthError, match=r"^invalid token$"):
        log_in(accepted(websocket, token=token_hash("reverse"), reverse=reverse), tokens, unlimited)


@pytest.mark.parametrize(
    ("instance", "named"),
    [
        (str(uuid.UUID(bytes=INSTANCE)), True),
        ("", False),
        ("nonsense", False),
        (str(uuid.UUID(int=0)), False),
    ],
)
def test_a_client_has_an_instance_and_gets_one_if_it_has_none(ends, tokens, instance, named):
    websocket, _ = ends
    query = {"token": HASH, "instance": instance}
    one, two = (log_in(accepted(websocket, **query), tokens, unlimited).instance for _ in range(2))
    assert (one == INSTANCE, one == two) == (named, named)


def test_a_port_that_can_not_be_opened_is_no_refusal(ends, tokens):
    """A refused token is final for a client; a port may be free a minute later."""
    websocket, peer = ends
    tokens.find(token_hash("reverse")).grant.failure = ListenError("in use")
    with pytest.raises(LinkError, match="in use") as caught:
        log_in(accepted(websocket, token=token_hash("reverse"), reverse="1"), tokens, unlimited)
    assert not isinstance(caught.value, AuthError)
    assert peer.read().code == 1011


# By a message


@pytest.mark.parametrize("opcode", [BINARY, TEXT])
@pytest.mark.parametrize("version", [1, 2, 15])
def test_in_band_in_the_version_of_the_client(ends, tokens, opcode, version):
    websocket, peer = ends
    peer.send(opcode, auth(version=version) + b"trailing")
    login = log_in(accepted(websocket), tokens, unlimited)
    assert (login.token.spec.token, login.version, login.instance) == ("secret", version, INSTANCE)
    assert peer.read().payload == bytes([version, 2, 1])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (auth(b"wrong"), b"invalid token"),
        (auth(HASH.encode()), b"invalid token"),
        (auth(b""), b"invalid token"),
        (auth(reverse=1), b"invalid token"),
        (auth(b"reverse"), b"invalid token"),
        (auth(b"\xff\xff"), b"invalid auth message: "),
        (auth()[:-1], b"invalid auth message: "),
        (b"\x11" + auth()[1:], b"invalid auth message: "),
        (b"", b"invalid auth message: "),
        (b"\x01", b"invalid auth message: "),
        (b"\x01\x99", b"invalid auth message: expected Auth"),
        (b"\x01\x03" + bytes(40), b"invalid auth message: expected Auth"),
        (b'{"type":"auth","token":"secret"}', b"invalid auth message: "),
    ],
)
def test_in_band_refused(ends, tokens, message, reason):
    websocket, peer = ends
    peer.send(BINARY, message)
    with pytest.raises(AuthError):
        log_in(accepted(websocket), tokens, unlimited)
    answer = peer.read().payload
    assert answer[1:3] == b"\x02\x00"
    assert answer[4:].startswith(reason)
    assert answer[3] == len(answer) - 4
    assert peer.read().code == 1008


def test_in_band_nothing_comes(ends, tokens, monkeypatch):
    monkeypatch.setattr(module, "LOGIN_TIMEOUT", 0.05)
    websocket, _peer = ends
    with pytest.raises(LinkError, match=r"no login in 0\.05 s") as caught:
        log_in(accepted(websocket), tokens, unlimited)
    assert type(caught.value) is LinkError


def test_in_band_the_client_leaves(ends, tokens):
    websocket, peer = ends
    peer.close(1001)
    with pytest.raises(LinkClosed):
        log_in(accepted(websocket), tokens, unlimited)


@pytest.mark.parametrize(
    ("odd", "code"), [({"masked": False}, 1002), ({"rsv": 4}, 1002), ({"length": 1 << 20}, 1009)]
)
def test_in_band_broken_frames(ends, tokens, odd, code):
    """No role knows of FrameError before there is a link: it must not come out."""
    websocket, peer = ends
    peer.send(BINARY, auth(), **odd)
    with pytest.raises(LinkError, match="no login: WebSocket frame"):
        log_in(accepted(websocket), tokens, unlimited)
    assert peer.read().code == code
