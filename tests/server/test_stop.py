"""How a server ends: what is on its way arrives even without a grace, and from any state nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from linksocks.errors import ClosedError, ConfigError, ListenError
from linksocks.server import ports
from linksocks.server import role as roles
from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.ends import busy, switch
from linksocks.wire import messages as m
from linksocks.wire.extensions import Extensions
from tests.support.hands import Hand
from tests.support.leaks import open_fds, opened_since
from tests.support.ports import free_port
from tests.support.roles import by_hand, running, server_role, stopping
from tests.support.tunnels import PATIENCE, Target, read_to_end

REVERSE, CONNECTOR = "a-reverse-token", "a-connector-token"

A, B = b"a" * 16, b"b" * 16

WINDOW = 1000
"""Bytes that the server may send before it hears of more."""

OURS = Extensions(window=WINDOW, half_close=True, leave=True)

SPEECH = b"x" * (5 * WINDOW)


@pytest.fixture
def server() -> Iterator[ServerRole]:
    """With a token of each kind but autonomy."""
    role = server_role()
    role.add(TokenSpec(Kind.REVERSE, REVERSE))
    role.add(TokenSpec(Kind.CONNECTOR, CONNECTOR, reverse_token=REVERSE))
    with running(role):
        yield role


@contextmanager
def switched(server: ServerRole) -> Iterator[tuple[Hand, Hand, m.ChannelId]]:
    """A connector and a provider with a channel between them: A, and what the provider calls it."""
    with (
        by_hand(server, REVERSE, reverse=True, instance=A, extensions=OURS) as far,
        by_hand(server, CONNECTOR, extensions=OURS) as near,
    ):
        assert [hand.expect(m.Partners).count for hand in (far, near, far)] == [0, 1, 1]
        near.send(m.Connect(A, "target", 80))
        channel = far.expect(m.Connect).channel
        far.send(m.ConnectResponse(True, channel))
        assert near.expect(m.ConnectResponse).success
        yield near, far, channel


def take_rest(hand: Hand, channel: m.ChannelId, stop: gevent.Greenlet) -> None:
    """What follows the first window of a speech."""
    hand.expect(m.Leaving)
    gevent.idle()
    assert not stop.ready()
    hand.send(m.Consumed(channel, WINDOW, len(SPEECH)))
    assert hand.expect_data(channel, len(SPEECH) - WINDOW) == SPEECH[WINDOW:]


class TestDelivery:
    """What an application has said last is in test_role."""

    def test_what_a_target_has_said_last(self, server: ServerRole) -> None:
        """Both have ended, and the last waits for credit: no relay is left of it."""
        with Target() as target, by_hand(server, extensions=OURS) as hand:
            hand.send(m.Connect(A, "127.0.0.1", target.port))
            conn = target.accept()
            assert hand.expect(m.ConnectResponse).success
            hand.send(m.EndOfStream(A))
            assert conn.recv(1) == b""
            conn.sendall(SPEECH)
            conn.close()
            assert hand.expect_data(A, WINDOW) == SPEECH[:WINDOW]
            with stopping(server) as stop:
                take_rest(hand, A, stop)
                assert hand.expect(m.EndOfStream) == m.EndOfStream(A)
                assert hand.closed().code == 1001

    @pytest.mark.parametrize("end", [m.EndOfStream(A), m.Disconnect(A)], ids=["half", "whole"])
    def test_what_a_connector_has_said_last(self, server: ServerRole, end: m.Message) -> None:
        with switched(server) as (near, far, channel):
            near.send(*(m.Data(A, SPEECH[n : n + WINDOW]) for n in range(0, len(SPEECH), WINDOW)), end)
            near.fence()
            assert far.expect_data(channel, WINDOW) == SPEECH[:WINDOW]
            with stopping(server) as stop:
                take_rest(far, channel, stop)
                assert far.expect(type(end)).channel == channel
                far.send(m.EndOfStream(channel))
                assert far.closed().code == 1001
                near.closed()

    def test_those_that_are_idle_delay_nothing(
        self, server: ServerRole, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (busy, switch):
            monkeypatch.setattr(module, "DELIVERY", 3600)
        with (
            Target() as target,
            switched(server) as (near, far, _),
            by_hand(server, extensions=OURS, instance=B) as hand,
        ):
            hand.send(m.Connect(A, "127.0.0.1", target.port))
            conn = target.accept()
            assert hand.expect(m.ConnectResponse).success
            with stopping(server):
                assert [each.closed().code for each in (hand, near, far)] == [1001] * 3
                assert read_to_end(conn) == (b"", False)
            conn.close()


class TestLinks:
    def test_who_has_a_broken_stream_is_told_before_the_end(self, server: ServerRole) -> None:
        """LinkSocks would wait 30 s for another link, and go on with the stream there."""
        with (
            Target() as target,
            switched(server) as (near, far, channel),
            by_hand(server, instance=B) as hand,
        ):
            hand.send(m.Connect(A, "127.0.0.1", target.port))
            conn = target.accept()
            assert hand.expect(m.ConnectResponse).success
            with stopping(server):
                assert hand.expect(m.Disconnect).error
                for each, name in ((near, A), (far, channel)):
                    each.expect(m.Leaving)
                    told = each.expect(m.Disconnect)
                    assert (told.channel, bool(told.error)) == (name, True)
                assert [each.closed().code for each in (hand, near, far)] == [1001] * 3
            conn.close()

    def test_connectors_of_a_provider_may_come_again(self, server: ServerRole) -> None:
        """Its tokens are not removed with it."""
        server.add(TokenSpec(Kind.AUTONOMY, "autonomy"))
        with by_hand(server, "autonomy", reverse=True) as far:
            assert far.expect(m.Partners).count == 0
            far.send(m.Connector(A, "own", m.Operation.ADD))
            assert far.expect(m.ConnectorResponse).success
            with by_hand(server, "own") as near, stopping(server):
                assert (near.closed().code, far.closed().code) == (1001, 1001)


class TestFromAnyState:
    def test_before_a_start_it_lets_its_ports_go(self) -> None:
        port = free_port()
        role = server_role(port_pool=[port])
        role.add(TokenSpec(Kind.REVERSE, REVERSE))
        assert role.port_of(REVERSE) == port
        role.stop(PATIENCE)
        role.wait()
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port))

    def test_many_at_once_end_together_with_the_shortest_grace(self, server: ServerRole) -> None:
        with switched(server) as (near, far, _):
            stops = [gevent.spawn(server.stop, grace) for grace in (3600, 0.05, 3600, 3600)]
            assert (near.closed().code, far.closed().code) == (1001, 1001)
        assert len(gevent.joinall(stops, PATIENCE)) == len(stops)
        assert all(stop.successful() for stop in stops)
        server.stop(3600)

    def test_one_that_is_killed_meanwhile_leaves_it_to_the_next(self, server: ServerRole) -> None:
        with switched(server) as (near, far, _):
            stop = gevent.spawn(server.stop, 3600)
            near.expect(m.Leaving)
            stop.kill()
            with stopping(server):
                assert (near.closed().code, far.closed().code) == (1001, 1001)
        server.wait()

    def test_a_start_that_fails_opens_nothing_and_may_be_tried_again(self, tmp_path: Path) -> None:
        """It must not forget what is in the state file, either."""
        file = tmp_path / "state"
        with running(server_role(state_file=str(file))) as first:
            first.controls.issuer.issue(TokenSpec(Kind.FORWARD, "kept"))
            first.controls.issuer.issue(TokenSpec(Kind.REVERSE, "also kept"))
            port = first.port_of("also kept")
        assert port is not None
        role = server_role(state_file=str(file), metrics_address=("127.0.0.1", 0))
        before = open_fds()
        with socket.socket() as other:
            other.bind(("127.0.0.1", port))
            other.listen()
            for _ in range(2):
                with pytest.raises(ListenError, match="the port belongs to sha256:"):
                    role.start()
        assert opened_since(before) == []  # what an earlier test has left may go meanwhile
        for each in (role, server_role(state_file=str(file))):
            with running(each):
                assert each.port_of("also kept") == port
                assert each.find(TokenSpec(Kind.FORWARD, "kept"))

    def test_while_it_starts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a patched program to look its host up gives way to others."""
        looked_up = slowly(monkeypatch, roles, "bind")
        role = server_role()
        starting, ending = gevent.spawn(role.start), gevent.spawn(role.stop, 0)
        gevent.idle()
        looked_up.set()
        starting.get()
        ending.get()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", role.port))

    def test_while_tokens_are_added(self, monkeypatch: pytest.MonkeyPatch) -> None:
        looked_up = slowly(monkeypatch, ports, "bind")
        role = server_role(token="")
        adding = [
            gevent.spawn(role.add, TokenSpec(Kind.REVERSE, token)) for token in (REVERSE, REVERSE, "other")
        ]
        ending = gevent.spawn(role.stop, 0)
        gevent.idle()
        looked_up.set()
        gevent.joinall([*adding, ending])
        assert [type(each.exception) for each in adding] == [type(None), ConfigError, type(None)]
        with pytest.raises(ClosedError):
            role.add(TokenSpec(Kind.REVERSE, "too late"))


def slowly(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> Event:
    """From now on this function of a module waits for the event first."""
    event, own = Event(), getattr(module, name)

    def run(*args: object) -> object:
        event.wait()
        return own(*args)

    monkeypatch.setattr(module, name, run)
    return event
