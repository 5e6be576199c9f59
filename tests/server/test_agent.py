"""Connector tokens: connectors and providers played by hand, the server between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from linksocks.errors import ConfigError
from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.wire import messages as m
from tests.support.hands import Hand
from tests.support.roles import by_hand, running, server_role

REVERSE, CONNECTOR, OTHER = "a-reverse-token", "a-connector-token", "another-connector-token"

A, B = b"a" * 16, b"b" * 16


@contextmanager
def switching(**settings: object) -> Iterator[ServerRole]:
    """A server with a reverse token and two connector tokens."""
    role = server_role(token="", **settings)
    role.add(TokenSpec(Kind.REVERSE, REVERSE))
    for token in (CONNECTOR, OTHER):
        role.add(TokenSpec(Kind.CONNECTOR, token, reverse_token=REVERSE))
    with running(role):
        yield role


def provider(server: ServerRole, instance: bytes = b"p" * 16):
    return by_hand(server, REVERSE, reverse=True, instance=instance)


def connector(server: ServerRole, token: str = CONNECTOR, instance: bytes = b"c" * 16):
    return by_hand(server, token, instance=instance)


def count(hand: Hand) -> int:
    return hand.expect(m.Partners).count


def joined(asking: Hand, lending: Hand, channel: bytes = A) -> bytes:
    """Opens `channel`; its name at the provider."""
    asking.send(m.Connect(channel, "target", 80))
    request = lending.expect(m.Connect)
    assert (request.host, request.port) == ("target", 80)
    lending.send(m.ConnectResponse(True, request.channel))
    assert asking.expect(m.ConnectResponse) == m.ConnectResponse(True, channel)
    return request.channel


def test_bytes_go_both_ways() -> None:
    with switching() as server, provider(server) as far, connector(server) as near:
        assert (count(far), count(near), count(far)) == (0, 1, 1)
        channel = joined(near, far)
        near.send(m.Data(A, b"ping"))
        assert far.expect_data(channel, 4) == b"ping"
        far.send(m.Data(channel, b"pong"), m.Disconnect(channel))
        assert near.expect_data(A, 4) == b"pong"
        assert near.expect(m.Disconnect) == m.Disconnect(A)


def test_two_connectors_may_use_one_channel_id_and_get_their_own_bytes() -> None:
    with (
        switching() as server,
        provider(server) as far,
        connector(server) as one,
        connector(server, OTHER, b"d" * 16) as two,
    ):
        assert [count(hand) for hand in (far, one, far, two, far)] == [0, 1, 1, 1, 2]
        first, second = joined(one, far), joined(two, far)
        assert first != second
        far.send(m.Data(second, b"for two"), m.Data(first, b"for one"))
        assert one.expect_data(A, 7) == b"for one"
        assert two.expect_data(A, 7) == b"for two"
        two.send(m.Data(first, b"forged"), m.Disconnect(first))  # a channel that is not its own
        two.send(m.Disconnect(A, "reset"))
        assert far.expect(m.Disconnect).channel == second
        far.send(m.Data(first, b"still here"))
        assert one.expect_data(A, 10) == b"still here"


def test_a_connector_that_comes_again_gets_nothing_of_what_was() -> None:
    """Neither its own old channels nor another's: what was on the way is lost, and nobody may splice it."""
    with switching() as server, provider(server) as far:
        count(far)
        with connector(server) as near:
            assert (count(near), count(far)) == (1, 1)
            channel = joined(near, far)
        assert far.expect(m.Disconnect).channel == channel
        assert count(far) == 0
        with connector(server) as again:
            assert (count(again), count(far)) == (1, 1)
            again.send(m.Connect(A, "target", 80, resume=True))
            assert again.expect(m.Disconnect) == m.Disconnect(A, "channel expired")
            assert far.fence() == []


