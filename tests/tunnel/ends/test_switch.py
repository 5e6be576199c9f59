"""The switch between a connector and a provider, both played by hand; the real chain where whole streams count."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from linksocks.errors import Cause, DialError
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.ends import outbound
from linksocks.tunnel.ends import switch as switches
from linksocks.tunnel.ends.switch import Switch
from linksocks.wire import messages as m
from tests.support import socks
from tests.support.flows import WHOLE, Flow
from tests.support.leaks import live_greenlets
from tests.support.tunnels import KINDS, PATIENCE, Agent, Peer, Target, read_to_end, refuse_an_upload, reset

A = b"a" * 16

WINDOW = 256 * 1024
"""What the switch grants a new channel of ours."""

pairings = pytest.mark.parametrize("kinds", list(itertools.product(KINDS, KINDS)), ids="-".join)
"""The connector's kind and the provider's."""


@pytest.fixture(autouse=True)
def no_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No end in these tests may come from a timer, unless the test says so."""
    monkeypatch.setattr(switches, "UNANSWERED", 3600.0)
    monkeypatch.setattr(switches, "STALLED", 3600.0)


class Between:
    """A switch, its connector and its provider. `opened` is the channel of the provider that `ask` has got."""

    def __init__(self, switch: Switch, connector: Peer, provider: Peer) -> None:
        self.switch = switch
        self.connector = connector
        self.provider = provider
        self.opened = b""

    def ask(self, channel: m.ChannelId = A) -> None:
        """The connector's request has come to the provider."""
        self.connector.send(m.Connect(channel, "target", 80))
        connect = self.provider.expect(m.Connect)
        assert (connect.host, connect.port) == ("target", 80)
        self.opened = connect.channel

    def connect(self) -> None:
        self.ask()
        self.provider.send(m.ConnectResponse(True, self.opened))
        assert self.connector.expect(m.ConnectResponse) == m.ConnectResponse(True, A)

    def sides(self, says: str) -> tuple[tuple[Peer, m.ChannelId], tuple[Peer, m.ChannelId]]:
        """Who says something, and who hears of it."""
        connector, provider = (self.connector, A), (self.provider, self.opened)
        return (connector, provider) if says == "connector" else (provider, connector)


both_sides = pytest.mark.parametrize("says", ["connector", "provider"])


@contextmanager
def between(
    kinds: tuple[str, str] = ("ours", "ours"), *, windows: tuple[int, int] = (0, 0), masking: bool = True
) -> Iterator[Between]:
    """`windows`: what connector and provider grant us at first. In the end the switch has no pair left.

    Without `masking` they are WebSocket servers, whose payloads need no unmasking, which would copy them.
    """
    connector_kind, provider_kind = kinds
    with Peer(provider_kind, client=masking, window=windows[1]) as provider:
        switch = Switch(lambda: provider.link)
        with Peer(connector_kind, client=masking, acceptor=switch, window=windows[0]) as connector:
            yield Between(switch, connector, provider)
            empty(switch)
        switch.stop()


def empty(switch: Switch) -> None:
    gevent.spawn(switch.drain, 2 * PATIENCE).get(timeout=PATIENCE)


@contextmanager
def joined(kinds: tuple[str, str], *, windows: tuple[int, int] = (0, 0)) -> Iterator[Between]:
    """The same with a pair."""
    with between(kinds, windows=windows) as all_three:
        all_three.connect()
        yield all_three


