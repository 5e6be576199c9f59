"""What all grants of a server share: here how long a dial may take, whoever dials."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.ends import outbound
from linksocks.wire import messages as m
from tests.support import socks
from tests.support.roles import TOKEN, by_hand, running, server_role
from tests.support.targets import unanswered_port
from tests.support.tunnels import application

REVERSE, CONNECTOR, AUTONOMY, OWN = (
    "a-reverse-token",
    "a-connector-token",
    "an-autonomy-token",
    "its-own-token",
)

A = b"a" * 16


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerRole]:
    """It has no patience, nor has it with a provider's dial."""
    monkeypatch.setattr(outbound, "_WAY", 0.0)
    role = server_role(connect_timeout=0.05)
    role.add(TokenSpec(Kind.REVERSE, REVERSE))
    role.add(TokenSpec(Kind.CONNECTOR, CONNECTOR, reverse_token=REVERSE))
    role.add(TokenSpec(Kind.AUTONOMY, AUTONOMY))
    with running(role):
        yield role


def test_the_servers_own(server: ServerRole) -> None:
    with unanswered_port() as port, by_hand(server, TOKEN) as near:
        near.send(m.Connect(A, "127.0.0.1", port))
        assert "in 0.05 s" in near.expect(m.ConnectResponse).error


def test_a_providers_for_an_application(server: ServerRole) -> None:
    with by_hand(server, REVERSE, reverse=True) as far:
        assert far.expect(m.Partners).count == 0
        port = server.port_of(REVERSE)
        assert port is not None
        with pytest.raises(socks.SocksRefused) as refused:
            application(port, 80)
        assert refused.value.reply == 6
        far.expect(m.Connect)
        assert far.expect(m.Disconnect).error


def test_a_providers_for_a_connector(server: ServerRole) -> None:
    with by_hand(server, REVERSE, reverse=True) as far, by_hand(server, CONNECTOR) as near:
        assert [hand.expect(m.Partners).count for hand in (far, near)] == [0, 1]
        near.send(m.Connect(A, "target", 80))
        assert "in 0.05 s" in near.expect(m.ConnectResponse).error


def test_a_providers_for_a_connector_of_its_own(server: ServerRole) -> None:
    with by_hand(server, AUTONOMY, reverse=True) as far:
        assert far.expect(m.Partners).count == 0
        far.send(m.Connector(A, OWN, m.Operation.ADD))
        assert far.expect(m.ConnectorResponse).success
        with by_hand(server, OWN) as near:
            assert near.expect(m.Partners).count == 1
            near.send(m.Connect(A, "target", 80))
            assert "in 0.05 s" in near.expect(m.ConnectResponse).error
