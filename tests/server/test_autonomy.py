"""Providers that manage their own connector tokens, played by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest

from linksocks.errors import ConfigError
from linksocks.server import autonomy
from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.wire import messages as m
from tests.support.hands import Hand
from tests.support.roles import at_the_door, by_hand, logs_in_too_late, running, server_role

REVERSE, FORWARD = "a-reverse-token", "a-forward-token"

A, Q = b"a" * 16, b"q" * 16

ADD, REMOVE = m.Operation.ADD, m.Operation.REMOVE


@contextmanager
def autonomous() -> Iterator[ServerRole]:
    role = server_role(token=FORWARD)
    role.add(TokenSpec(Kind.AUTONOMY, REVERSE))
    with running(role):
        yield role


@contextmanager
def provider(server: ServerRole, instance: bytes = b"1" * 16, connectors: int = 0) -> Iterator[Hand]:
    """`connectors`: how many it finds."""
    with by_hand(server, REVERSE, reverse=True, instance=instance) as hand:
        assert hand.expect(m.Partners).count == connectors
        yield hand


def connector(server: ServerRole, token: str, instance: bytes = b"c" * 16):
    return by_hand(server, token, instance=instance)


def asked(hand: Hand, token: str, operation: m.Operation) -> m.ConnectorResponse:
    hand.send(m.Connector(Q, token, operation))
    answer = hand.expect(m.ConnectorResponse)
    assert answer.channel == Q
    return answer


def test_an_added_token_leads_to_its_provider() -> None:
    with autonomous() as server, provider(server) as one, provider(server, b"2" * 16) as two:
        assert asked(one, "for-one", ADD) == m.ConnectorResponse(Q, True, token="for-one")
        assert asked(two, "for-two", ADD).success
        with connector(server, "for-one") as near:
            assert (near.expect(m.Partners).count, one.expect(m.Partners).count) == (1, 1)
            for _ in range(2):  # never the other one's turn
                near.send(m.Connect(A, "target", 80))
                request = one.expect(m.Connect)
                one.send(m.ConnectResponse(False, request.channel, "no"))
                assert near.expect(m.ConnectResponse).error == "no"
            assert two.fence() == []


def test_the_server_makes_up_a_token() -> None:
    with autonomous() as server, provider(server) as hand:
        answer = asked(hand, "", ADD)
        assert answer.success
        assert len(answer.token) == 32
        with connector(server, answer.token) as near:
            assert near.expect(m.Partners).count == 1


def test_to_add_twice_does_no_harm() -> None:
    with autonomous() as server, provider(server) as hand:
        assert asked(hand, "x", ADD).success
        assert asked(hand, "x", ADD).success


@pytest.mark.parametrize("token", ["x", REVERSE, FORWARD, "anonymous"])
def test_what_somebody_else_has_can_not_be_added(token: str) -> None:
    with autonomous() as server, provider(server) as owner, provider(server, b"2" * 16) as other:
        assert asked(owner, "x", ADD).success
        answer = asked(other, token, ADD)
        assert not answer.success
        assert "exists" in answer.error or "reserved" in answer.error


@pytest.mark.parametrize("token", ["x", REVERSE, FORWARD, "unknown", ""])
def test_what_somebody_else_has_can_not_be_removed(token: str) -> None:
    with autonomous() as server, provider(server) as owner, provider(server, b"2" * 16) as other:
        assert asked(owner, "x", ADD).success
        assert asked(other, token, REMOVE).error == "this provider has no such connector token"
        with connector(server, "x"), by_hand(server, FORWARD):
            pass


def test_a_removed_token_lets_nobody_in_and_its_connectors_out() -> None:
    with autonomous() as server, provider(server) as hand:
        asked(hand, "x", ADD)
        with connector(server, "x") as near:
            assert hand.expect(m.Partners).count == 1
            assert asked(hand, "x", REMOVE) == m.ConnectorResponse(Q, True, token="x")
            assert near.closed().code == 1008
        with pytest.raises(AssertionError), connector(server, "x"):
            pass
        assert hand.expect(m.Partners).count == 0
        assert asked(hand, "x", ADD).success


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autonomy, "MAX_TOKENS", 2)
    with autonomous() as server, provider(server) as hand:
        assert [asked(hand, token, ADD).success for token in ("a", "b", "a", "c")] == [
            True,
            True,
            True,
            False,
        ]
        asked(hand, "a", REMOVE)
        assert asked(hand, "c", ADD).success


def test_one_that_an_operator_has_removed_can_be_added_again() -> None:
    with autonomous() as server, provider(server) as one:
        assert asked(one, "for-one", ADD).success
        assert server.remove("for-one")
        assert asked(one, "for-one", ADD).success
        with connector(server, "for-one"):
            pass


def test_there_is_a_limit_for_all_providers_of_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autonomy, "MAX_ALL_TOKENS", 2)
    with autonomous() as server, provider(server) as one, provider(server, b"2" * 16) as two:
        assert [asked(hand, token, ADD).success for hand, token in ((one, "a"), (two, "b"))] == [True, True]
        assert "may have 2" in asked(two, "c", ADD).error
        asked(one, "a", REMOVE)
        assert asked(two, "c", ADD).success


class TestAProviderThatLeaves:
    def test_finds_its_tokens_and_connectors_when_it_comes_back(self) -> None:
        with autonomous() as server:
            with provider(server) as hand:
                asked(hand, "x", ADD)
            with connector(server, "x") as near:
                assert near.expect(m.Partners).count == 0
                with provider(server, connectors=1) as again:
                    assert near.expect(m.Partners).count == 1
                    assert asked(again, "x", ADD).success
                    near.send(m.Connect(A, "target", 80))
                    request = again.expect(m.Connect)
                    again.send(m.ConnectResponse(False, request.channel, "no"))
                    assert near.expect(m.ConnectResponse).error == "no"

    def test_is_replaced_by_one_that_knows_its_tokens(self) -> None:
        """It was killed and started anew: as another instance."""
        with autonomous() as server:
            with provider(server) as hand:
                asked(hand, "x", ADD)
            with connector(server, "x") as near, provider(server, b"2" * 16) as anew:
                assert asked(anew, "x", ADD).success
                assert near.closed().code == 1008  # its group is gone; it logs in again
                with connector(server, "x"):
                    assert anew.expect(m.Partners).count == 1

    def test_is_gone_for_good_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(autonomy, "ABSENCE", 0.05)
        with autonomous() as server, provider(server, b"2" * 16) as other:
            with provider(server) as hand:
                asked(hand, "x", ADD)
                near = gevent.spawn(_until_closed, server, "x")
                assert hand.expect(m.Partners).count == 1
            assert near.get() == 1008
            assert asked(other, "x", ADD).success  # the token is free

    def test_keeps_them_while_one_of_its_links_is_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(autonomy, "ABSENCE", 0.0)
        with autonomous() as server, provider(server) as stays:
            asked(stays, "x", ADD)
            with provider(server):
                pass
            stays.fence()
            with connector(server, "x"):
                assert stays.expect(m.Partners).count == 1


def test_all_goes_with_the_reverse_token() -> None:
    with autonomous() as server, provider(server) as hand:
        asked(hand, "x", ADD)
        with connector(server, "x") as near:
            assert server.remove(REVERSE)
            assert hand.expect(m.Partners).count == 1
            assert {near.closed().code, hand.closed().code} == {1008}
        server.add(TokenSpec(Kind.FORWARD, "x"))


def test_no_connector_token_from_outside() -> None:
    with autonomous() as server, pytest.raises(ConfigError, match="manage their connectors themselves"):
        server.add(TokenSpec(Kind.CONNECTOR, "x", reverse_token=REVERSE))


def _until_closed(server: ServerRole, token: str) -> int:
    with connector(server, token) as near:
        return near.closed().code


def test_one_that_comes_again_while_the_server_stops_leaves_nothing() -> None:
    with autonomous() as server, provider(server) as first, at_the_door(server) as late:
        assert asked(first, "own", ADD).success
        logs_in_too_late(server, first, late, m.Auth(REVERSE, True, b"1" * 16))
