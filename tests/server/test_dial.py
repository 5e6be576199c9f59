"""Connections of the program itself, through the providers of its server."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
from gevent import socket

from linksocks.errors import Cause, ConfigError, DialError
from linksocks.server import grants
from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.access import AccessRules, parse_rules
from linksocks.wire import messages as m
from tests.support.roles import TOKEN, by_hand, provider_role, running, server_role
from tests.support.targets import EchoTarget, refusing_port
from tests.support.tunnels import PATIENCE, read_to_end

REVERSE, CONNECTOR, AUTONOMY = "a-reverse-token", "a-connector-token", "an-autonomy-token"


@pytest.fixture
def server() -> Iterator[ServerRole]:
    role = server_role()
    role.add(TokenSpec(Kind.REVERSE, REVERSE, username="user", password="secret"))
    role.add(TokenSpec(Kind.CONNECTOR, CONNECTOR, reverse_token=REVERSE))
    role.add(TokenSpec(Kind.AUTONOMY, AUTONOMY))
    with running(role):
        yield role


def connected(server: ServerRole, port: int) -> socket.socket:
    sock = socket.socket(fileno=server.dial(REVERSE, "127.0.0.1", port, PATIENCE))
    sock.settimeout(PATIENCE)
    return sock


def test_it_goes_through_a_provider_and_needs_no_password(server: ServerRole) -> None:
    with EchoTarget() as target, running(provider_role(server.port, token=REVERSE)):
        sock = connected(server, target.port)
        sock.sendall(b"ping")
        sock.shutdown(socket.SHUT_WR)
        assert read_to_end(sock) == (b"ping", True)
        sock.close()


def test_what_the_target_says(server: ServerRole) -> None:
    with (
        refusing_port() as port,
        running(provider_role(server.port, token=REVERSE)),
        pytest.raises(DialError) as refused,
    ):
        connected(server, port)
    assert refused.value.cause is Cause.REFUSED


def test_the_rules_of_the_token_hold(server: ServerRole) -> None:
    spec = TokenSpec(Kind.REVERSE, "ruled", rules=AccessRules(deny=parse_rules("127.0.0.0/8:*")))
    server.add(spec)
    with by_hand(server, "ruled", reverse=True) as hand:
        with pytest.raises(DialError) as refused:
            server.dial("ruled", "127.0.0.1", 80, PATIENCE)
        assert refused.value.cause is Cause.NOT_ALLOWED
        assert hand.expect(m.Partners).count == 0
        assert hand.fence() == []


def test_it_waits_for_a_provider(server: ServerRole) -> None:
    dialling = gevent.spawn(server.dial, REVERSE, "target", 80, PATIENCE)
    gevent.idle()
    assert server.waiting(REVERSE) == 1
    with by_hand(server, REVERSE, reverse=True) as hand:
        assert hand.expect(m.Partners).count == 0
        request = hand.expect(m.Connect)
        assert (request.host, request.port, server.waiting(REVERSE)) == ("target", 80, 0)
        hand.send(m.ConnectResponse(True, request.channel), m.Disconnect(request.channel))
        sock = socket.socket(fileno=dialling.get())
        assert read_to_end(sock) == (b"", True)
        sock.close()


@pytest.mark.parametrize("timeout", [0.05, None])
def test_not_for_ever(server: ServerRole, monkeypatch: pytest.MonkeyPatch, timeout: float | None) -> None:
    monkeypatch.setattr(grants, "APPLICATION_WAIT", PATIENCE if timeout else 0.1)
    with pytest.raises(DialError) as late:
        server.dial(REVERSE, "target", 80, timeout)
    assert late.value.cause is (Cause.TIMED_OUT if timeout else Cause.NETWORK_UNREACHABLE)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (TOKEN, "a reverse token with a port"),
        (CONNECTOR, "a reverse token with a port"),
        (AUTONOMY, "a reverse token with a port"),
        ("unknown", "does not exist"),
        ("", "does not exist"),
    ],
)
def test_a_token_without_such_providers(server: ServerRole, token: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        server.dial(token, "target", 80, PATIENCE)


def test_a_server_that_stops_dials_no_more_and_ends_what_there_is(server: ServerRole) -> None:
    with EchoTarget() as target, running(provider_role(server.port, token=REVERSE)):
        sock = connected(server, target.port)
        server.stop(0)
        assert read_to_end(sock) == (b"", False)
        sock.close()
        with pytest.raises(DialError):
            connected(server, target.port)
