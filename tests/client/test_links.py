"""The set of a client's links: which one a channel gets, and how all of them end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from linksocks.client import backoff
from linksocks.client import links as module
from linksocks.client.keeper import Persistence
from linksocks.client.links import Links
from linksocks.errors import AuthError, ClosedError, DeadlineError, DialError, LinkClosed, LinkError
from linksocks.net.ws.websocket import WebSocket
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.channels.terms import Terms
from linksocks.tunnel.events import Event as RoleEvent
from linksocks.tunnel.events import LinkDown, LinkUp, Observers
from tests.support.hands import Hand
from tests.support.tunnels import FOREIGN, MAX_WINDOW, PATIENCE


class Harbour:
    """Makes links, each with a hand at its other end, or raises what `refusal` holds. Records what the set tells."""

    def __init__(self) -> None:
        self.refusal: list[Exception] = []
        self.hands: list[Hand] = []
        self.told: list[str] = []
        self.observers = Observers()
        self.change = Event()

    def make(self) -> Link:
        if self.refusal:
            raise self.refusal.pop()
        ours, theirs = socket.socketpair()
        self.hands.append(Hand(WebSocket(theirs, client=False, name="client")))
        return Link(WebSocket(ours, client=True, name="server"), Terms(1, FOREIGN, MAX_WINDOW))

    def up(self, _link: Link) -> None:
        self.told.append("up")
        self.change.set()

    def down(self, _link: Link) -> None:
        self.told.append("down")
        self.change.set()

    def until(self, *told: str) -> None:
        with gevent.Timeout(PATIENCE):
            while self.told != list(told):
                self.change.clear()
                self.change.wait()


class Connections:
    """A Side whose connections last for as long as they may; those of `lasting` really do, until a stop."""

    def __init__(self, harbour: Harbour, *, lasting: bool = False) -> None:
        self.told, self.change = harbour.told, harbour.change
        self.ended = Event()
        if not lasting:
            self.ended.set()

    def drain(self, grace: float) -> None:
        self.told.append(f"drain {grace:g}")
        self.change.set()
        self.ended.wait(grace)

    def stop(self) -> None:
        self.told.append("stop")
        self.ended.set()


@contextmanager
def kept(
    harbour: Harbour, threads: int = 1, *, reconnect: bool = True, delay: float = 0.01
) -> Iterator[Links]:
    persistence = Persistence(reconnect, False, delay)
    links = Links(harbour.make, threads, persistence, harbour.up, harbour.down, harbour.observers)
    links.start()
    try:
        yield links
    finally:
        stopping = gevent.spawn(links.stop, 0, Connections(harbour))
        for hand in harbour.hands:
            hand.leave()
        stopping.get()


class TestPick:
    def test_the_link_with_the_fewest_channels(self) -> None:
        harbour = Harbour()
        with kept(harbour, threads=3) as links:
            harbour.until("up", "up", "up")
            channels = [links.pick().open() for _ in range(6)]
            assert [link.channels for link in links.live] == [2, 2, 2]
            for channel in channels:
                channel.abort("that is all")

    def test_none_that_is_about_to_close(self) -> None:
        harbour = Harbour()
        with kept(harbour, threads=2) as links:
            harbour.until("up", "up")
            closing = next(iter(links.live))
            closing.alive = False
            assert all(links.pick() is not closing for _ in range(3))

    def test_all_are_about_to_close(self) -> None:
        harbour = Harbour()
        with kept(harbour) as links:
            harbour.until("up")
            links.pick().alive = False
            with pytest.raises(DialError, match="was lost"):
                links.pick()

    def test_it_waits_for_the_first_and_hastens_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(backoff.Backoff, "next", lambda _: 3600.0)
        harbour = Harbour()
        harbour.refusal = [LinkError("not yet")]
        with kept(harbour) as links:
            gevent.idle()
            picking = gevent.spawn(links.pick)
            harbour.until("up")
            assert picking.get() in links.live

    def test_it_waits_not_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "LINK_WAIT", 0.05)
        harbour = Harbour()
        harbour.refusal = [LinkError("never")]
        with (
            kept(harbour, delay=1000) as links,
            pytest.raises(DialError, match=r"no link to the server for 0\.05 s"),
        ):
            links.pick()


class TestReady:
    """When a link is ready is for the role to say."""

    def test_all_who_wait_and_who_comes_later(self) -> None:
        harbour = Harbour()
        with kept(harbour) as links:
            waiting = [gevent.spawn(links.wait_ready, None) for _ in range(20)]
            harbour.until("up")
            gevent.idle()
            assert not any(each.ready() for each in waiting)
            links.ready(links.pick())
            gevent.joinall(waiting, raise_error=True, timeout=PATIENCE)
            links.wait_ready(0)

    def test_it_is_asked_anew_when_the_last_link_is_lost(self) -> None:
        harbour = Harbour()
        with kept(harbour) as links:
            harbour.until("up")
            lost = links.pick()
            links.ready(lost)
            harbour.hands[0].leave()
            harbour.until("up", "down", "up")
            links.ready(lost)  # too late
            with pytest.raises(
                DeadlineError, match=r"not ready in 0\.01 s: lost a link to the server: .*1000"
            ):
                links.wait_ready(0.01)
            links.ready(links.pick())
            links.wait_ready(0)

    def test_the_last_failure_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(backoff.Backoff, "next", lambda _: 3600.0)
        harbour = Harbour()
        harbour.refusal = [LinkError("TCP: connection refused")]
        with (
            kept(harbour) as links,
            pytest.raises(DeadlineError, match=r"not ready in 0\.05 s: TCP: connection"),
        ):
            links.wait_ready(0.05)

    @pytest.mark.parametrize("error", [AuthError("wrong token"), ZeroDivisionError()], ids=repr)
    def test_what_ended_it_is_told_to_everybody(self, error: Exception) -> None:
        harbour = Harbour()
        harbour.refusal = [error]
        with kept(harbour) as links:
            waiting = [gevent.spawn(failure, links) for _ in range(5)]
            assert [each.get() for each in waiting] == [error] * 5
        assert failure(links) is error  # the stop after that is not what ended it

    def test_after_a_stop(self) -> None:
        harbour = Harbour()
        with kept(harbour) as links:
            waiting = gevent.spawn(failure, links)
            harbour.until("up")
        assert isinstance(waiting.get(), ClosedError)
        assert isinstance(failure(links), ClosedError)


def failure(links: Links) -> Exception | None:
    """With what `wait_ready` ends."""
    try:
        links.wait_ready(PATIENCE)
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    return None


def test_observers_hear_of_each_link() -> None:
    harbour = Harbour()
    heard: list[RoleEvent] = []
    harbour.observers.add(heard.append)
    with kept(harbour) as links:
        harbour.until("up")
        harbour.hands[0].leave()
        harbour.until("up", "down", "up")
        links.pick()
    assert heard[:3] == [LinkUp("server"), LinkDown("server", "link closed with code 1000"), LinkUp("server")]
    assert [type(each) for each in heard[3:]] == [LinkDown]


class TestEnd:
    def test_a_lost_link_is_made_anew(self) -> None:
        harbour = Harbour()
        with kept(harbour) as links:
            harbour.until("up")
            assert len(links.live) == 1
            harbour.hands[0].leave()
            harbour.until("up", "down", "up")
            assert len(links.live) == 1

    def test_the_others_go_on_where_one_may_not_be_made_anew(self) -> None:
        harbour = Harbour()
        with kept(harbour, threads=2, reconnect=False) as links:
            harbour.until("up", "up")
            waiting = gevent.spawn(links.wait)
            harbour.hands[0].leave()
            harbour.until("up", "up", "down")
            gevent.idle()
            assert not waiting.ready()
            harbour.hands[1].leave()
            with pytest.raises(LinkClosed):
                waiting.get()

    def test_a_refused_token_is_the_end_for_all(self) -> None:
        harbour = Harbour()
        harbour.refusal = [AuthError("refused")]
        with kept(harbour, threads=2) as links, pytest.raises(AuthError):
            links.wait()

    def test_what_the_role_can_not_live_with(self) -> None:
        harbour = Harbour()
        with kept(harbour) as links:
            harbour.until("up")
            links.fail(LinkError("enough"))
            with pytest.raises(LinkError, match="enough"):
                links.wait()

    def test_a_bug_is_the_end_too(self) -> None:
        harbour = Harbour()
        harbour.refusal = [ZeroDivisionError()]
        with kept(harbour) as links, pytest.raises(ZeroDivisionError):
            links.wait()

    def test_a_stop_drains_then_says_farewell_then_closes(self) -> None:
        harbour = Harbour()
        with kept(harbour) as links:
            harbour.until("up")
            waiting = gevent.spawn(links.wait)
            stopping = gevent.spawn(
                links.stop, 3, Connections(harbour), lambda: harbour.told.append("farewell")
            )
            assert harbour.hands[0].closed().code == 1001
            harbour.hands[0].leave()
            stopping.get()
            waiting.get()
            assert harbour.told == ["up", "drain 3", "farewell", "stop", "down"]
            assert not links.live

    def test_of_many_stops_the_shortest_grace_counts(self) -> None:
        harbour = Harbour()
        with kept(harbour) as links:
            harbour.until("up")
            side = Connections(harbour, lasting=True)
            patient = gevent.spawn(links.stop, 3600, side)
            harbour.until("up", "drain 3600")
            hasty = [gevent.spawn(links.stop, 0, side) for _ in range(3)]
            harbour.hands[0].closed()
            assert not any(each.ready() for each in (patient, *hasty))
            harbour.hands[0].leave()
            gevent.joinall([patient, *hasty], raise_error=True, timeout=PATIENCE)
            assert harbour.told.count("stop") == 1
            assert harbour.told[-1] == "down"

    def test_a_stop_that_is_killed_is_no_obstacle(self) -> None:
        harbour = Harbour()
        with kept(harbour) as links:
            harbour.until("up")
            side = Connections(harbour, lasting=True)
            killed = gevent.spawn(links.stop, 3600, side)
            harbour.until("up", "drain 3600")
            killed.kill()
            stopping = gevent.spawn(links.stop, 0, side)
            assert harbour.hands[0].closed().code == 1001
            harbour.hands[0].leave()
            stopping.get()
            links.wait()
