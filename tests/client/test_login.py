"""The client's login against a server played by hand: every answer of PROTOCOL sections 2.2 and 2.3."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
from gevent import socket

from linksocks.client import login as module
from linksocks.client.login import ANONYMOUS, log_in
from linksocks.errors import AuthError, LinkError
from linksocks.net.ws.websocket import WebSocket
from linksocks.wire.messages import Auth
from tests.support.rawsocket import BINARY, PING, PONG, TEXT, RawPeer

AUTH = Auth("secret", reverse=False, instance=bytes(range(16)))

SUCCESS = b"\x01\x02\x01"


def failure(reason: bytes, version: int = 1) -> bytes:
    return bytes([version, 2, 0, len(reason)]) + reason


@pytest.fixture
def ends() -> Iterator[tuple[WebSocket, RawPeer]]:
    """The client's WebSocket, and the server by hand."""
    ours, theirs = socket.socketpair()
    websocket = WebSocket(ours, client=True, name="server")
    yield websocket, RawPeer(theirs, masking=False)
    theirs.close()
    websocket.finish()


def refused(websocket: WebSocket, kind: type[LinkError], auth: Auth = AUTH, *, by_url: bool = True) -> str:
    with pytest.raises(LinkError) as caught:
        log_in(websocket, auth, by_url=by_url)
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (SUCCESS, 1),
        (b"\x02\x02\x01", 2),
        (b"\x02\x02\x01\x05token", 2),
        (b"\x01\x02\x01\x00trailing", 1),
        (b"\x0f\x02\x01", 15),
    ],
)
def test_accepted(ends, answer, version):
    websocket, peer = ends
    peer.send(BINARY, answer)
    assert log_in(websocket, AUTH, by_url=True).version == version


def test_accepted_in_a_text_frame_after_a_ping(ends):
    websocket, peer = ends
    peer.send(PING, b"latency")
    peer.send(TEXT, SUCCESS)
    assert log_in(websocket, AUTH, by_url=True).version == 1
    assert peer.read().opcode == PONG


def test_by_url_nothing_is_said_first(ends):
    websocket, peer = ends
    peer.send(BINARY, SUCCESS)
    log_in(websocket, AUTH, by_url=True)
    websocket.send(b"next")
    assert peer.read().payload == b"next"


def test_in_band_the_plain_token_is_sent(ends):
    websocket, peer = ends
    login = gevent.spawn(log_in, websocket, AUTH, by_url=False)
    assert peer.read().payload == b"\x01\x01\x06secret\x00" + bytes(range(16))
    peer.send(BINARY, SUCCESS)
    assert login.get().version == 1


def test_a_silent_server_is_told_again(ends, monkeypatch):
    """rusocks never reads the URL (PROTOCOL section 1.4)."""
    monkeypatch.setattr(module, "SILENCE", 0.05)
    websocket, peer = ends
    login = gevent.spawn(log_in, websocket, AUTH, by_url=True)
    assert peer.read().payload.startswith(b"\x01\x01\x06secret")
    peer.send(BINARY, SUCCESS)
    assert login.get().version == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (failure(b"invalid token"), "authentication failed: invalid token; check that it is the token that"),
        (failure(b"invalid token format", 2), "authentication failed: invalid token format; "),
        (b"\x01\x02\x00", "authentication failed: invalid token; "),
        (b"\x01\x02\x00\x00", "authentication failed: invalid token; "),
    ],
)
def test_refused(ends, answer, said):
    websocket, peer = ends
    peer.send(BINARY, answer)
    peer.close(1008, b"invalid token")
    assert said in refused(websocket, AuthError)


@pytest.mark.parametrize(("reverse", "kind"), [(False, "clients or connectors"), (True, "providers")])
def test_refused_with_a_token_that_may_be_of_another_kind(ends, reverse, kind):
    websocket, peer = ends
    peer.send(BINARY, failure(b"invalid token"))
    words = refused(websocket, AuthError, Auth("secret", reverse=reverse, instance=bytes(16)))
    assert words.endswith(f"; check that it is the token that the server has, and that it is one for {kind}")


def test_refused_as_pywssocks_does(ends):
    """Only a close frame with 1008."""
    websocket, peer = ends
    peer.close(1008, b"Invalid token")
    assert "authentication failed: Invalid token" in refused(websocket, AuthError)


def test_refused_without_a_token(ends):
    websocket, peer = ends
    peer.send(BINARY, failure(b"invalid token"))
    words = refused(websocket, AuthError, Auth(ANONYMOUS, reverse=False, instance=bytes(16)))
    assert "no token was given" in words
    assert "LINKSOCKS_TOKEN" in words


@pytest.mark.parametrize("code", [1000, 1001, 1011])
def test_closed_before_an_answer_is_worth_another_try(ends, code):
    websocket, peer = ends
    peer.close(code, b"restarting")
    assert "auth: the server closed before it answered" in refused(websocket, LinkError)


def test_gone_before_an_answer(ends):
    websocket, peer = ends
    peer.sock.close()
    assert "auth: the server closed before it answered" in refused(websocket, LinkError)


@pytest.mark.parametrize(
    "answer",
    [b"\x01\x09\x00\x00\x00\x02{}", b"\x01\x99", b"\x01\x06" + bytes(16), b"\x01\x0a\x00\x00\x00\x02{}"],
)
def test_another_message_first(ends, answer):
    websocket, peer = ends
    peer.send(BINARY, answer)
    assert "auth: expected AuthResponse first, got " in refused(websocket, LinkError)


@pytest.mark.parametrize("answer", [b"", b"\x01", b"\x10\x02\x01", b"\x01\x02", b"\x01\x02\x00\x05ab"])
def test_a_malformed_answer(ends, answer):
    websocket, peer = ends
    peer.send(BINARY, answer)
    assert "auth: the server's answer is malformed" in refused(websocket, LinkError)


def test_a_broken_frame(ends):
    websocket, peer = ends
    peer.send(BINARY, SUCCESS, masked=True)
    assert "auth: the server's answer is malformed: WebSocket frame" in refused(websocket, LinkError)


@pytest.mark.parametrize("by_url", [True, False])
def test_no_answer_at_all(ends, monkeypatch, by_url):
    monkeypatch.setattr(module, "SILENCE", 0.02)
    monkeypatch.setattr(module, "LOGIN_TIMEOUT", 0.08)
    websocket, _peer = ends
    assert refused(websocket, LinkError, by_url=by_url) == "auth: no answer in 0.08 s"


LONG = Auth("s" * 256, reverse=False, instance=bytes(16))


def test_a_long_token_works_by_url(ends):
    websocket, peer = ends
    peer.send(BINARY, SUCCESS)
    assert log_in(websocket, LONG, by_url=True).version == 1


def test_a_long_token_in_band_says_what_to_do(ends):
    websocket, _peer = ends
    assert "choose a shorter token" in refused(websocket, AuthError, LONG, by_url=False)
