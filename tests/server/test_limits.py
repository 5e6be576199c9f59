"""Limits of a server with real clients: who is refused hears why, leaves nothing, and keeps nobody else out."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from uuid import UUID

import gevent
import pytest
from gevent import socket

from linksocks.net.sockets import reset_when_closed
from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.channels.limits import Limits
from linksocks.wire import messages as m
from linksocks.wire.auth import token_hash
from tests.support import socks
from tests.support.clock import Clock
from tests.support.rawsocket import UPGRADE, read_head
from tests.support.roles import TOKEN, by_hand, client_role, running, server_role
from tests.support.tunnels import PATIENCE, Target, application
from tests.support.waits import eventually

CROWD = 1000
OTHER = "another-token-of-the-tests"
A, B = b"a" * 16, b"b" * 16


def limited(limits: Limits) -> ServerRole:
    """A server with a token without limits, and OTHER."""
    role = server_role()
    role.add(TokenSpec(Kind.FORWARD, OTHER, limits=limits))
    return role


def refusals(server: ServerRole) -> dict[tuple[str, str], int]:
    """All that were counted."""
    figures = server.figures()
    counts = {**figures.refusals, "channel": figures.tallies.get("forward client")}
    found = {}
    for what, reasons in counts.items():
        for reason, count in getattr(reasons, "refusals", reasons or {}).items():
            found[what, reason] = count
    return found


def upgrade(port: int, query: str, source: str = "127.0.0.1") -> socket.socket:
    """A client that has said all of its login but the last byte of its head."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=(source, 0))
    sock.sendall(UPGRADE.replace(b"/socket", b"/socket" + query.encode())[:-1])
    return sock


