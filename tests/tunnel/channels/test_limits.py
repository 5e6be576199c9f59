"""What a link does when its client has all that it may have, and how a rate slows one channel and no other."""

from __future__ import annotations

import gevent
import pytest
from gevent import socket

from linksocks.errors import Cause, DialError
from linksocks.net.ws.websocket import WebSocket
from linksocks.tunnel.channels import channel as channels
from linksocks.tunnel.channels import link as links
from linksocks.tunnel.channels import patience
from linksocks.tunnel.channels.limits import NO_LIMITS, Account, Limits, rates
from linksocks.tunnel.channels.link import NOBODY, Acceptor, Link
from linksocks.tunnel.channels.tally import Tally
from linksocks.tunnel.channels.terms import FIRST_WINDOW, Terms
from linksocks.wire import messages as m
from linksocks.wire.frames import CloseCode
from tests.support.clock import Clock
from tests.support.hands import Hand
from tests.support.rawsocket import turns
from tests.support.tunnels import KINDS, MAX_WINDOW, PATIENCE, extensions
from tests.tunnel.channels.test_channel import connected
from tests.tunnel.channels.test_link import Taken

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16

both_kinds = pytest.mark.parametrize("kind", KINDS)


class Held(Hand):
    """A client by hand, whose link `account` is charged for."""

    def __init__(self, kind: str, account: Account, acceptor: Acceptor = NOBODY) -> None:
        ours, theirs = socket.socketpair()
        super().__init__(WebSocket(theirs, client=True, name="link under test"))
        terms = Terms(1, extensions(kind), MAX_WINDOW)
        self.link = Link(WebSocket(ours, client=False, name="peer"), terms, acceptor, account=account)
        self._run = gevent.spawn(self._until_the_end)

    def _until_the_end(self) -> None:
        with pytest.raises(links.LinkClosed):
            self.link.run()

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *exc: object) -> None:
        self.leave()
        self._run.get(timeout=PATIENCE)


def test_a_token_s_limits_go_before_those_for_all() -> None:
    general = Limits(channels=5, links=2, rate=100, idle=60.0)
    assert NO_LIMITS.within(general) == general
    assert Limits(channels=0, links=9).within(general) == Limits(channels=0, links=9, rate=100, idle=60.0)


class TestChannels:
    def test_one_more_is_refused_and_leaves_nothing(self) -> None:
        account, taken = Account(Limits(channels=2)), Taken()
        with Held("ours", account, taken) as peer:
            for channel in (A, B, C):
                peer.send(m.Connect(channel, "host", 1))
            refusal = peer.expect(m.ConnectResponse)
            assert refusal == m.ConnectResponse(False, C, "this client may have 2 channels", refusal.cause)
            assert refusal.cause == 2
            assert (peer.link.channels, account.channels, len(taken.sinks)) == (2, 2, 2)
            assert account.tally.refusals == {"channels": 1}
            peer.send(m.Disconnect(A), m.Connect(C, "host", 1))
            assert peer.fence() == []
            assert len(taken.sinks) == 3
        assert account.channels == 0
        assert not account.tally.live

    def test_udp_counts_too(self) -> None:
        account = Account(Limits(channels=1))
        with Held("ours", account, Taken()) as peer:
            peer.send(m.Connect(A, "host", 1), m.Connect(B, transport=m.Transport.UDP))
            assert not peer.expect(m.ConnectResponse).success
            assert (peer.link.channels, peer.link.associations) == (1, 0)

    def test_ours_count_too(self) -> None:
        account = Account(Limits(channels=1))
        with Held("ours", account) as peer:
            channel = peer.link.open()
            for another in (peer.link.open, peer.link.open_datagrams):
                with pytest.raises(DialError, match="may have 1 channels"):
                    another()
            channel.abort("over")
            peer.link.open().abort("over")
            peer.fence()

    def test_they_are_of_all_links_of_the_client(self) -> None:
        account = Account(Limits(channels=1))
        with Held("ours", account, Taken()) as one, Held("ours", account, Taken()) as other:
            one.send(m.Connect(A, "host", 1))
            one.fence()
            other.send(m.Connect(A, "host", 1))
            assert not other.expect(m.ConnectResponse).success


