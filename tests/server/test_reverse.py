"""Reverse tokens: a port at the server, and providers played by hand behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import gevent
import pytest
from gevent import socket

from linksocks.errors import ConfigError, LinkClosed
from linksocks.server import grants, groups
from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.server.tokens import Token
from linksocks.wire import messages as m
from linksocks.wire.auth import token_hash
from tests.support import socks
from tests.support.hands import Hand
from tests.support.ports import free_port
from tests.support.rawsocket import BINARY, RawPeer, upgraded
from tests.support.roles import by_hand, running, server_role
from tests.support.tunnels import application, read_to_end

TOKEN = "a-reverse-token"


def port_of(token: Token) -> int:
    assert isinstance(token.grant, grants.Reverse)
    return token.grant.port


@contextmanager
def lending(**settings: object) -> Iterator[tuple[ServerRole, int]]:
    """A server with a reverse token, and its port."""
    role = server_role(token="", **settings)
    port = port_of(role.add(TokenSpec(Kind.REVERSE, TOKEN)))
    with running(role):
        yield role, port


@contextmanager
def provider(server: ServerRole, instance: bytes = b"i" * 16) -> Iterator[Hand]:
    with by_hand(server, TOKEN, reverse=True, instance=instance) as hand:
        assert hand.expect(m.Partners).count == 0
        yield hand


@contextmanager
def mute(server: ServerRole) -> Iterator[None]:
    """One that says nothing after its login, not even to a ping."""
    with closing(upgraded(server.port, f"?token={token_hash(TOKEN)}&reverse=true")) as sock:
        for _ in (m.AuthResponse, m.Partners):
            RawPeer(sock, masking=True).read_until(BINARY)
        yield


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def served(port: int, hand: Hand) -> tuple[socket.socket, m.ChannelId]:
    """An application that the provider connected, and its channel."""
    opening = gevent.spawn(application, port, 80)
    channel = hand.expect(m.Connect).channel
    hand.send(m.ConnectResponse(True, channel))
    return opening.get(), channel


def end(hand: Hand, app: socket.socket, channel: m.ChannelId) -> None:
    """The target has said all."""
    hand.send(m.Disconnect(channel))
    assert read_to_end(app) == (b"", True)
    app.close()


def test_bytes_go_both_ways() -> None:
    with lending() as (server, port), provider(server) as hand:
        opening = gevent.spawn(application, port, 80)
        request = hand.expect(m.Connect)
        assert (request.host, request.port, request.transport) == ("127.0.0.1", 80, m.Transport.TCP)
        hand.send(m.ConnectResponse(True, request.channel))
        app = opening.get()
        app.sendall(b"ping")
        assert hand.expect_data(request.channel, 4) == b"ping"
        hand.send(m.Data(request.channel, b"pong"), m.Disconnect(request.channel))
        assert read_to_end(app) == (b"pong", True)
        app.close()


def test_a_provider_can_not_make_the_server_dial() -> None:
    with lending() as (server, _), provider(server) as hand:
        hand.send(m.Connect(b"c" * 16, "127.0.0.1", 1))
        answer = hand.expect(m.ConnectResponse)
        assert not answer.success
        hand.send(m.Connect(b"d" * 16, transport=m.Transport.UDP))
        assert not hand.expect(m.ConnectResponse).success


def test_a_provider_may_not_manage_connector_tokens_of_a_token_without_autonomy() -> None:
    with lending() as (server, _), provider(server) as hand:
        hand.send(m.Connector(b"c" * 16, "mine", m.Operation.ADD))
        answer = hand.expect(m.ConnectorResponse)
        assert (answer.success, answer.channel) == (False, b"c" * 16)
        assert "may not manage" in answer.error


def test_an_application_needs_the_password() -> None:
    role = server_role(token="")
    port = port_of(role.add(TokenSpec(Kind.REVERSE, TOKEN, username="u", password="p")))
    with running(role), provider(role), pytest.raises(socks.SocksRefused):
        application(port, 80)


class TestPort:
    def test_it_opens_with_the_first_provider_and_stays(self) -> None:
        with lending() as (server, port):
            assert not is_open(port)
            with provider(server):
                assert is_open(port)
            assert is_open(port)
        assert not is_open(port)

    def test_without_waiting_it_is_open_at_once(self) -> None:
        with lending(socks_no_wait=True) as (_, port):
            assert is_open(port)

    def test_a_port_that_is_taken_meanwhile_is_no_refusal(self) -> None:
        """So that the provider comes again."""
        with lending() as (server, port), socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
            with pytest.raises(LinkClosed) as caught, provider(server):
                pass
            assert caught.value.code == 1011

    def test_a_removed_token_closes_its_port_and_gets_it_again(self) -> None:
        with lending() as (server, port), provider(server) as hand:
            app, _ = served(port, hand)
            assert server.remove(TOKEN)
            assert not is_open(port)
            assert read_to_end(app)[1] is False
            assert hand.closed().code == 1008
            assert port_of(server.add(TokenSpec(Kind.REVERSE, TOKEN))) == port
            assert not server.remove("another")
            app.close()

    def test_a_token_that_can_not_be_takes_no_port(self) -> None:
        port = free_port()
        role = server_role(token="", port_pool=[port])
        role.add(TokenSpec(Kind.FORWARD, "taken"))
        for token in ("taken", "", "anonymous"):
            with pytest.raises(ConfigError):
                role.add(TokenSpec(Kind.REVERSE, token))
        assert port_of(role.add(TokenSpec(Kind.REVERSE, "good"))) == port
        role.remove("good")


class TestProviders:
    def test_they_take_turns(self) -> None:
        with lending() as (server, port), ExitStack() as stack:
            hands = [stack.enter_context(provider(server, bytes([n]) * 16)) for n in range(3)]
            for _ in range(2):
                for hand in hands:
                    end(hand, *served(port, hand))

    def test_one_that_left_has_no_turn(self) -> None:
        with lending() as (server, port), provider(server) as stays:
            with provider(server, b"2" * 16):
                pass
            for _ in range(2):
                end(stays, *served(port, stays))

    def test_one_that_does_not_answer_has_no_turn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(groups, "PROBE", 0.05)
        with lending() as (server, port), mute(server), provider(server, b"2" * 16) as lively:
            for _ in range(2):
                end(lively, *served(port, lively))

    def test_many_that_do_not_answer_cost_no_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """All links of a frozen client are asked at once: one after another they would take a minute and more."""
        monkeypatch.setattr(groups, "PROBE", 3600.0)
        with lending() as (server, port), ExitStack() as stack:
            for _ in range(8):
                stack.enter_context(mute(server))
            with provider(server, b"lively lively ly") as lively:
                end(lively, *served(port, lively))

    def test_a_wait_ends_when_it_is_to_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(groups, "PROBE", 3600.0)
        monkeypatch.setattr(grants, "APPLICATION_WAIT", 0.05)
        with lending() as (server, port), mute(server), pytest.raises(socks.SocksRefused) as refused:
            application(port, 80)
        assert refused.value.reply == 3

    def test_one_that_leaves_has_no_turn(self) -> None:
        """Ours say so before they stop; those that there are may end."""
        with lending() as (server, port), provider(server) as stays, provider(server, b"2" * 16) as leaves:
            end(stays, *served(port, stays))
            going = served(port, leaves)
            leaves.send(m.Leaving())
            for _ in range(3):
                end(stays, *served(port, stays))
            end(leaves, *going)

    def test_an_application_waits_for_one(self) -> None:
        with lending(socks_no_wait=True) as (server, port):
            opening = gevent.spawn(application, port, 80)
            gevent.idle()
            with provider(server) as hand:
                channel = hand.expect(m.Connect).channel
                hand.send(m.ConnectResponse(True, channel))
                end(hand, opening.get(), channel)

    def test_not_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(grants, "APPLICATION_WAIT", 0.05)
        with lending(socks_no_wait=True) as (_, port), pytest.raises(socks.SocksRefused) as refused:
            application(port, 80)
        assert refused.value.reply == 3

    def test_one_that_is_cut_off_ends_its_connections_only(self) -> None:
        with lending() as (server, port), provider(server) as stays:
            with provider(server, b"2" * 16) as goes:
                kept, channel = served(port, stays)
                lost, _ = served(port, goes)
            assert read_to_end(lost)[1] is False
            stays.send(m.Data(channel, b"still here"), m.Disconnect(channel))
            assert read_to_end(kept) == (b"still here", True)
            kept.close()
            lost.close()
