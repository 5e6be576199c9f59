"""The provider as a whole, at a server played by hand."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import gevent
import pytest
from gevent import socket

from linksocks.client import connectors as connectors_module
from linksocks.client.provider import ProviderRole
from linksocks.errors import AuthError, ConnectorError, LinkError
from linksocks.wire import messages as m
from linksocks.wire.auth import token_hash
from tests.support.roles import TOKEN, provider_role, running
from tests.support.targets import refusing_port
from tests.support.tunnels import PATIENCE, Target, read_to_end
from tests.support.visitors import YES, PlayedServer, Visitor
from tests.support.waits import eventually

CONNECTOR_TOKEN = "a-connector-token"


@pytest.fixture
def server() -> Iterator[PlayedServer]:
    with PlayedServer() as server:
        yield server


def stopped(provider: ProviderRole, *visitors: Visitor) -> None:
    """The provider stops at once, and the server agrees."""
    stopping = gevent.spawn(provider.stop, 0)
    for visitor in visitors:
        assert visitor.closed().code == 1001
        visitor.leave()
    stopping.get()


def dialled(visitor: Visitor, target: Target, channel: m.ChannelId = b"c" * 16) -> socket.socket:
    """A channel that the server opens, as the target sees it."""
    visitor.send(m.Connect(channel, "127.0.0.1", target.port))
    conn = target.accept()
    assert visitor.expect(m.ConnectResponse).success
    return conn


def admitted_by_message(server: PlayedServer) -> Visitor:
    visitor = server.next()
    assert visitor.expect(m.Auth).token == TOKEN
    visitor.send(YES)
    return visitor


class TestDial:
    def test_it_dials_for_the_server_s_channels(self, server: PlayedServer) -> None:
        with Target() as target, running(provider_role(server.port)) as provider:
            visitor = server.admit()
            assert visitor.query["reverse"] == "true"
            assert visitor.query["token"] == token_hash(TOKEN)
            conn = dialled(visitor, target)
            visitor.send(m.Data(b"c" * 16, b"ping"))
            assert conn.recv(4) == b"ping"
            conn.sendall(b"pong")
            assert visitor.expect_data(b"c" * 16, 4) == b"pong"
            conn.close()
            assert visitor.expect(m.Disconnect).error == ""
            stopped(provider, visitor)

    def test_a_target_that_is_not_there(self, server: PlayedServer) -> None:
        with refusing_port() as dead, running(provider_role(server.port)) as provider:
            visitor = server.admit()
            visitor.send(m.Connect(b"c" * 16, "127.0.0.1", dead))
            answer = visitor.expect(m.ConnectResponse)
            assert not answer.success
            assert "refused" in answer.error
            stopped(provider, visitor)

    def test_all_links_are_of_one_instance(self, server: PlayedServer) -> None:
        with Target() as target, running(provider_role(server.port, threads=3)) as provider:
            visitors = [server.admit() for _ in range(3)]
            assert len({visitor.query["instance"] for visitor in visitors}) == 1
            for visitor in visitors:
                dialled(visitor, target).close()
                visitor.expect(m.Disconnect)
            stopped(provider, *visitors)

    def test_a_lost_link_ends_its_connections_and_is_made_anew(self, server: PlayedServer) -> None:
        with Target() as target, running(provider_role(server.port)) as provider:
            visitor = server.admit()
            conn = dialled(visitor, target)
            visitor.leave()
            assert read_to_end(conn) == (b"", False)
            conn.close()
            again = server.admit()
            assert again.query == visitor.query
            again.fence()
            stopped(provider, again)


class TestEnd:
    def test_a_refused_token_is_the_end(self, server: PlayedServer) -> None:
        with running(provider_role(server.port)) as provider:
            server.admit(m.AuthResponse(False, "invalid token")).leave()
            with pytest.raises(AuthError, match="invalid token"):
                provider.wait()

    def test_no_server_is_the_end_without_reconnect(self) -> None:
        with (
            refusing_port() as dead,
            running(provider_role(dead, reconnect=False)) as provider,
            pytest.raises(LinkError),
        ):
            provider.wait()

    def test_a_stop_lets_connections_end_and_takes_no_new_ones(self, server: PlayedServer) -> None:
        with Target() as target, running(provider_role(server.port)) as provider:
            visitor = server.admit()
            conn = dialled(visitor, target)
            stopping = gevent.spawn(provider.stop, PATIENCE)
            gevent.idle()
            visitor.send(m.Connect(b"d" * 16, "127.0.0.1", target.port))
            assert not visitor.expect(m.ConnectResponse).success
            assert not target.has_waiting()
            conn.sendall(b"the rest")
            conn.close()
            assert visitor.expect_data(b"c" * 16, 8) == b"the rest"
            visitor.expect(m.Disconnect)
            assert visitor.closed().code == 1001
            visitor.leave()
            stopping.get()
            provider.wait()

    def test_a_stop_before_the_start(self) -> None:
        provider_role(1).stop(0)


class TestConnectorTokens:
    @pytest.fixture
    def provider(self, server: PlayedServer) -> Iterator[ProviderRole]:
        role = provider_role(server.port, connector_tokens=[CONNECTOR_TOKEN])
        with running(role):
            yield role

    def asked(self, visitor: Visitor, operation: m.Operation, error: str = "") -> None:
        request = visitor.expect(m.Connector)
        assert (request.token, request.operation) == (CONNECTOR_TOKEN, operation)
        visitor.send(m.ConnectorResponse(request.channel, not error, error))

    def leave(self, provider: ProviderRole, visitor: Visitor) -> None:
        stopping = gevent.spawn(provider.stop, 0)
        self.asked(visitor, m.Operation.REMOVE)
        visitor.leave()
        stopping.get()

    def test_it_is_added_and_taken_back_at_the_end(
        self, server: PlayedServer, provider: ProviderRole
    ) -> None:
        visitor = admitted_by_message(server)
        self.asked(visitor, m.Operation.ADD)
        visitor.fence()
        self.leave(provider, visitor)

    def test_it_is_taken_back_when_the_last_connection_has_ended(
        self, server: PlayedServer, provider: ProviderRole
    ) -> None:
        """The server ends the connectors of a token that is removed."""
        with Target() as target:
            visitor = admitted_by_message(server)
            self.asked(visitor, m.Operation.ADD)
            conn = dialled(visitor, target)
            stopping = gevent.spawn(provider.stop, PATIENCE)
            gevent.idle()
            assert visitor.fence() == []
            conn.close()
            visitor.expect(m.Disconnect)
            self.asked(visitor, m.Operation.REMOVE)
            visitor.leave()
            stopping.get()

    def test_a_refusal_is_the_end(self, server: PlayedServer, provider: ProviderRole) -> None:
        visitor = admitted_by_message(server)
        self.asked(visitor, m.Operation.ADD, "Unauthorized connector management attempt")
        with pytest.raises(ConnectorError, match="Unauthorized connector management attempt"):
            provider.wait()
        stopped(provider, visitor)

    def test_silence_is_the_end(
        self, server: PlayedServer, provider: ProviderRole, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connectors_module, "ANSWER_TIMEOUT", 0.05)
        visitor = admitted_by_message(server)
        with pytest.raises(ConnectorError, match="no answer"):
            provider.wait()
        visitor.expect(m.Connector)
        stopped(provider, visitor)

    def test_a_link_that_is_lost_before_the_answer_holds_up_nothing(
        self, server: PlayedServer, provider: ProviderRole
    ) -> None:
        visitor = admitted_by_message(server)
        visitor.expect(m.Connector)
        visitor.leave()
        again = admitted_by_message(server)
        with gevent.Timeout(5):
            self.asked(again, m.Operation.ADD)
        again.fence()
        self.leave(provider, again)

    def test_a_server_that_has_it_already_is_no_end_after_a_reconnect(
        self, server: PlayedServer, provider: ProviderRole, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        visitor = admitted_by_message(server)
        self.asked(visitor, m.Operation.ADD)
        visitor.fence()
        visitor.leave()
        again = admitted_by_message(server)
        self.asked(again, m.Operation.ADD, "connector token already exists")
        eventually(lambda: "already exists" in caplog.text)
        assert CONNECTOR_TOKEN not in caplog.text
        self.leave(provider, again)


def test_connectors_are_counted(server: PlayedServer) -> None:
    with running(provider_role(server.port)) as provider:
        visitor = server.admit()
        visitor.send(m.Partners(2))
        eventually(lambda: provider.partners == 2)
        visitor.leave()
        again = server.admit()
        again.fence()
        assert provider.partners == 0
        stopped(provider, again)
