"""Connector tokens as a provider asks for them, of a server played by hand."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent import socket

from linksocks.client import connectors as module
from linksocks.client.connectors import Connectors
from linksocks.errors import ConnectorError, DialError, LinkClosed
from linksocks.net.ws.websocket import WebSocket
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.channels.terms import Terms
from linksocks.wire import messages as m
from tests.support.hands import Hand
from tests.support.tunnels import FOREIGN, MAX_WINDOW

TOKEN, OTHER = "a-connector-token", "another-one"
ADD, REMOVE = m.Operation.ADD, m.Operation.REMOVE


@contextmanager
def linked(connectors: Connectors) -> Iterator[tuple[Link, Hand]]:
    """A new link of the provider, and the server's end of it."""
    ours, theirs = socket.socketpair()
    hand = Hand(WebSocket(theirs, client=False, name="provider"))
    terms = Terms(1, FOREIGN, MAX_WINDOW)
    link = Link(WebSocket(ours, client=True, name="server"), terms, handlers=connectors.handlers)
    running = gevent.spawn(_run, link, connectors)
    try:
        yield link, hand
    finally:
        hand.leave()
        running.get()


def _run(link: Link, connectors: Connectors) -> None:
    with pytest.raises(LinkClosed):
        link.run()
    connectors.lost(link)


def nowhere() -> Link:
    raise DialError(3, "no link to the server")


def asked(hand: Hand, token: str, operation: m.Operation, error: str = "", granted: str = "") -> None:
    """The server is asked for that, and answers."""
    request = hand.expect(m.Connector)
    assert (request.token, request.operation) == (token, operation)
    hand.send(m.ConnectorResponse(request.channel, not error, error, granted))


def replayed(connectors: Connectors, link: Link, hand: Hand, *errors: str) -> None:
    """All tokens are said on the link, in order, and the server answers with these errors."""
    saying = gevent.spawn(connectors.replay, link)
    for token, error in zip((TOKEN, OTHER), errors, strict=False):
        asked(hand, token, ADD, error)
    saying.get()


class TestAddAndRemove:
    def test_one(self) -> None:
        connectors = Connectors([], lambda: link)
        with linked(connectors) as (link, hand):
            adding = gevent.spawn(connectors.add, TOKEN)
            asked(hand, TOKEN, ADD)
            assert adding.get() == TOKEN
            removing = gevent.spawn(connectors.remove, TOKEN)
            asked(hand, TOKEN, REMOVE)
            removing.get()

    def test_the_server_makes_one_up_which_is_said_again_later(self) -> None:
        connectors = Connectors([], lambda: link)
        with linked(connectors) as (link, hand):
            adding = gevent.spawn(connectors.add)
            asked(hand, "", ADD, granted=TOKEN)
            assert adding.get() == TOKEN
        with linked(connectors) as (link, hand):
            replayed(connectors, link, hand, "")

    def test_refused(self) -> None:
        connectors = Connectors([], lambda: link)
        with linked(connectors) as (link, hand):
            adding = gevent.spawn(connectors.add, TOKEN)
            asked(hand, TOKEN, ADD, f"{TOKEN}: not permitted")
            with pytest.raises(ConnectorError, match=r"did not add a connector token: \*\*\*: not permitted"):
                adding.get()
            connectors.replay(link)  # there is nothing to say

    def test_what_was_removed_is_not_said_again(self) -> None:
        connectors = Connectors([TOKEN, OTHER], lambda: link)
        with linked(connectors) as (link, hand):
            replayed(connectors, link, hand, "", "")
            removing = gevent.spawn(connectors.remove, TOKEN)
            asked(hand, TOKEN, REMOVE)
            removing.get()
        with linked(connectors) as (link, hand):
            saying = gevent.spawn(connectors.replay, link)
            asked(hand, OTHER, ADD)
            saying.get()

    def test_no_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "ANSWER_TIMEOUT", 0.05)
        connectors = Connectors([], lambda: link)
        with linked(connectors) as (link, hand):
            adding = gevent.spawn(connectors.add, TOKEN)
            late = hand.expect(m.Connector)
            with pytest.raises(ConnectorError, match=r"no answer in 0\.05 s"):
                adding.get()
            hand.send(m.ConnectorResponse(late.channel, True))  # nobody waits for it any more
            monkeypatch.setattr(module, "ANSWER_TIMEOUT", 10)
            adding = gevent.spawn(connectors.add, OTHER)
            asked(hand, OTHER, ADD)
            assert adding.get() == OTHER

    def test_an_answer_to_what_was_never_asked(self) -> None:
        connectors = Connectors([], lambda: link)
        with linked(connectors) as (link, hand):
            hand.send(m.ConnectorResponse(b"x" * 16, True))
            adding = gevent.spawn(connectors.add, TOKEN)
            asked(hand, TOKEN, ADD)
            adding.get()

    def test_the_link_is_lost(self) -> None:
        connectors = Connectors([], lambda: link)
        with linked(connectors) as (link, hand):
            adding = gevent.spawn(connectors.add, TOKEN)
            hand.expect(m.Connector)
        with pytest.raises(ConnectorError, match="the link was lost"):
            adding.get()
        with pytest.raises(ConnectorError, match="the link was lost"):
            connectors.add(TOKEN)

    def test_there_is_no_link(self) -> None:
        with pytest.raises(DialError):
            Connectors([], nowhere).add(TOKEN)


