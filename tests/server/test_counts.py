"""What a server tells of its tokens and clients: their numbers, and those of the channels that wait."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.wire import messages as m
from tests.support.roles import TOKEN, by_hand, client_role, running, server_role
from tests.support.tunnels import application, read_to_end
from tests.support.waits import eventually

REVERSE, CONNECTOR, AUTONOMY, OWN = (
    "a-reverse-token",
    "a-connector-token",
    "an-autonomy-token",
    "a-token-of-its-own",
)

A, B = b"a" * 16, b"b" * 16


@pytest.fixture
def server() -> Iterator[ServerRole]:
    """With a token of each kind; the port for applications is open."""
    role = server_role(socks_no_wait=True)
    role.add(TokenSpec(Kind.REVERSE, REVERSE))
    role.add(TokenSpec(Kind.CONNECTOR, CONNECTOR, reverse_token=REVERSE))
    role.add(TokenSpec(Kind.AUTONOMY, AUTONOMY))
    with running(role):
        yield role


class TestClients:
    def test_each_token_has_its_own(self, server: ServerRole) -> None:
        """LinkSocks counts connectors as clients of each forward token."""
        with by_hand(server, CONNECTOR), by_hand(server, REVERSE, reverse=True, instance=A):
            eventually(lambda: server.clients() == 2)
            numbers = {token: server.clients(token) for token in (TOKEN, CONNECTOR, REVERSE, "unknown", "")}
            assert numbers == {TOKEN: 0, CONNECTOR: 1, REVERSE: 1, "unknown": 0, "": 0}
        eventually(lambda: server.clients() == 0)

    def test_one_with_many_links_is_one(self, server: ServerRole) -> None:
        with running(client_role(server.port, threads=3)):
            eventually(lambda: sum(len(client.links) for client in server.controls.clients) == 3)
            assert (server.clients(), server.clients(TOKEN)) == (1, 1)

    def test_those_of_a_removed_token_are_gone(self, server: ServerRole) -> None:
        with by_hand(server) as hand:
            eventually(lambda: server.clients(TOKEN) == 1)
            assert server.remove(TOKEN)
            assert hand.closed().code == 1008
            eventually(lambda: server.clients() == 0)
            assert server.clients(TOKEN) == 0


class TestWaiting:
    def test_channels_of_connectors(self, server: ServerRole) -> None:
        with by_hand(server, CONNECTOR) as near:
            assert near.expect(m.Partners).count == 0
            assert server.waiting(REVERSE) == 0
            near.send(m.Connect(A, "target", 80), m.Connect(B, "target", 80))
            near.fence()
            assert [server.waiting(token) for token in (REVERSE, CONNECTOR, TOKEN, "")] == [2, 0, 0, 0]
            with by_hand(server, REVERSE, reverse=True, instance=A) as far:
                assert (far.expect(m.Partners).count, near.expect(m.Partners).count) == (1, 1)
                requests = [far.expect(m.Connect).channel for _ in (A, B)]
                assert server.waiting(REVERSE) == 0
                for channel in requests:
                    far.send(m.ConnectResponse(False, channel, "no"))
                assert {near.expect(m.ConnectResponse).channel for _ in (A, B)} == {A, B}

    def test_applications_at_the_port(self, server: ServerRole) -> None:
        port = server.port_of(REVERSE)
        assert port is not None
        opening = gevent.spawn(application, port, 80)
        eventually(lambda: server.waiting(REVERSE) == 1)
        with by_hand(server, REVERSE, reverse=True, instance=A) as far:
            assert far.expect(m.Partners).count == 0
            channel = far.expect(m.Connect).channel
            assert server.waiting(REVERSE) == 0
            far.send(m.ConnectResponse(True, channel), m.Disconnect(channel))
            app = opening.get()
            assert read_to_end(app) == (b"", True)
            app.close()

    def test_one_that_gives_up(self, server: ServerRole) -> None:
        with by_hand(server, CONNECTOR) as near:
            assert near.expect(m.Partners).count == 0
            near.send(m.Connect(A, "target", 80))
            near.fence()
            assert server.waiting(REVERSE) == 1
            near.send(m.Disconnect(A))
            near.fence()
            eventually(lambda: server.waiting(REVERSE) == 0)

    def test_with_a_provider_that_has_left(self, server: ServerRole) -> None:
        """Where providers bring their connector tokens: these outlive it for a while."""
        with by_hand(server, AUTONOMY, reverse=True, instance=A) as far:
            assert far.expect(m.Partners).count == 0
            far.send(m.Connector(A, OWN, m.Operation.ADD))
            assert far.expect(m.ConnectorResponse).success
        eventually(lambda: server.clients() == 0)
        with by_hand(server, OWN) as near:
            assert near.expect(m.Partners).count == 0
            near.send(m.Connect(A, "target", 80))
            near.fence()
            assert (server.waiting(AUTONOMY), server.waiting(OWN)) == (1, 0)


def test_only_a_reverse_token_with_a_port_has_one(server: ServerRole) -> None:
    ports = [server.port_of(token) for token in (REVERSE, AUTONOMY, CONNECTOR, TOKEN, "unknown", "")]
    assert ports[0] in range(1024, 10241)
    assert ports[1:] == [None] * 5