def test_without_a_provider_a_channel_is_refused_after_a_while() -> None:
    with switching(connector_wait=0.05) as server, connector(server) as near:
        assert count(near) == 0
        near.send(m.Connect(A, "target", 80))
        answer = near.expect(m.ConnectResponse)
        assert (answer.success, answer.error) == (False, "no provider was there for 0.05 s")


def test_a_channel_waits_for_a_provider() -> None:
    with switching(connector_wait=20) as server, connector(server) as near:
        near.send(m.Connect(A, "target", 80))
        with provider(server) as far:
            assert count(far) == 1
            channel = far.expect(m.Connect).channel
            far.send(m.ConnectResponse(False, channel, "connection refused"))
            assert [count(near), count(near)] == [0, 1]
            assert near.expect(m.ConnectResponse).error == "connection refused"


class TestTokens:
    @pytest.mark.parametrize("reverse", ["unknown", CONNECTOR])
    def test_a_connector_token_belongs_to_a_reverse_token(self, reverse: str) -> None:
        with switching() as server, pytest.raises(ConfigError, match="reverse token does not exist"):
            server.add(TokenSpec(Kind.CONNECTOR, "new", reverse_token=reverse))

    def test_it_is_not_for_providers(self) -> None:
        with switching() as server, pytest.raises(AssertionError), by_hand(server, CONNECTOR, reverse=True):
            pass

    def test_it_goes_with_its_reverse_token(self) -> None:
        with switching() as server, provider(server) as far, connector(server) as near:
            server.remove(REVERSE)
            assert far.closed().code == near.closed().code == 1008
            with pytest.raises(AssertionError), connector(server):
                pass

    def test_it_goes_alone(self) -> None:
        with (
            switching() as server,
            provider(server) as far,
            connector(server) as near,
            connector(server, OTHER, b"d" * 16) as stays,
        ):
            server.remove(CONNECTOR)
            assert near.closed().code == 1008
            assert [count(hand) for hand in (far, far, far, far)] == [0, 1, 2, 1]
            joined_id = (count(stays), joined(stays, far))[1]
            far.send(m.Disconnect(joined_id))


class TestPartners:
    def test_links_of_one_client_count_once(self) -> None:
        with switching() as server, connector(server) as near, provider(server) as first:
            assert [count(near), count(near), count(first)] == [0, 1, 1]
            with provider(server) as second:
                assert count(second) == 1
            assert near.fence() == []
            with provider(server, b"q" * 16) as other:
                assert (count(other), count(near)) == (1, 2)
            assert count(near) == 1

    def test_those_of_another_token_do_not_count(self) -> None:
        with switching() as server:
            server.add(TokenSpec(Kind.REVERSE, "elsewhere"))
            with by_hand(server, "elsewhere", reverse=True), connector(server) as near:
                assert count(near) == 0


def test_what_one_role_logs_the_other_is_shown() -> None:
    with switching() as server, provider(server) as far, connector(server) as near:
        assert [count(far), count(near), count(far)] == [0, 1, 1]
        far.send(m.Log("warn", "the upstream is down"))
        assert near.expect(m.Log) == m.Log("warn", "the upstream is down")
        near.send(m.Log("debug", "linksocks_server_hello:direct_signaling=1"), m.Log("info", "hello"))
        assert far.expect(m.Log) == m.Log("info", "hello")
        assert near.fence() == []


def test_who_logs_too_much_is_not_heard() -> None:
    with switching() as server, provider(server) as far, connector(server) as near:
        assert [count(far), count(near), count(far)] == [0, 1, 1]
        far.send(*[m.Log("info", "spam")] * 1000)
        far.fence()
        assert len(near.fence()) == 20


def test_what_is_logged_is_passed_on_cut_short() -> None:
    with switching() as server, provider(server) as far, connector(server) as near:
        assert [count(far), count(near), count(far)] == [0, 1, 1]
        near.send(m.Log("info", "x" * 250_000))
        assert far.expect(m.Log) == m.Log("info", "x" * 1024)