@contextmanager
def many_descriptors(count: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard < count:
            pytest.skip(f"needs {count} open files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class TestHandshakes:
    def test_a_crowd_of_half_open_logins_from_one_address_keeps_no_other_out(self) -> None:
        with many_descriptors(2 * CROWD + 200), running(server_role()) as server, ExitStack() as stack:
            callers = [stack.enter_context(upgrade(server.port, "")) for _ in range(CROWD)]
            answers = [_answer(sock) for sock in callers[128:]]
            assert len(server._lobby) == 128
            assert refusals(server) == {("connection", "handshakes_of_one"): CROWD - 128}
            assert answers[:100] == [b"429"] * 100
            query = f"?token={token_hash(TOKEN)}"
            with upgrade(server.port, query, source="127.0.0.2") as other:
                other.sendall(b"\n")
                assert b"101 Switching" in read_head(other)
                assert other.recv(2)
            assert len(server._lobby) == 128

    def test_who_has_logged_in_is_not_at_the_door_any_more(self) -> None:
        with running(server_role(max_handshakes=1)) as server, by_hand(server) as one, by_hand(server) as two:
            assert one.fence() == two.fence() == []
            assert not len(server._lobby)
        assert refusals(server) == {}


def _answer(sock: socket.socket) -> bytes:
    """The status of what a stranger was told; empty where the connection just ended."""
    try:
        return sock.recv(4096).split(b" ", 2)[1]
    except (IndexError, ConnectionError):
        return b""


class TestLinks:
    def test_one_more_is_told_to_come_back_later(self) -> None:
        with running(limited(Limits(links=1))) as server:
            with by_hand(server, OTHER) as first:
                query = f"?token={token_hash(OTHER)}"
                with upgrade(server.port, query) as sock:
                    sock.sendall(b"\n")
                    assert b"101 Switching" in read_head(sock)
                    frame = sock.recv(200)
                    assert frame[0] == 0x88
                    assert frame[2:4] == (1013).to_bytes(2)
                    assert frame[4:] == b"this token may have 1 links"
                assert first.fence() == []
                with by_hand(server):
                    pass
            assert refusals(server) == {("login", "links"): 1}
            with by_hand(server, OTHER):
                pass

    def test_a_client_of_ours_tries_again(self) -> None:
        with (
            running(limited(Limits(links=1))) as server,
            running(client_role(server.port, token=OTHER, socks_no_wait=True)) as client,
        ):
            with by_hand(server, OTHER):
                pass
            eventually(lambda: client.figures().ready)


class TestChannels:
    def test_a_refused_channel_leaves_nothing(self) -> None:
        with (
            running(limited(Limits(channels=1))) as server,
            Target() as target,
            by_hand(server, OTHER) as hand,
        ):
            hand.send(m.Connect(A, "127.0.0.1", target.port))
            assert hand.expect(m.ConnectResponse).success
            conn = target.accept()
            for _ in range(50):
                hand.send(m.Connect(B, "127.0.0.1", target.port))
                refusal = hand.expect(m.ConnectResponse)
                assert (refusal.success, refusal.error) == (False, "this client may have 1 channels")
            assert not target.has_waiting()
            hand.send(m.Data(A, b"goes on"))
            assert socks.read_exactly(conn, 7) == b"goes on"
            (client,) = server._clients
            assert [link.channels for link in client.links] == [1]
            hand.send(m.Disconnect(A))
            conn.close()
            hand.fence()
            assert client.account.channels == 0
        assert refusals(server) == {("channel", "channels"): 50}

    def test_who_opens_them_has_a_share_unless_something_else_is_said(self) -> None:
        limits = {"a": Limits(), "b": Limits(channels=0), "c": Limits(channels=9)}
        role = server_role()
        for name, said in limits.items():
            role.add(TokenSpec(Kind.FORWARD, OTHER + name, limits=said))
        role.add(TokenSpec(Kind.REVERSE, OTHER))
        with running(role) as server, ExitStack() as stack:
            for name in limits:
                stack.enter_context(by_hand(server, OTHER + name))
            stack.enter_context(by_hand(server, OTHER, reverse=True))
            found = [client.account.max_channels for client in server._clients]
        assert found == [4096, 0, 9, 0]

    def test_they_are_of_a_client_and_not_of_its_links(self) -> None:
        """Nor of all clients with the token."""
        with (
            running(limited(Limits(channels=1))) as server,
            Target() as target,
            by_hand(server, OTHER, instance=b"1" * 16) as one,
            by_hand(server, OTHER, instance=b"1" * 16) as same,
            by_hand(server, OTHER, instance=b"2" * 16) as other,
        ):
            answers = []
            for hand in (one, same, other):
                hand.send(m.Connect(A, "127.0.0.1", target.port))
                answers.append(hand.expect(m.ConnectResponse).success)
            assert answers == [True, False, True]

    def test_an_application_hears_of_it(self) -> None:
        with (
            running(limited(Limits(channels=1))) as server,
            running(client_role(server.port, token=OTHER, socks_no_wait=True)) as client,
            Target() as target,
            application(client.socks_port, target.port),
            target.accept(),
        ):
            with pytest.raises(socks.SocksRefused) as caught:
                application(client.socks_port, target.port)
            assert caught.value.reply == socks.NOT_ALLOWED


class TestRates:
    def test_a_limited_token_does_not_slow_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With the clock held the limited one stands still for good; the other one gets all of its bytes."""
        clock = Clock(monkeypatch)
        with (
            running(limited(Limits(rate=100_000))) as server,
            running(client_role(server.port, token=OTHER, socks_no_wait=True)) as slow,
            running(client_role(server.port, socks_no_wait=True)) as quick,
            Target() as target,
            application(slow.socks_port, target.port) as held,
            target.accept() as from_held,
            application(quick.socks_port, target.port) as free,
            target.accept() as from_free,
        ):
            flooding = gevent.spawn(from_held.sendall, bytes(2_000_000))
            assert len(socks.read_exactly(held, 15_000)) == 15_000
            for one, other in ((free, from_free), (from_free, free)):
                sending = gevent.spawn(one.sendall, bytes(8_000_000))
                assert len(socks.read_exactly(other, 8_000_000)) == 8_000_000
                sending.get(timeout=PATIENCE)
            held.settimeout(0)
            with pytest.raises(BlockingIOError):
                held.recv(1)
            held.settimeout(PATIENCE)
            more = gevent.spawn(socks.read_exactly, held, 15_000)
            while not more.ready():
                clock.now += 1
                gevent.sleep(0.001)
            more.get()
            flooding.kill()
            reset_when_closed(held)  # the end would wait for what the clock holds back

    def test_a_change_holds_for_clients_that_are_connected(self) -> None:
        """For what was open too; and who comes later shares the same."""
        old = TokenSpec(Kind.FORWARD, OTHER, limits=Limits(rate=1_000_000))
        new = replace(old, limits=Limits(rate=500_000, channels=1))
        with running(server_role()) as server, Target() as target:
            token = server.add(old)
            with by_hand(server, OTHER, instance=UUID(int=7).bytes) as hand:
                hand.send(m.Connect(A, "127.0.0.1", target.port))
                assert hand.expect(m.ConnectResponse).success
                [client] = server._clients
                shared = client.account._shared
                assert shared is not None
                server.change(old, new)
                assert client.account._shared is token.rates is shared
                assert shared.sent.limit == shared.received.limit == 500_000
                hand.send(m.Connect(B, "127.0.0.1", target.port))
                assert not hand.expect(m.ConnectResponse).success
                with by_hand(server, OTHER, instance=UUID(int=8).bytes):
                    accounts = [each.account for each in server._clients]
                    assert [account._shared for account in accounts] == [shared, shared]
                server.change(new, replace(new, limits=Limits()))
                assert not client.account.throttled
                hand.send(m.Connect(B, "127.0.0.1", target.port))
                assert hand.expect(m.ConnectResponse).success
                server.change(replace(new, limits=Limits()), old)
                assert client.account.throttled

    def test_the_defaults_are_for_tokens_without_limits(self) -> None:
        with (
            running(server_role(limits=Limits(channels=1))) as server,
            Target() as target,
            by_hand(server, instance=UUID(int=7).bytes) as hand,
        ):
            hand.send(m.Connect(A, "127.0.0.1", target.port), m.Connect(B, "127.0.0.1", target.port))
            assert {hand.expect(m.ConnectResponse).success for _ in range(2)} == {True, False}
