"""What both roles know of their links, against a server played by hand."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest
from gevent import socket

from linksocks.client import role as roles
from linksocks.client.linked import LinkedRole
from linksocks.client.provider import ProviderRole
from linksocks.errors import (
    AuthError,
    ClosedError,
    ConnectorError,
    DeadlineError,
    DialError,
    LinkClosed,
    ListenError,
)
from linksocks.net.out.egress import Direct
from linksocks.tunnel.events import Event, LinkDown, LinkUp, PartnersChanged
from linksocks.wire import messages as m
from tests.support.ports import free_port
from tests.support.roles import TOKEN, client_role, provider_role, running, server_role
from tests.support.targets import EchoTarget
from tests.support.tunnels import PATIENCE, Target, read_to_end
from tests.support.visitors import YES, PlayedServer, Visitor
from tests.support.waits import eventually

MAKERS: list[Callable[..., LinkedRole]] = [client_role, provider_role]

both_roles = pytest.mark.parametrize("make", MAKERS, ids=["client", "provider"])

NO = m.AuthResponse(False, "invalid token")


def stopped(role: LinkedRole, *visitors: Visitor) -> None:
    stopping = gevent.spawn(role.stop, 0)
    for visitor in visitors:
        visitor.leave()
    stopping.get()


class TestWaitReady:
    @both_roles
    def test_with_the_login(self, make: Callable[..., LinkedRole]) -> None:
        with PlayedServer() as played, running(make(played.port)) as role:
            waiting = [gevent.spawn(role.wait_ready, PATIENCE) for _ in range(10)]
            visitor = played.next()
            assert not any(each.ready() for each in waiting)
            assert not role.connected
            visitor.send(YES)
            gevent.joinall(waiting, raise_error=True)
            role.wait_ready(0)
            assert role.connected
            stopped(role, visitor)
            with pytest.raises(ClosedError):
                role.wait_ready()

    @both_roles
    def test_a_refused_token_ends_it_at_once(self, make: Callable[..., LinkedRole]) -> None:
        with PlayedServer() as played, running(make(played.port)) as role:
            waiting = gevent.spawn(role.wait_ready)
            played.admit(NO).leave()
            with pytest.raises(AuthError, match="authentication failed: invalid token"):
                waiting.get()
            with pytest.raises(AuthError):
                role.wait_ready(0)

    @both_roles
    def test_no_server_is_told_with_the_deadline(self, make: Callable[..., LinkedRole]) -> None:
        with (
            running(make(free_port())) as role,
            pytest.raises(DeadlineError, match=r"not ready in 0\.1 s: TCP: .*refused"),
        ):
            role.wait_ready(0.1)

    @both_roles
    def test_a_lost_link_is_the_end_without_reconnect(self, make: Callable[..., LinkedRole]) -> None:
        with PlayedServer() as played, running(make(played.port, reconnect=False)) as role:
            visitor = played.admit()
            role.wait_ready(PATIENCE)
            visitor.leave()
            with pytest.raises(LinkClosed):
                role.wait()
            with pytest.raises(LinkClosed):
                role.wait_ready(PATIENCE)

    def test_the_port_is_open_by_then(self) -> None:
        with running(server_role()) as server, running(client_role(server.port)) as client:
            client.wait_ready(PATIENCE)
            socket.create_connection(("127.0.0.1", client.socks_port)).close()

    def test_a_port_that_can_not_be_opened(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise ListenError("can't listen")

        monkeypatch.setattr(roles.Inbound, "start", fail)
        with (
            running(server_role()) as server,
            running(client_role(server.port)) as client,
            pytest.raises(ListenError),
        ):
            client.wait_ready(PATIENCE)

    def test_connector_tokens_are_said_by_then(self) -> None:
        with (
            PlayedServer() as played,
            running(provider_role(played.port, connector_tokens=["lent"])) as provider,
        ):
            waiting = gevent.spawn(provider.wait_ready, PATIENCE)
            visitor = played.next()
            visitor.expect(m.Auth)
            visitor.send(YES)
            asked = visitor.expect(m.Connector)
            assert not waiting.ready()
            visitor.send(m.ConnectorResponse(asked.channel, True))
            waiting.get()
            gevent.spawn(taken_back, visitor)
            provider.stop(0)

    def test_connector_tokens_that_are_refused(self) -> None:
        with (
            PlayedServer() as played,
            running(provider_role(played.port, connector_tokens=["lent"])) as provider,
        ):
            waiting = gevent.spawn(provider.wait_ready)
            visitor = played.next()
            visitor.expect(m.Auth)
            visitor.send(YES)
            visitor.send(m.ConnectorResponse(visitor.expect(m.Connector).channel, False, "not permitted"))
            with pytest.raises(ConnectorError, match="not permitted"):
                waiting.get()
            stopped(provider, visitor)


def taken_back(visitor: Visitor) -> None:
    """The provider leaves."""
    visitor.send(m.ConnectorResponse(visitor.expect(m.Connector).channel, True))
    visitor.leave()


class TestKnowledge:
    @both_roles
    def test_the_way_to_the_server(self, make: Callable[..., LinkedRole]) -> None:
        with PlayedServer() as played, running(make(played.port)) as role:
            assert (role.rtt, role.protocol, role.server_token) == (None, 0, "")
            visitor = played.admit()
            role.wait_ready(PATIENCE)
            listening = gevent.spawn(visitor.closed)
            eventually(lambda: role.rtt is not None)
            assert (role.protocol, role.server_token) == (1, "")
            role.stop(0)
            listening.get()
            visitor.leave()

    @both_roles
    def test_a_token_that_the_server_assigns(self, make: Callable[..., LinkedRole]) -> None:
        with PlayedServer() as played, running(make(played.port, token="")) as role:
            visitor = played.admit(m.AuthResponse(True, token="assigned"))
            role.wait_ready(PATIENCE)
            assert role.server_token == "assigned"
            stopped(role, visitor)

    @both_roles
    def test_observers_hear_of_links_and_partners(self, make: Callable[..., LinkedRole]) -> None:
        heard: list[Event] = []
        with PlayedServer() as played, running(make(played.port)) as role:
            role.observers.add(heard.append)
            visitor = played.admit()
            visitor.send(m.Partners(2), m.Partners(2))
            eventually(lambda: role.partners == 2)
            visitor.leave()
            again = played.admit()
            eventually(lambda: role.connected)
            stopped(role, again)
        up, changed, down, gone, up_again, down_again = heard
        assert up == up_again == LinkUp("server")
        assert down == LinkDown("server", "link closed with code 1000")
        assert isinstance(down_again, LinkDown)
        assert (changed, gone) == (PartnersChanged(2), PartnersChanged(0))

    def test_a_pause_may_be_chosen(self) -> None:
        with PlayedServer() as played, running(client_role(played.port, reconnect_delay=3600)) as client:
            played.admit().leave()
            eventually(lambda: not client.connected)
            waiting = gevent.spawn(played.next)
            waiting.join(0.1)
            assert not waiting.ready()
            waiting.kill()


class TestCalls:
    """Connections of the program itself."""

    def test_without_a_port_for_applications(self) -> None:
        with (
            EchoTarget() as echo,
            running(server_role()) as server,
            running(client_role(server.port, socks_port=None)) as client,
        ):
            client.wait_ready(PATIENCE)
            assert client.socks_port == 0
            with socket.socket(fileno=client.dial("127.0.0.1", echo.port, PATIENCE)) as sock:
                sock.sendall(b"hello")
                sock.shutdown(socket.SHUT_WR)
                assert read_to_end(sock) == (b"hello", True)

    def test_it_waits_for_the_link(self) -> None:
        with (
            EchoTarget() as echo,
            running(server_role()) as server,
            running(client_role(server.port, socks_port=None)) as client,
        ):
            socket.socket(fileno=client.dial("127.0.0.1", echo.port, PATIENCE)).close()

    def test_after_the_stop(self) -> None:
        with running(server_role()) as server, running(client_role(server.port)) as client:
            client.wait_ready(PATIENCE)
            client.stop(0)
            with pytest.raises(DialError, match="stopping"):
                client.dial("127.0.0.1", 80, PATIENCE)


class TestConnectTimeout:
    def test_a_client_waits_for_an_answer_a_little_longer(self) -> None:
        client = client_role(free_port(), connect_timeout=1.5)
        assert client._passage.answer_timeout == 6.5
        client.stop(0)

    def test_a_provider_dials_no_longer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        timeouts: list[float] = []

        def dial(_self: Direct, host: str, port: int, timeout: float, judge: object = None) -> socket.socket:
            timeouts.append(timeout)
            return socket.create_connection((host, port))

        monkeypatch.setattr(Direct, "dial", dial)
        with (
            Target() as target,
            PlayedServer() as played,
            running(provider_role(played.port, connect_timeout=1.5)) as provider,
        ):
            visitor = played.admit()
            visitor.send(m.Connect(b"c" * 16, "127.0.0.1", target.port))
            target.accept().close()
            assert visitor.expect(m.ConnectResponse).success
            stopped(provider, visitor)
        assert timeouts[1:] == [1.5]  # the first one was its link's


class TestRecognised:
    """Who may add connector tokens later must come back as the same: see Session."""

    @pytest.mark.parametrize("recognised", [False, True])
    def test_a_provider_logs_in_by_a_message(self, recognised: bool) -> None:
        with (
            PlayedServer() as played,
            running(provider_role(played.port, recognised=recognised)) as provider,
        ):
            instances = set()
            for _ in range(2):
                visitor = self.admitted(played, provider, instances, by_message=recognised)
                visitor.leave()
            assert len(instances) == 1
            stopped(provider, self.admitted(played, provider, set(), by_message=recognised))

    def admitted(
        self, played: PlayedServer, provider: ProviderRole, instances: set[object], *, by_message: bool
    ) -> Visitor:
        visitor = played.next()
        if by_message:
            assert "token" not in visitor.query
            login = visitor.expect(m.Auth)
            assert (login.token, login.reverse) == (TOKEN, True)
            instances.add(login.instance)
        else:
            instances.add(visitor.query["instance"])
        visitor.send(YES)
        eventually(lambda: provider.connected)
        return visitor
