"""Fast open: success is told before the other end has dialled, and taken back by a reset where it did not reach."""

from __future__ import annotations

import gevent
import pytest
from gevent import socket

from linksocks.errors import Cause, DialError
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.ends import outbound
from linksocks.tunnel.ends.inbound import Inbound
from linksocks.wire import messages as m
from tests.support import socks
from tests.support.applications import knock, listening, serving
from tests.support.targets import refusing_port
from tests.support.tunnels import KINDS, Peer, Target, Tunnel, read_to_end, reset

REQUESTS = {
    "socks5": (b"\x05\x01\x00\x05\x01\x00\x03\x06target\x00\x50", b"\x05\x00\x05\x00\x00\x01" + bytes(6)),
    "socks4a": (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00target\x00", b"\x00\x5a" + bytes(6)),
    "http": (
        b"CONNECT target:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HTTP/1.1 200 Connection established\r\n\r\n",
    ),
}

all_protocols = pytest.mark.parametrize("protocol", REQUESTS)
both_kinds = pytest.mark.parametrize("kind", KINDS)


def connected(
    peer: Peer, inbound: Inbound, protocol: str, early: bytes = b""
) -> tuple[socket.socket, m.ChannelId]:
    """An application that was told of success, while the peer has not answered yet."""
    request, success = REQUESTS[protocol]
    app = knock(inbound, request + early)
    assert socks.read_exactly(app, len(success)) == success
    connect = peer.expect(m.Connect)
    assert (connect.host, connect.port) == ("target", 80)
    return app, connect.channel


@both_kinds
@all_protocols
def test_data_follows_the_request_in_order(kind: str, protocol: str) -> None:
    with serving(kind, fast_open=True) as (peer, inbound):
        app, channel = connected(peer, inbound, protocol, b"early")
        app.sendall(b"late")
        if kind == "foreign":  # it would lose what comes before its answer
            assert peer.fence() == []
            peer.send(m.ConnectResponse(True, channel))
        assert peer.expect_data(channel, 9) == b"earlylate"
        if kind == "ours":
            peer.send(m.ConnectResponse(True, channel))
        peer.send(m.Data(channel, b"answer"))
        assert socks.read_exactly(app, 6) == b"answer"
        peer.send(m.Disconnect(channel))
        assert read_to_end(app) == (b"", True)
        app.close()


@both_kinds
@all_protocols
@pytest.mark.parametrize("busy", [True, False], ids=["sending", "waiting"])
def test_a_failure_resets(kind: str, protocol: str, busy: bool) -> None:
    with serving(kind, fast_open=True) as (peer, inbound):
        app, channel = connected(peer, inbound, protocol)
        if busy:
            app.sendall(bytes(100))
            if kind == "ours":
                peer.expect_data(channel, 100)
        peer.send(m.ConnectResponse(False, channel, "refused", Cause.REFUSED))
        assert read_to_end(app) == (b"", False)
        assert peer.fence() == []
        app.close()


@both_kinds
def test_a_failure_resets_one_that_waits_for_room(kind: str) -> None:
    """Its data fills the link's window, so the relay can't look at the application."""
    with serving(kind, fast_open=True) as (peer, inbound):
        app, channel = connected(peer, inbound, "socks5")
        sender = gevent.spawn(_send_until_reset, app)
        if kind == "ours":
            peer.expect(m.Data)
        peer.send(m.ConnectResponse(False, channel, "refused"))
        assert isinstance(sender.get(), ConnectionError)
        peer.fence()
        app.close()


@pytest.mark.parametrize("how", ["disconnect", "reset", "lost", "silence"])
def test_no_answer_resets(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "silence":
        monkeypatch.setattr(outbound, "_WAY", 0.05 - outbound.CONNECT_TIMEOUT)
    with serving(fast_open=True) as (peer, inbound):
        app, channel = connected(peer, inbound, "http")
        match how:
            case "disconnect":
                peer.send(m.Disconnect(channel))
            case "reset":
                peer.send(m.Disconnect(channel, "gone"))
            case "lost":
                peer.socket.close()
            case "silence":
                assert peer.expect(m.Disconnect).channel == channel
        assert read_to_end(app) == (b"", False)
        app.close()


@both_kinds
def test_an_application_that_is_gone_before_the_answer(kind: str) -> None:
    with serving(kind, fast_open=True) as (peer, inbound):
        app, channel = connected(peer, inbound, "socks5")
        reset(app)
        assert peer.expect(m.Disconnect).error
        peer.send(m.ConnectResponse(True, channel))
        assert peer.fence() == []


def test_nobody_waits_on_for_the_answer_once_both_directions_have_ended() -> None:
    """No peer of ours ends what it did not answer; the watcher goes all the same."""
    with serving(fast_open=True) as (peer, inbound):
        app, channel = connected(peer, inbound, "socks5")
        peer.send(m.EndOfStream(channel))
        assert read_to_end(app) == (b"", True)
        app.close()
        assert peer.expect(m.EndOfStream).channel == channel


def test_stop_ends_one_that_waits_for_the_answer() -> None:
    with serving(fast_open=True) as (peer, inbound):
        app, _ = connected(peer, inbound, "socks5")
        inbound.stop()
        assert not read_to_end(app)[1]
        assert peer.expect(m.Disconnect).error
        app.close()


def test_no_link_is_told_as_ever() -> None:
    def none() -> Link:
        raise DialError(Cause.NETWORK_UNREACHABLE, "no link")

    with listening(none, fast_open=True) as inbound:
        app = knock(inbound, REQUESTS["socks5"][0])
        assert socks.read_exactly(app, 2) == b"\x05\x00"
        assert socks.read_reply(app) == socks.NET_UNREACHABLE
        app.close()


def test_an_absolute_request_gets_an_answer_all_the_same() -> None:
    with (
        refusing_port() as port,
        Tunnel() as tunnel,
        listening(lambda: tunnel.client, fast_open=True) as inbound,
    ):
        app = knock(inbound, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert read_to_end(app)[0].startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        app.close()


@both_kinds
def test_through_a_tunnel(kind: str) -> None:
    with (
        Target() as target,
        Tunnel(kind) as tunnel,
        listening(lambda: tunnel.client, fast_open=True) as inbound,
    ):
        app = knock(inbound, f"CONNECT 127.0.0.1:{target.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        socks.read_exactly(app, len(REQUESTS["http"][1]))
        app.sendall(b"hello")
        far = target.accept()
        assert socks.read_exactly(far, 5) == b"hello"
        far.sendall(b"you too")
        far.close()
        assert read_to_end(app) == (b"you too", True)
        app.close()


@both_kinds
def test_a_refused_target_through_a_tunnel(kind: str) -> None:
    with (
        refusing_port() as port,
        Tunnel(kind) as tunnel,
        listening(lambda: tunnel.client, fast_open=True) as inbound,
    ):
        app = knock(inbound, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\nhello".encode())
        assert read_to_end(app) == (REQUESTS["http"][1], False)
        app.close()


def _send_until_reset(app: socket.socket) -> Exception | None:
    try:
        app.sendall(bytes(64 * 1024 * 1024))
    except ConnectionError as error:
        return error
    return None