class TestReplay:
    def test_the_first_refusal_is_an_error(self) -> None:
        connectors = Connectors([TOKEN], nowhere)
        with linked(connectors) as (link, hand), pytest.raises(ConnectorError, match="already exists"):
            replayed(connectors, link, hand, "connector token already exists")

    @pytest.mark.parametrize(
        ("error", "level"), [("connector token already exists", logging.INFO), ("full", logging.WARNING)]
    )
    def test_a_later_one_is_logged(self, caplog: pytest.LogCaptureFixture, error: str, level: int) -> None:
        caplog.set_level(logging.INFO)
        connectors = Connectors([TOKEN], nowhere)
        with linked(connectors) as (link, hand):
            replayed(connectors, link, hand, "")
        with linked(connectors) as (link, hand):
            replayed(connectors, link, hand, error)
        (record,) = [record for record in caplog.records if error in record.message]
        assert record.levelno == level
        assert TOKEN not in caplog.text

    def test_a_link_that_is_lost_meanwhile_settles_nothing(self) -> None:
        connectors = Connectors([TOKEN], nowhere)
        with linked(connectors) as (link, hand):
            saying = gevent.spawn(connectors.replay, link)
            hand.expect(m.Connector)
        saying.get()
        with linked(connectors) as (link, hand), pytest.raises(ConnectorError):
            replayed(connectors, link, hand, "no")

    def test_one_link_after_the_other(self) -> None:
        """What the first refuses must not be taken for a repetition by the second."""
        connectors = Connectors([TOKEN], nowhere)
        with linked(connectors) as (one, first), linked(connectors) as (other, second):
            saying = [gevent.spawn(connectors.replay, link) for link in (one, other)]
            request = first.expect(m.Connector)
            assert second.fence() == []
            first.send(m.ConnectorResponse(request.channel, True))
            asked(second, TOKEN, ADD, "connector token already exists")
            gevent.joinall(saying, raise_error=True)


class TestWithdraw:
    def test_all_that_the_server_granted(self) -> None:
        connectors = Connectors([TOKEN, OTHER], nowhere)
        with linked(connectors) as (link, hand):
            replayed(connectors, link, hand, "", "")
            leaving = gevent.spawn(connectors.withdraw, link)
            said = [hand.expect(m.Connector) for _ in range(1)]
            hand.send(m.ConnectorResponse(said[0].channel, False, "no such token"))
            said.append(hand.expect(m.Connector))
            hand.send(m.ConnectorResponse(said[1].channel, True))
            leaving.get()
            assert {(request.token, request.operation) for request in said} == {
                (TOKEN, REMOVE),
                (OTHER, REMOVE),
            }

    def test_not_what_is_somebody_else_s(self) -> None:
        """LinkSocks (Go) would remove it."""
        connectors = Connectors([TOKEN], nowhere)
        with linked(connectors) as (link, hand):
            with pytest.raises(ConnectorError):
                replayed(connectors, link, hand, "connector token already exists")
            connectors.withdraw(link)
            assert hand.fence() == []

    def test_it_is_not_waited_for_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_FAREWELL", 0.05)
        connectors = Connectors([TOKEN], nowhere)
        with linked(connectors) as (link, hand):
            replayed(connectors, link, hand, "")
            with gevent.Timeout(5):
                connectors.withdraw(link)
