"""The dialling side, against a client played by hand."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from linksocks.errors import Cause, DialError
from linksocks.net.out.egress import Direct
from linksocks.net.out.resolve import Resolver, current_asker
from linksocks.tunnel.ends.outbound import Outbound
from linksocks.wire import messages as m
from tests.support import socks
from tests.support.targets import refusing_port
from tests.support.tunnels import KINDS, PATIENCE, Peer, Target, read_to_end

A, B = b"a" * 16, b"b" * 16

both_kinds = pytest.mark.parametrize("kind", KINDS)


@contextmanager
def dialling(kind: str) -> Iterator[tuple[Peer, Outbound]]:
    resolver = Resolver()
    outbound = Outbound(Direct(resolver))
    try:
        with Peer(kind, client=True, acceptor=outbound) as peer:
            yield peer, outbound
    finally:
        outbound.stop()
        resolver.close()


class Gate:
    """Dials as ever, but only once the test opens it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.open, self.killed = Event(), Event(), Event()
        self._dial = Direct.dial
        monkeypatch.setattr(Direct, "dial", lambda *args: self._wait(*args))  # noqa: PLW0108 - for the instance

    def _wait(self, *args: Any) -> socket.socket:
        self.reached.set()
        try:
            self.open.wait()
        except gevent.GreenletExit:
            self.killed.set()
            raise
        return self._dial(*args)


def opened(peer: Peer, target: Target, channel: bytes = A) -> socket.socket:
    """A channel, as the target sees it."""
    peer.send(m.Connect(channel, "127.0.0.1", target.port))
    assert peer.expect(m.ConnectResponse) == m.ConnectResponse(True, channel)
    return target.accept()


@both_kinds
def test_bytes_go_both_ways(kind: str) -> None:
    with Target() as target, dialling(kind) as (peer, _):
        conn = opened(peer, target)
        peer.send(m.Data(A, b"ping"))
        assert socks.read_exactly(conn, 4) == b"ping"
        conn.sendall(b"pong")
        assert peer.expect_data(A, 4) == b"pong"
        conn.close()
        if kind == "ours":
            assert peer.expect(m.EndOfStream) == m.EndOfStream(A)
            peer.send(m.EndOfStream(A))
        else:
            assert peer.expect(m.Disconnect) == m.Disconnect(A)


def test_data_need_not_wait_for_the_answer() -> None:
    with Target() as target, dialling("ours") as (peer, _):
        peer.send(m.Connect(A, "127.0.0.1", target.port), m.Data(A, b"early"), m.EndOfStream(A))
        conn = target.accept()
        assert read_to_end(conn) == (b"early", True)
        conn.close()
        assert peer.expect(m.ConnectResponse).success
        assert peer.expect(m.EndOfStream)


@both_kinds
def test_a_refused_target(kind: str) -> None:
    with refusing_port() as port, dialling(kind) as (peer, _):
        peer.send(m.Connect(A, "127.0.0.1", port))
        answer = peer.expect(m.ConnectResponse)
        assert (answer.success, answer.channel) == (False, A)
        assert "refused" in answer.error
        assert answer.cause == (5 if kind == "ours" else None)
        assert peer.link.channels == 0


@pytest.mark.parametrize(
    "host", ["", "no such host", "\ufffd\ufffd", "a" * 255, "x\0y", "[::1]", "1.2.3.4.5"]
)
def test_a_host_that_is_none(host: str) -> None:
    with dialling("ours") as (peer, _):
        peer.send(m.Connect(A, host, 80))
        answer = peer.expect(m.ConnectResponse)
        assert not answer.success
        assert answer.error