class TestMemory:
    """What waits at sinks that take nothing."""

    def test_who_keeps_most_pays_when_patience_is_spent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(channels, "MAX_KEPT", 100_000)
        monkeypatch.setattr(patience, "PATIENCE", 0)
        account, taken = Account(), Taken()
        with Held("foreign", account, taken) as one, Held("foreign", account, taken) as other:
            one.send(m.Connect(A, "host", 1), m.Data(A, bytes(60_000)))
            one.fence()
            other.send(m.Connect(B, "host", 1), m.Data(B, bytes(40_000)))
            assert other.fence() == []
            assert account.kept == 100_000
            other.send(m.Data(B, b"!"), m.Disconnect(B))
            assert one.expect(m.Disconnect).channel == A
            assert taken.sinks[0].end().startswith("reset: too much waits here")
            assert taken.sinks[1].end() == "CLOSED"
            assert account.kept == 40_001
            taken.sinks[1].consume()
            assert account.kept == 0

    def test_a_link_goes_on_once_something_is_taken_from_another(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(channels, "MAX_KEPT", 100_000)
        monkeypatch.setattr(patience, "PATIENCE", 3600)
        account, taken = Account(), Taken()
        with Held("foreign", account, taken) as one, Held("foreign", account, taken) as other:
            one.send(m.Connect(A, "host", 1), m.Data(A, bytes(60_000)))
            one.fence()
            other.send(m.Connect(B, "host", 1), m.Data(B, bytes(60_000)), m.Connect(C, "host", 1))
            while account.kept < 120_000:
                gevent.sleep(0.001)
            turns()
            assert len(taken.sinks) == 2
            taken.sinks[0].consume()
            other.fence()
            assert len(taken.sinks) == 3
            assert [sink.ends for sink in taken.sinks] == [[], [], []]
        assert account.kept == 0

    def test_windows_of_our_own_peers_shrink_and_what_was_granted_stays_granted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account, taken = Account(), Taken()
        first = FIRST_WINDOW
        with Held("ours", account, taken) as peer:
            peer.send(m.Connect(A, "host", 1), m.Data(A, bytes(first)))
            peer.fence()
            fast = taken.sinks[0]
            fast.consume()
            assert peer.expect(m.Consumed) == m.Consumed(A, first, 2 * first)
            peer.send(m.Data(A, bytes(2 * first)))
            peer.fence()
            fast.consume()
            assert peer.expect(m.Consumed) == m.Consumed(A, 3 * first, 4 * first)
            monkeypatch.setattr(channels, "MAX_KEPT", first)
            peer.send(m.Data(A, bytes(4 * first)))
            peer.fence()
            fast.consume(2 * first)
            assert peer.expect(m.Consumed) == m.Consumed(A, 5 * first, 2 * first)
            peer.send(m.Data(A, b"!"))
            assert "window" in peer.expect(m.Disconnect).error
        assert account.kept == 0

    def test_a_foreign_peer_has_the_first_window_until_the_target_answers(self) -> None:
        taken = Taken()
        with Held("foreign", Account(), taken) as peer:
            peer.send(m.Connect(A, "host", 1), m.Data(A, bytes(FIRST_WINDOW + 1)), m.Connect(B, "host", 1))
            while not taken.sinks or len(taken.sinks[0].data) <= FIRST_WINDOW:
                gevent.sleep(0.001)
            turns()
            assert len(taken.sinks) == 1
            taken.sinks[0].channel.accept()
            assert peer.expect(m.ConnectResponse).success
            peer.fence()
            assert len(taken.sinks) == 2

    def test_a_channel_that_was_refused_keeps_nothing_even_if_it_had_ended(self) -> None:
        account, taken = Account(), Taken()
        with Held("foreign", account, taken) as peer:
            peer.send(m.Connect(A, "host", 1), m.Data(A, b"early"), m.Disconnect(A))
            peer.fence()
            assert account.kept == 5
            taken.sinks[0].channel.refuse(DialError(Cause.GENERAL, "nobody there"))
            assert account.kept == 0


class TestRates:
    """With the clock held, a limited channel stands still for good after what it had credit for."""

    @both_kinds
    def test_what_is_sent(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock(monkeypatch)
        account = Account(Limits(channel_rate=100_000))
        with Held(kind, account) as peer:
            slow, _ = connected(peer)
            slow.send(bytes(40_000))
            assert peer.expect_data(slow.id, 15_000)  # turns of 5,000, until more than 0.1 s is owed
            assert [message for message in peer.fence() if isinstance(message, m.Data)] == []
            assert slow.full
            other, _ = connected(peer)  # with a rate of its own
            other.send(b"!")
            assert peer.expect_data(other.id, 1) == b"!"
            clock.now += 60
            assert peer.expect_data(slow.id, 10_000)
            other.abort("over")
            slow.abort("over")
            peer.fence()

    def test_what_is_received(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The sink is as quick as can be, and yet the peer gets its next credit when the rate allows it."""
        clock = Clock(monkeypatch)
        account = Account(Limits(channel_rate=100_000))
        window = 256 * 1024
        with Held("ours", account) as peer:
            channel, _ = connected(peer)

            def fill(chunks: int) -> list[m.Message]:
                for _ in range(chunks):
                    peer.send(m.Data(channel.id, bytes(window // 4)))
                    channel.consumed(0)
                return peer.fence()

            fill(2)
            channel.consumed(window // 2)
            assert peer.expect(m.Consumed) == m.Consumed(channel.id, window // 2, window)
            fill(2)
            channel.consumed(window // 2)
            assert peer.fence() == []
            clock.now += 60
            assert peer.expect(m.Consumed) == m.Consumed(channel.id, window, window)
            channel.abort("over")
            peer.fence()

    def test_a_foreign_peer_is_held_with_its_link_and_can_be_closed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock(monkeypatch)
        with Held("foreign", Account(Limits(channel_rate=100_000)), taken := Taken()) as peer:
            peer.send(m.Connect(A, "host", 1), m.Data(A, bytes(50_000)), m.Connect(B, "host", 1))
            while not taken.sinks or not taken.sinks[0].channel.traffic[1]:
                gevent.sleep(0.001)
            assert len(taken.sinks) == 1
            clock.now += 60
            while len(taken.sinks) < 2:
                gevent.sleep(0.001)
            peer.send(m.Data(A, bytes(50_000)))
            while taken.sinks[0].channel.traffic[1] < 100_000:
                gevent.sleep(0.001)
            peer.link.close(CloseCode.GOING_AWAY, "over")

    def test_a_token_s_rate_is_for_all_its_channels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Clock(monkeypatch)
        limits = Limits(rate=100_000)
        shared = rates(limits)
        with Held("ours", Account(limits, shared)) as one, Held("ours", Account(limits, shared)) as other:
            first, _ = connected(one)
            second, _ = connected(other)
            first.send(bytes(15_000))
            one.expect_data(first.id, 15_000)
            first.send(b"!")
            second.send(b"!")
            one.fence()
            other.fence()
            assert first.full
            assert second.full
            first.abort("over")
            second.abort("over")
            one.fence()
            other.fence()

    def test_datagrams_above_it_are_dropped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Clock(monkeypatch)
        with Held("ours", Account(Limits(channel_rate=100_000))) as peer:
            association = peer.link.open_datagrams()
            asking = gevent.spawn(association.connect, PATIENCE)
            request = peer.expect(m.Connect)
            peer.send(m.ConnectResponse(True, request.channel))
            asking.get(timeout=PATIENCE)
            for _ in range(30):
                association.send(bytes(1000), "127.0.0.1", 53)
            got = [message for message in peer.fence() if isinstance(message, m.Data)]
            assert len(got) == 11
            assert association.drops.total == 19
            association.end()
            peer.fence()


def test_an_idle_time_of_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with Held("ours", Account(Limits(idle=0.05))) as peer:
        _, sink = connected(peer)
        assert sink.end() == "reset: idle for too long"
        assert peer.expect(m.Disconnect).error == "idle for too long"


def test_links_are_counted_while_they_live_and_what_they_did_for_ever() -> None:
    tally = Tally()
    with Held("ours", Account(tally=tally)) as peer:
        channel, _ = connected(peer)
        channel.send(bytes(5000))
        peer.expect_data(channel.id, 5000)
        peer.send(m.Data(channel.id, bytes(300)))
        peer.fence()
        assert (tally.links, len(tally.live), tally.streams, tally.traffic) == (1, 1, 1, (5000, 300))
    assert (tally.links, len(tally.live), tally.streams, tally.traffic) == (1, 0, 1, (5000, 300))


def test_a_pause_is_counted_when_there_is_no_credit() -> None:
    tally = Tally()
    with Held("ours", Account(tally=tally)) as peer:
        channel, _ = connected(peer)
        channel.send(bytes(300 * 1024))
        peer.expect_data(channel.id, 256 * 1024)
        peer.fence()
        assert tally.pauses == 1
        channel.abort("over")
        peer.fence()
    assert tally.pauses == 1