class TestOpening:
    @pairings
    def test_a_refusal_is_passed_on_with_its_cause(self, kinds: tuple[str, str]) -> None:
        """Where the provider has no cause byte its text tells."""
        with between(kinds) as it:
            it.ask()
            cause = Cause.REFUSED if kinds[1] == "ours" else None
            it.provider.send(m.ConnectResponse(False, it.opened, "connection refused", cause))
            heard = Cause.REFUSED if kinds[0] == "ours" else None
            assert it.connector.next() == m.ConnectResponse(False, A, "connection refused", heard)

    @pytest.mark.parametrize("kind", KINDS)
    def test_without_a_provider_the_connector_is_refused(self, kind: str) -> None:
        def nobody() -> Link:
            raise DialError(Cause.NETWORK_UNREACHABLE, "no available reverse clients")

        switch = Switch(nobody)
        with Peer(kind, client=True, acceptor=switch) as connector:
            connector.send(m.Connect(A, "target", 80))
            cause = Cause.NETWORK_UNREACHABLE if kind == "ours" else None
            assert connector.next() == m.ConnectResponse(False, A, "no available reverse clients", cause)
            empty(switch)

    def test_a_provider_whose_link_has_ended_is_none(self) -> None:
        with between() as it:
            it.provider.link.alive = False
            it.connector.send(m.Connect(A, "target", 80))
            assert not it.connector.expect(m.ConnectResponse).success

    @pairings
    def test_a_provider_that_does_not_answer(
        self, kinds: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outbound, "_WAY", 0.05 - outbound.CONNECT_TIMEOUT)
        with between(kinds) as it:
            it.ask()
            answer = it.connector.expect(m.ConnectResponse)
            assert (answer.success, answer.cause) == (False, Cause.TIMED_OUT if kinds[0] == "ours" else None)
            assert it.provider.expect(m.Disconnect).error

    @pairings
    @pytest.mark.parametrize("error", ["", "gave up"])
    def test_a_provider_that_ends_while_it_dials(self, kinds: tuple[str, str], error: str) -> None:
        with between(kinds) as it:
            it.ask()
            it.provider.send(m.Disconnect(it.opened, error))
            assert not it.connector.expect(m.ConnectResponse).success

    @pairings
    def test_a_provider_that_is_lost_while_it_dials(self, kinds: tuple[str, str]) -> None:
        with between(kinds) as it:
            it.ask()
            it.provider.socket.shutdown(socket.SHUT_RDWR)
            assert not it.connector.expect(m.ConnectResponse).success

    @pairings
    @pytest.mark.parametrize("error", ["", "gave up"])
    def test_a_connector_that_ends_while_the_provider_dials(self, kinds: tuple[str, str], error: str) -> None:
        with between(kinds) as it:
            it.ask()
            it.connector.send(m.Disconnect(A, error))
            it.provider.expect(m.Disconnect)

    @pairings
    def test_a_connector_that_is_lost_while_the_provider_dials(self, kinds: tuple[str, str]) -> None:
        with between(kinds) as it:
            it.ask()
            it.connector.socket.shutdown(socket.SHUT_RDWR)
            assert it.provider.expect(m.Disconnect).error

    @pytest.mark.parametrize("error", ["", "gave up"])
    def test_nothing_is_opened_for_a_connector_that_is_gone(self, error: str) -> None:
        picking, picked = Event(), Event()

        def pick() -> Link:
            picking.set()
            picked.wait()
            return provider.link

        switch = Switch(pick)
        with Peer("ours", client=True) as provider, Peer("ours", client=True, acceptor=switch) as connector:
            connector.send(m.Connect(A, "target", 80))
            picking.wait()
            connector.send(m.Disconnect(A, error))
            connector.fence()
            picked.set()
            empty(switch)
            assert provider.fence() == []

    @pairings
    def test_what_comes_right_behind_the_answer_follows_it(self, kinds: tuple[str, str]) -> None:
        with between(kinds) as it:
            it.ask()
            it.provider.send(
                m.ConnectResponse(True, it.opened), m.Data(it.opened, b"banner"), m.Disconnect(it.opened)
            )
            assert it.connector.expect(m.ConnectResponse).success
            assert it.connector.expect_data(A, 6) == b"banner"
            assert it.connector.next() == m.Disconnect(A)

    @pairings
    def test_a_reset_right_behind_the_answer_follows_it(self, kinds: tuple[str, str]) -> None:
        with between(kinds) as it:
            it.ask()
            it.provider.send(m.ConnectResponse(True, it.opened), m.Disconnect(it.opened, "reset"))
            assert it.connector.expect(m.ConnectResponse).success
            assert it.connector.next() == m.Disconnect(A, "reset")

    @pytest.mark.parametrize("kind", KINDS)
    def test_early_data_follows_the_request_at_once(self, kind: str) -> None:
        with between((kind, "ours")) as it:
            it.connector.send(m.Connect(A, "target", 80), m.Data(A, b"ear"))
            it.opened = it.provider.expect(m.Connect).channel
            assert it.provider.expect_data(it.opened, 3) == b"ear"
            it.connector.send(m.Data(A, b"ly"))
            assert it.provider.expect_data(it.opened, 2) == b"ly"
            it.provider.send(m.ConnectResponse(False, it.opened, "refused"))
            assert not it.connector.expect(m.ConnectResponse).success

    @pytest.mark.parametrize("kind", KINDS)
    def test_early_data_waits_for_the_answer_of_a_foreign_provider(self, kind: str) -> None:
        with between((kind, "foreign")) as it:
            it.connector.send(m.Connect(A, "target", 80), m.Data(A, b"ear"))
            it.opened = it.provider.expect(m.Connect).channel
            it.connector.send(m.Data(A, b"ly"))
            it.connector.fence()
            assert it.provider.fence() == []
            it.provider.send(m.ConnectResponse(True, it.opened))
            assert it.connector.expect(m.ConnectResponse).success
            it.connector.send(m.Data(A, b" and late"))
            assert it.provider.expect_data(it.opened, 14) == b"early and late"
            it.connector.send(m.Disconnect(A))
            assert it.provider.next() == m.Disconnect(it.opened)

    def test_an_early_end_follows_the_request_too(self) -> None:
        with between() as it:
            it.connector.send(m.Connect(A, "target", 80), m.Data(A, b"all"), m.EndOfStream(A))
            it.opened = it.provider.expect(m.Connect).channel
            assert it.provider.expect_data(it.opened, 3) == b"all"
            assert it.provider.next() == m.EndOfStream(it.opened)
            it.provider.send(m.ConnectResponse(True, it.opened), m.EndOfStream(it.opened))
            assert it.connector.expect(m.ConnectResponse).success
            assert it.connector.next() == m.EndOfStream(A)

    def test_no_more_pairs_than_the_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(switches, "MAX_RELAYS", 1)
        with joined(("ours", "ours")) as it:
            it.connector.send(m.Connect(b"b" * 16, "target", 80))
            assert not it.connector.expect(m.ConnectResponse).success
            it.connector.send(m.Disconnect(A))
            it.provider.expect(m.Disconnect)