class TestWhileItDials:
    @pytest.mark.parametrize("reason", ["the application is gone", ""])
    def test_the_end_of_the_channel_ends_it(self, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = Gate(monkeypatch)
        with Target() as target, dialling("ours") as (peer, _):
            peer.send(m.Connect(A, "127.0.0.1", target.port))
            gate.reached.wait()
            peer.send(m.Disconnect(A, reason))
            assert gate.killed.wait(PATIENCE)
            assert peer.fence() == []
            assert not target.has_waiting()

    def test_a_lost_link_ends_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = Gate(monkeypatch)
        with Target() as target, dialling("ours") as (peer, _):
            peer.send(m.Connect(A, "127.0.0.1", target.port))
            gate.reached.wait()
            peer.socket.close()
            assert peer.link.drained(PATIENCE)
            assert gate.killed.wait(PATIENCE)
            assert not target.has_waiting()

    @both_kinds
    def test_a_close_delivers_what_was_sent(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = Gate(monkeypatch)
        with Target() as target, dialling(kind) as (peer, _):
            peer.send(m.Connect(A, "127.0.0.1", target.port), m.Data(A, b"a datagram of sorts"))
            gate.reached.wait()
            peer.send(m.Disconnect(A))
            peer.fence()
            gate.open.set()
            conn = target.accept()
            assert read_to_end(conn) == (b"a datagram of sorts", True)
            conn.close()
            assert peer.fence() == []

    def test_the_refusal_of_a_closed_channel_does_not_harm_the_next_of_its_id(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = Gate(monkeypatch)
        with refusing_port() as port, Target() as target, dialling("ours") as (peer, _):
            peer.send(m.Connect(A, "127.0.0.1", port))
            gate.reached.wait()
            peer.send(m.Disconnect(A), m.Connect(A, "127.0.0.1", target.port))
            peer.fence()
            gate.open.set()
            assert peer.expect(m.ConnectResponse) == m.ConnectResponse(True, A)
            conn = target.accept()
            peer.send(m.Data(A, b"for the second"), m.EndOfStream(A))
            assert read_to_end(conn) == (b"for the second", True)
            conn.close()
            assert peer.expect(m.EndOfStream)

    def test_a_stop_ends_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = Gate(monkeypatch)
        with Target() as target, dialling("ours") as (peer, outbound):
            peer.send(m.Connect(A, "127.0.0.1", target.port))
            gate.reached.wait()
            outbound.stop()
            assert not target.has_waiting()
            assert peer.expect(m.Disconnect) == m.Disconnect(A, "the dial was stopped")


def test_a_refusal_from_the_peer_resets_the_target() -> None:
    """Only our side answers a Connect. A peer that does so breaks the channel, and no connection stays behind."""
    with Target() as target, dialling("ours") as (peer, _):
        conn = opened(peer, target)
        peer.send(m.ConnectResponse(False, A, "nonsense"))
        assert read_to_end(conn) == (b"", False)
        conn.close()


def test_a_stop_resets_targets_and_tells_the_peer() -> None:
    with Target() as target, dialling("ours") as (peer, outbound):
        conn = opened(peer, target)
        outbound.stop()
        assert peer.expect(m.Disconnect).error == "the relay was stopped"
        assert read_to_end(conn) == (b"", False)
        conn.close()


def test_one_slow_dial_does_not_hold_up_another(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    with Target() as target, dialling("ours") as (peer, _):
        peer.send(m.Connect(A, "127.0.0.1", target.port))
        gate.reached.wait()
        monkeypatch.undo()
        conn = opened(peer, target, B)
        conn.close()
        peer.expect(m.EndOfStream)
        peer.send(m.EndOfStream(B), m.Disconnect(A, "over"))
        peer.fence()
        assert gate.killed.wait(PATIENCE)


def test_compressed_data_is_decompressed() -> None:
    """LinkSocks (Go) compresses from 512 KiB on, pywssocks each datagram."""
    plain = bytes(3_000_000)
    body = gzip.compress(plain)
    with Target() as target, dialling("foreign") as (peer, _):
        conn = opened(peer, target)
        peer.send_raw(b"\x01\x04\x01" + A + b"\x01" + len(body).to_bytes(4) + body)
        reading = gevent.spawn(socks.read_exactly, conn, len(plain))
        assert reading.get() == plain
        conn.close()
        peer.expect(m.Disconnect)


def test_look_ups_are_those_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that one client with many slow names does not hold up the names of others."""
    askers: list[object] = []

    def dial(*_args: Any) -> socket.socket:
        askers.append(current_asker())
        raise DialError(Cause.GENERAL, "not today")

    monkeypatch.setattr(Direct, "dial", dial)
    for _ in range(2):
        with dialling("ours") as (peer, _):
            for channel in (A, B):
                peer.send(m.Connect(channel, "name.invalid", 80))
                assert not peer.expect(m.ConnectResponse).success
            assert askers[-2:] == [peer.link.account] * 2
    assert len(set(askers)) == 2
