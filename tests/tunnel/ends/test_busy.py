"""What is on its way when a side leaves: it arrives if it can in time, and nothing else holds the side up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import gevent
import pytest
from gevent import socket

from linksocks.tunnel.ends import busy as module
from linksocks.tunnel.ends import relay as relays
from linksocks.tunnel.ends.callers import Callers
from linksocks.wire import messages as m
from tests.support import socks
from tests.support.applications import knock, listening, serving
from tests.support.tunnels import KINDS, PATIENCE, Target, Tunnel, application, read_to_end

MANY = 12 * 1024 * 1024
"""Bytes: more than the system and all windows hold."""

both_kinds = pytest.mark.parametrize("kind", KINDS)
both_ways = pytest.mark.parametrize("way", ["by a port", "of the program"])


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "HURRIED", 0.05)


@contextmanager
def joined(way: str, tunnel: Tunnel, target: Target) -> Iterator[tuple[socket.socket, socket.socket]]:
    """An application's socket, and what the target has of it. Both are closed in the end."""
    if way == "by a port":
        app, conn = tunnel.join(target)
    else:
        waiting = gevent.spawn(target.accept)
        app = socket.socket(fileno=Callers(tunnel.passage).dial("127.0.0.1", target.port))
        app.settimeout(PATIENCE)
        conn = waiting.get()
    with app, conn:
        yield app, conn


def left(tunnel: Tunnel) -> None:
    """The client leaves at once, as a role does."""
    tunnel.passage.drain(0)
    tunnel.client.close(1001)
    tunnel.passage.stop()


class TestArrives:
    @pytest.fixture(autouse=True)
    def no_haste(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However slow this machine is just now."""
        monkeypatch.setattr(module, "DELIVERY", 2 * PATIENCE)

    @both_kinds
    @both_ways
    def test_what_was_said_before_the_close(self, kind: str, way: str) -> None:
        with Target() as target, Tunnel(kind) as tunnel, joined(way, tunnel, target) as (app, conn):
            reading = gevent.spawn(answered, conn)
            said(app, MANY)
            left(tunnel)
            assert reading.get() == (MANY, True)

    @both_kinds
    def test_a_whole_connection_within_one_turn_of_the_loop(self, kind: str) -> None:
        """Its relay has not begun yet when we leave."""
        with Target() as target, Tunnel(kind) as tunnel:
            reading = gevent.spawn(lambda: answered(target.accept()))
            app = socket.socket(fileno=Callers(tunnel.passage).dial("127.0.0.1", target.port))
            said(app, 1000)
            left(tunnel)
            assert reading.get() == (1000, True)

    @both_kinds
    def test_what_was_said_a_moment_ago(self, kind: str) -> None:
        """Nobody has read it yet, neither the bytes nor the end."""
        with Target() as target, Tunnel(kind) as tunnel, joined("by a port", tunnel, target) as (app, conn):
            (relay,) = tunnel.passage.busy._relays.values()
            while not (relay and relay._reading):
                gevent.sleep(0)
            assert not relay.leaving
            app.sendall(b"last words")
            assert relay.leaving
            assert socks.read_exactly(conn, 10) == b"last words"
            assert not relay.leaving
            app.close()
            assert relay.leaving

    @both_ways
    def test_at_a_target_that_takes_its_time(self, way: str) -> None:
        with (
            Target(receive_buffer=64 * 1024) as target,
            Tunnel() as tunnel,
            joined(way, tunnel, target) as (app, conn),
        ):
            reading = gevent.spawn(answered, conn, pause=0.005)
            said(app, MANY // 4)
            left(tunnel)
            assert reading.get() == (MANY // 4, True)

    def test_where_the_target_ended_first(self) -> None:
        with Target() as target, Tunnel() as tunnel, joined("by a port", tunnel, target) as (app, conn):
            conn.sendall(b"answer")
            conn.shutdown(socket.SHUT_WR)
            assert read_to_end(app) == (b"answer", True)
            reading = gevent.spawn(answered, conn)
            said(app, MANY)
            left(tunnel)
            assert reading.get() == (MANY, True)

    @both_kinds
    def test_where_the_side_that_dials_leaves(self, kind: str) -> None:
        size = MANY // 12  # the application's connection is a slow one, see Tunnel
        with Target() as target, Tunnel(kind) as tunnel, joined("by a port", tunnel, target) as (app, conn):
            conn.sendall(b"220")
            assert socks.read_exactly(app, 3) == b"220"
            reading = gevent.spawn(answered, app)
            said(conn, size)
            tunnel.outbound.drain(0)
            tunnel.server.close(1001)
            tunnel.outbound.stop()
            assert reading.get() == (size, True)


class TestCut:
    """Whoever is not on the way out, or takes too long."""

    @both_kinds
    @both_ways
    def test_an_idle_connection_holds_up_nobody(
        self, kind: str, way: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Target() as target, Tunnel(kind) as tunnel, joined(way, tunnel, target) as (app, conn):
            app.sendall(b"ping")
            assert socks.read_exactly(conn, 4) == b"ping"
            conn.sendall(b"pong")
            assert socks.read_exactly(app, 4) == b"pong"
            monkeypatch.setattr(module, "until", lambda _: pytest.fail("it waits"))
            left(tunnel)
            assert read_to_end(app) == (b"", False)
            assert read_to_end(conn) == (b"", False)

    @both_kinds
    def test_one_that_only_receives(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        with Target() as target, Tunnel(kind) as tunnel, joined("by a port", tunnel, target) as (app, conn):
            conn.sendall(bytes(100_000))
            assert socks.read_exactly(app, 1000) == bytes(1000)
            monkeypatch.setattr(module, "until", lambda _: pytest.fail("it waits"))
            left(tunnel)
            assert not read_to_end(app)[1]
            assert not read_to_end(conn)[1]

    @both_kinds
    @both_ways
    def test_what_does_not_arrive_in_time_is_a_reset(
        self, kind: str, way: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "DELIVERY", 0.1)
        with Target() as target, Tunnel(kind) as tunnel, joined(way, tunnel, target) as (app, conn):
            flood = gevent.spawn(said, app, 8 * MANY)  # more than anybody holds
            flood.join(0.1)
            assert not flood.ready()
            tunnel.passage.drain(0)
            tunnel.passage.stop()
            with pytest.raises(OSError, match=r"reset|pipe"):
                flood.get()
            assert not read_to_end(conn)[1]

    def test_the_deadline_is_for_all_of_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        deadlines = []

        def until(deadline: float) -> float:
            deadlines.append(deadline)
            return 0.001 if len(deadlines) < 10 else 0.0

        monkeypatch.setattr(module, "until", until)
        with Target() as target, Tunnel() as tunnel, ExitStack() as stack:
            for _ in range(5):
                app, _ = stack.enter_context(joined("by a port", tunnel, target))
                app.shutdown(socket.SHUT_WR)
            tunnel.passage.drain(0)
            assert len(deadlines) == 10
            assert len(set(deadlines)) == 1
            tunnel.passage.stop()


def test_a_closed_stream_that_has_arrived_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application has all of it, and need not be quick to close; that it got all stays true."""
    monkeypatch.setattr(relays, "LINGER", 3600)
    monkeypatch.setattr(module, "DELIVERY", 3600)
    with Target() as target, Tunnel("foreign") as tunnel, joined("by a port", tunnel, target) as (app, conn):
        said(conn, 1000)
        assert socks.read_exactly(app, 999) == bytes(999)
        while tunnel.client.channels:
            gevent.sleep(0)
        tunnel.passage.drain(0)
        tunnel.passage.stop()
        assert read_to_end(app) == (b"\0", True)


def test_a_closed_stream_that_the_system_has_arrives_without_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "LINGER", 3600)
    monkeypatch.setattr(module, "DELIVERY", 0.05)
    size = 100_000  # less than our buffer, more than the application's
    with Target() as target, Tunnel("foreign") as tunnel, listening(lambda: tunnel.client) as inbound:
        app = application(inbound.port, target.port, receive_buffer=4096)
        said(target.accept(), size)
        while tunnel.client.channels:
            gevent.sleep(0)
        passage = inbound._passage
        (relay,) = passage.busy._relays.values()
        passage.drain(0)
        assert relay
        assert relay.leaving
        passage.stop()
        assert answered(app) == (size, True)