class TestStreams:
    @pairings
    def test_bytes_go_both_ways_in_order(self, kinds: tuple[str, str]) -> None:
        with joined(kinds) as it:
            for says in ("connector", "provider"):
                (speaker, theirs), (hearer, id_) = it.sides(says)
                lines = [b"%6d" % number for number in range(2000)]
                speaker.send(*(m.Data(theirs, line) for line in lines))
                assert hearer.expect_data(id_, 12_000) == b"".join(lines)
            it.connector.send(m.Disconnect(A))
            it.provider.expect(m.Disconnect)

    @pairings
    def test_connectors_that_use_the_same_id_get_their_own_bytes(self, kinds: tuple[str, str]) -> None:
        """LinkSocks (Go) hands a channel over to whoever names it."""
        with joined(kinds) as it:
            with Peer(kinds[0], client=True, acceptor=it.switch) as second:
                other = Between(it.switch, second, it.provider)
                other.connect()
                assert other.opened != it.opened
                it.provider.send(m.Data(it.opened, b"secret"), m.Data(other.opened, b"public"))
                assert it.connector.expect_data(A, 6) == b"secret"
                assert second.expect_data(A, 6) == b"public"
                second.send(m.Data(A, b"from the second"), m.Disconnect(A))
                assert it.provider.expect_data(other.opened, 15) == b"from the second"
                assert it.provider.next() == m.Disconnect(other.opened)
            it.provider.send(m.Data(it.opened, b"still here"))
            assert it.connector.expect_data(A, 10) == b"still here"
            assert it.connector.fence() == []
            it.connector.send(m.Disconnect(A))
            assert it.provider.next() == m.Disconnect(it.opened)

    @pairings
    def test_a_connector_that_reads_nothing_does_not_delay_another(self, kinds: tuple[str, str]) -> None:
        """Up to what we hold for one channel; with flow control the provider can't send more than that."""
        with joined(kinds) as it:
            with Peer(kinds[0], client=True, acceptor=it.switch) as lively:
                other = Between(it.switch, lively, it.provider)
                other.connect()
                flood = [m.Data(it.opened, bytes(64 * 1024))] * (WINDOW // (64 * 1024))
                it.provider.send(*flood)
                for turn in range(50):
                    line = b"%4d" % turn
                    it.provider.send(m.Data(other.opened, line))
                    assert lively.expect_data(A, 4) == line
                    lively.send(m.Data(A, line))
                    message = it.provider.next()
                    while isinstance(message, m.Consumed):
                        message = it.provider.next()
                    assert message == m.Data(other.opened, line)
                lively.send(m.Disconnect(A))
                it.provider.expect(m.Disconnect)
            it.connector.expect_data(A, WINDOW)
            it.connector.send(m.Disconnect(A))
            it.provider.expect(m.Disconnect)

    @both_sides
    def test_backpressure_passes_through(self, says: str) -> None:
        with joined(("ours", "ours"), windows=(1000, 1000)) as it:
            (speaker, theirs), (hearer, id_) = it.sides(says)
            speaker.send(*[m.Data(theirs, bytes(64 * 1024))] * 4)
            assert len(hearer.expect_data(id_, 1000)) == 1000
            assert speaker.fence() == []
            hearer.send(m.Consumed(id_, 1000, WINDOW))
            hearer.expect_data(id_, WINDOW - 1000)
            assert speaker.expect(m.Consumed).total >= WINDOW // 2
            speaker.fence()
            speaker.send(m.Disconnect(theirs))
            assert hearer.next() == m.Disconnect(id_)

    @both_sides
    def test_what_waits_is_a_copy(self, says: str) -> None:
        """A link's buffer is used again for what it reads next."""
        with between(windows=(10, 10), masking=False) as it:
            it.connect()
            (speaker, theirs), (hearer, id_) = it.sides(says)
            speaker.send(m.Data(theirs, b"a" * 1000))
            assert hearer.expect_data(id_, 10) == b"a" * 10
            speaker.send(m.Data(theirs, b"b" * 1000))
            speaker.fence()
            hearer.send(m.Consumed(id_, 10, 10_000))
            assert hearer.expect_data(id_, 1990) == b"a" * 990 + b"b" * 1000
            speaker.send(m.Disconnect(theirs))
            assert hearer.next() == m.Disconnect(id_)

    @both_sides
    def test_credit_and_data_that_come_at_once(self, says: str) -> None:
        """What comes may not overtake the backlog that goes on in the same turn."""
        with joined(("ours", "ours"), windows=(8, 8)) as it:
            (speaker, theirs), (hearer, id_) = it.sides(says)
            speaker.send(*[m.Data(theirs, b"%8d" % number) for number in range(3)])
            assert hearer.expect_data(id_, 8) == b"%8d" % 0
            for number in range(3, 20):
                credit = hearer, m.Consumed(id_, 8 * (number - 2), 8)
                data = speaker, m.Data(theirs, b"%8d" % number)
                for sender, message in (credit, data) if number % 2 else (data, credit):
                    sender.send(message)
                assert hearer.expect_data(id_, 8) == b"%8d" % (number - 2)
            speaker.send(m.Disconnect(theirs, "over"))
            assert hearer.next() == m.Disconnect(id_, "over")


class TestEnds:
    """Row by row the table at the top of the module."""

    @pytest.mark.parametrize("says", ["connector", "provider"])
    def test_a_whole_stream_is_finished_and_the_other_way_goes_on(self, says: str) -> None:
        with joined(("ours", "ours")) as it:
            (speaker, theirs), (hearer, id_) = it.sides(says)
            speaker.send(m.Data(theirs, b"said"), m.EndOfStream(theirs))
            assert hearer.expect_data(id_, 4) == b"said"
            assert hearer.next() == m.EndOfStream(id_)
            hearer.send(m.Data(id_, b"answered"), m.EndOfStream(id_))
            assert speaker.expect_data(theirs, 8) == b"answered"
            assert speaker.next() == m.EndOfStream(theirs)

    def test_the_end_of_a_request_is_kept_back_from_a_foreign_provider(self) -> None:
        with joined(("ours", "foreign")) as it:
            it.connector.send(m.Data(A, b"request"), m.EndOfStream(A))
            assert it.provider.expect_data(it.opened, 7) == b"request"
            it.connector.fence()
            assert it.provider.fence() == []
            it.provider.send(m.Data(it.opened, b"answer"), m.Disconnect(it.opened))
            assert it.connector.expect_data(A, 6) == b"answer"
            assert it.connector.next() == m.Disconnect(A)

    @pytest.mark.parametrize("answer", [b"", b"a part of the ans"])
    def test_both_are_broken_when_the_answer_does_not_end(
        self, answer: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(switches, "UNANSWERED", 0.05)
        with joined(("ours", "foreign")) as it:
            it.connector.send(m.EndOfStream(A))
            it.provider.send(m.Data(it.opened, answer))
            assert it.connector.expect_data(A, len(answer)) == answer
            assert "answer did not end" in it.connector.expect(m.Disconnect).error
            assert "answer did not end" in it.provider.expect(m.Disconnect).error

    def test_the_end_of_an_answer_ends_a_foreign_connector_and_breaks_the_provider(self) -> None:
        """End.CUT: the connector may have more to say, and can't."""
        with joined(("foreign", "ours")) as it:
            it.provider.send(m.Data(it.opened, b"answer"), m.EndOfStream(it.opened))
            assert it.connector.expect_data(A, 6) == b"answer"
            assert it.connector.next() == m.Disconnect(A)
            assert "went nowhere" in it.provider.expect(m.Disconnect).error

    def test_a_cut_follows_the_backlog(self) -> None:
        with joined(("foreign", "ours"), windows=(0, 1000)) as it:
            it.connector.send(*[m.Data(A, b"%500d" % number) for number in range(10)])
            assert len(it.provider.expect_data(it.opened, 1000)) == 1000
            it.provider.send(m.EndOfStream(it.opened))
            assert it.connector.next() == m.Disconnect(A)
            assert it.provider.fence() == []
            it.provider.send(m.Consumed(it.opened, 1000, 10_000))
            assert it.provider.expect_data(it.opened, 4000)[-500:] == b"%500d" % 9
            assert "went nowhere" in it.provider.expect(m.Disconnect).error

    @pairings
    @both_sides
    @pytest.mark.parametrize("text", ["", "EOF"])
    def test_a_close_is_passed_on_at_once(self, kinds: tuple[str, str], says: str, text: str) -> None:
        """LinkSocks (Go) never tells a provider that the connector closed."""
        with joined(kinds) as it:
            (speaker, theirs), (hearer, id_) = it.sides(says)
            speaker.send(m.Data(theirs, b"last"), m.Disconnect(theirs, text))
            assert hearer.expect_data(id_, 4) == b"last"
            assert hearer.next() == m.Disconnect(id_)

    @pytest.mark.parametrize("kind", KINDS)
    @both_sides
    def test_a_close_follows_the_backlog_and_what_comes_meanwhile_goes_nowhere(
        self, kind: str, says: str
    ) -> None:
        kinds = (kind, "ours") if says == "connector" else ("ours", kind)
        with joined(kinds, windows=(1000, 1000)) as it:
            (speaker, theirs), (hearer, id_) = it.sides(says)
            speaker.send(*[m.Data(theirs, b"%500d" % number) for number in range(10)])
            speaker.send(m.Disconnect(theirs))
            assert len(hearer.expect_data(id_, 1000)) == 1000
            speaker.fence()
            for _ in range(4):
                hearer.send(m.Data(id_, bytes(64 * 1024)))
            assert hearer.expect(m.Consumed).total >= WINDOW // 2
            hearer.fence()
            hearer.send(m.Consumed(id_, 1000, 10_000))
            assert hearer.expect_data(id_, 4000)[-500:] == b"%500d" % 9
            assert hearer.next() == m.Disconnect(id_)
            assert speaker.fence() == []

    @both_sides
    def test_a_close_after_the_end_of_one_way(self, says: str) -> None:
        with joined(("ours", "ours")) as it:
            (speaker, theirs), (hearer, id_) = it.sides(says)
            speaker.send(m.EndOfStream(theirs))
            assert hearer.next() == m.EndOfStream(id_)
            speaker.send(m.Disconnect(theirs))
            assert hearer.next() == m.Disconnect(id_)

    @both_sides
    def test_a_backlog_that_nobody_takes_is_broken_in_the_end(
        self, says: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(switches, "STALLED", 0.05)
        with joined(("ours", "ours"), windows=(1000, 1000)) as it:
            (speaker, theirs), (hearer, id_) = it.sides(says)
            speaker.send(m.Data(theirs, bytes(5000)), m.Data(theirs, bytes(5000)), m.Disconnect(theirs))
            assert len(hearer.expect_data(id_, 1000)) == 1000
            assert "nothing was taken" in hearer.expect(m.Disconnect).error

    @pairings
    @both_sides
    def test_a_reset_is_passed_on_at_once_with_its_reason(self, kinds: tuple[str, str], says: str) -> None:
        with joined(kinds, windows=(1000, 1000)) as it:
            (speaker, theirs), (hearer, id_) = it.sides(says)
            flow = hearer.link.terms.extensions.window > 0
            if flow:  # a backlog does not hold it up
                speaker.send(*[m.Data(theirs, bytes(1000))] * 5)
                assert len(hearer.expect_data(id_, 1000)) == 1000
            speaker.send(m.Disconnect(theirs, "reset by a test"))
            assert hearer.next() == m.Disconnect(id_, "reset by a test")

    @pairings
    @both_sides
    def test_a_lost_link_breaks_the_other_channel(self, kinds: tuple[str, str], says: str) -> None:
        with joined(kinds) as it:
            (speaker, _), (hearer, id_) = it.sides(says)
            speaker.socket.shutdown(socket.SHUT_RDWR)
            assert hearer.next() == m.Disconnect(id_, "the link was lost")

    @pairings
    def test_stop_breaks_both(self, kinds: tuple[str, str]) -> None:
        with joined(kinds) as it:
            it.switch.stop()
            for peer in (it.connector, it.provider):
                assert peer.expect(m.Disconnect).error == "the server is stopping"

    def test_stop_ends_an_opening(self) -> None:
        with between() as it:
            it.ask()
            it.switch.stop()
            assert it.connector.expect(m.Disconnect).error
            assert it.provider.expect(m.Disconnect).error

    def test_stop_ends_the_wait_for_a_provider(self) -> None:
        picking, stopped = Event(), Event()

        def pick() -> Link:
            try:
                picking.set()
                raise AssertionError(Event().wait())
            finally:
                stopped.set()

        switch = Switch(pick)
        with Peer("ours", client=True, acceptor=switch) as connector:
            connector.send(m.Connect(A, "target", 80))
            picking.wait()
            switch.stop()
            assert stopped.is_set()
            assert connector.expect(m.Disconnect).error == "the server is stopping"

    def test_drain_refuses_the_new_and_waits_for_the_old(self) -> None:
        with joined(("ours", "ours")) as it:
            draining = gevent.spawn(it.switch.drain, 2 * PATIENCE)
            gevent.idle()
            it.connector.send(m.Connect(b"b" * 16, "target", 80))
            assert not it.connector.expect(m.ConnectResponse).success
            it.connector.send(m.Data(A, b"still"), m.Disconnect(A))
            assert not draining.ready()
            assert it.provider.expect_data(it.opened, 5) == b"still"
            assert it.provider.next() == m.Disconnect(it.opened)
            draining.get(timeout=PATIENCE)

    def test_an_idle_pair_has_no_greenlet(self) -> None:
        with between() as it:
            it.connector.fence()
            before = live_greenlets()
            it.connect()
            it.connector.send(*[m.Data(A, b"x")] * 1000)
            it.provider.expect_data(it.opened, 1000)
            gevent.idle()
            assert live_greenlets() <= before
            it.connector.send(m.Disconnect(A))
            it.provider.expect(m.Disconnect)


class TestTheWholeChain:
    """An application, a connector, the server, a provider and its target."""

    @pairings
    def test_fifty_megabytes_each_way_are_exact(self, kinds: tuple[str, str]) -> None:
        with Target() as target, Agent(*kinds) as agent:
            app, conn = agent.join(target)
            flows = [Flow(1, app, conn, 50_000_000).start(), Flow(2, conn, app, 50_000_000).start()]
            assert [flow.wait() for flow in flows] == [WHOLE, WHOLE]
            conn.close()
            assert read_to_end(app) == (b"", True)
            app.close()

    @pairings
    def test_a_closed_application_is_gone_at_the_target(self, kinds: tuple[str, str]) -> None:
        """Without half-close somewhere the target's answer is waited for, or the end is a reset."""
        with Target() as target, Agent(*kinds) as agent:
            app, conn = agent.join(target)
            app.sendall(b"request")
            app.shutdown(socket.SHUT_WR)
            data = conn.recv(7)
            conn.sendall(b"answer")
            conn.close()
            assert data == b"request"
            assert read_to_end(app) == (b"answer", True)
            app.close()

    @pairings
    def test_an_answer_right_before_a_reset_arrives(self, kinds: tuple[str, str]) -> None:
        with Target() as target, Agent(*kinds) as agent:
            for _ in range(5):
                app, conn = agent.join(target)
                conn.sendall(b"220")
                assert socks.read_exactly(app, 3) == b"220"
                refuse_an_upload(app, conn)

    @pairings
    def test_resets_go_through(self, kinds: tuple[str, str]) -> None:
        with Target() as target, Agent(*kinds) as agent:
            for resetting in (0, 1):
                ends = agent.join(target)
                reset(ends[resetting])
                assert read_to_end(ends[1 - resetting]) == (b"", False)
                ends[1 - resetting].close()