class TestGrace:
    def test_an_idle_connection_has_it(self) -> None:
        with Target() as target, Tunnel() as tunnel, joined("by a port", tunnel, target) as (app, conn):
            draining = gevent.spawn(tunnel.passage.drain, PATIENCE)
            gevent.idle()
            conn.sendall(b"still here")
            assert socks.read_exactly(app, 10) == b"still here"
            assert not draining.ready()
            app.close()
            conn.close()
            draining.get(timeout=PATIENCE)

    def test_one_that_ended_may_have_longer(self) -> None:
        with Target() as target, Tunnel() as tunnel, joined("by a port", tunnel, target) as (app, conn):
            app.sendall(b"request")
            app.shutdown(socket.SHUT_WR)
            draining = gevent.spawn(tunnel.passage.drain, 0.01)
            assert read_to_end(conn) == (b"request", True)
            draining.join(0.1)
            assert not draining.ready()
            conn.sendall(b"answer")
            conn.close()
            draining.get(timeout=PATIENCE)
            assert read_to_end(app) == (b"answer", True)


def test_a_foreign_peer_is_told_of_the_end_soon() -> None:
    """Otherwise it is kept back for UNANSWERED, to let the answer come: longer than anybody waits who leaves."""
    with serving("foreign") as (peer, inbound):
        app = knock(inbound, b"\x05\x01\x00", b"\x05\x01\x00\x03\x06target\x00\x50")
        channel = peer.expect(m.Connect).channel
        peer.send(m.ConnectResponse(True, channel))
        socks.read_exactly(app, 2)
        assert socks.read_reply(app) == socks.SUCCEEDED
        said(app, 1000)
        draining = gevent.spawn(inbound._passage.drain, 0)
        assert peer.expect_data(channel, 1000) == bytes(1000)
        assert peer.expect(m.Disconnect) == m.Disconnect(channel)
        draining.get()


def said(sock: socket.socket, size: int) -> None:
    sock.sendall(bytes(size))
    sock.close()


def answered(sock: socket.socket, pause: float = 0.0) -> tuple[int, bool]:
    """Reads to the end, and closes as a target does; how much came, and whether the end was one."""
    size = 0
    try:
        while data := sock.recv(64 * 1024):
            size += len(data)
            gevent.sleep(pause)
    except ConnectionResetError:
        return size, False
    sock.close()
    return size, True
