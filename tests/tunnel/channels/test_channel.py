"""One channel of a real link against a peer played by hand: credit, backlog, and each of its ends."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import gevent
import pytest
from gevent.event import Event

from linksocks.errors import Cause, ChannelError, DialError
from linksocks.tunnel.channels import patience
from linksocks.tunnel.channels.channel import Channel, End
from linksocks.tunnel.channels.terms import FIRST_WINDOW
from linksocks.wire import messages as m
from linksocks.wire.mask import Buffer
from tests.support.rawsocket import turns
from tests.support.tunnels import KINDS, PATIENCE, Peer

KIB = 1024
FIRST = FIRST_WINDOW
MAX = 6 * FIRST

both_kinds = pytest.mark.parametrize("kind", KINDS)


class Slow:
    """A sink that consumes when it is told to."""

    def __init__(self, channel: Channel) -> None:
        channel.sink = self
        self.channel = channel
        self.data = b""
        self.waiting = 0
        self.ends: list[str] = []
        self.changed = Event()

    def deliver(self, payload: Buffer) -> None:
        self.data += payload
        self.waiting += len(payload)
        self.changed.set()

    def deliver_end(self, end: End) -> None:
        self.ends.append(end.name)
        self.changed.set()

    def deliver_reset(self, reason: str) -> None:
        self.ends.append(f"reset: {reason}")
        self.changed.set()

    def consume(self, count: int | None = None) -> None:
        count = self.waiting if count is None else count
        self.waiting -= count
        self.channel.consumed(count)

    def until(self, size: int) -> None:
        """Waits until `size` bytes in all are here."""
        with gevent.Timeout(PATIENCE):
            while len(self.data) < size:
                self.changed.clear()
                self.changed.wait()

    def end(self) -> str:
        """Waits for an end; it must be the only one."""
        with gevent.Timeout(PATIENCE):
            while not self.ends:
                self.changed.clear()
                self.changed.wait()
        assert len(self.ends) == 1
        return self.ends[0]


class Clock:
    """The clock by which a reader that waits counts its PATIENCE: that is ten trickles."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(patience, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(patience, "PATIENCE", 3600)

        monkeypatch.setattr(patience, "REGAIN", 1e9)

    def trickle(self, sink: Slow) -> None:
        """The sink takes its time for one byte."""
        self.now += 360
        sink.consume(1)
        turns()


@contextmanager
def opened(kind: str, *, window: int = 0, max_window: int = 0) -> Iterator[tuple[Peer, Channel, Slow]]:
    """A connected channel. `window` is what the peer accepts at first, `max_window` what we hold at most."""
    with Peer(kind, client=False, window=window, max_window=max_window) as peer:
        channel, sink = connected(peer)
        yield peer, channel, sink


def connected(peer: Peer) -> tuple[Channel, Slow]:
    channel = peer.link.open()
    sink = Slow(channel)
    dialling = gevent.spawn(channel.connect, "target", 80, PATIENCE)
    connect = peer.expect(m.Connect)
    assert (connect.channel, connect.host, connect.port) == (channel.id, "target", 80)
    peer.send(m.ConnectResponse(True, channel.id))
    dialling.get()
    return channel, sink


class TestSendingWithFlow:
    def test_no_more_than_the_window_is_sent(self) -> None:
        with opened("ours", window=1000) as (peer, channel, _):
            channel.send(bytes(700))
            assert peer.expect_data(channel.id, 700)
            channel.send(bytes(5000))
            assert peer.expect_data(channel.id, 300)
            assert peer.fence() == []
            peer.send(m.Consumed(channel.id, 400, 1000))
            assert peer.expect_data(channel.id, 400)
            assert peer.fence() == []
            peer.send(m.Consumed(channel.id, 1400, 1 << 20))
            assert peer.expect_data(channel.id, 4300)
            channel.abort("over")

    def test_one_chunk_waits_and_the_next_blocks(self) -> None:
        with opened("ours", window=1) as (peer, channel, _):
            channel.send(b"ab")
            blocked = gevent.spawn(channel.send, b"cd")
            assert peer.expect_data(channel.id, 1) == b"a"
            assert peer.fence() == []
            assert not blocked.ready()
            peer.send(m.Consumed(channel.id, 1, 3))
            assert peer.expect_data(channel.id, 3) == b"bcd"
            blocked.get()
            channel.abort("over")

    def test_a_grant_never_shrinks(self) -> None:
        with opened("ours", window=1000) as (peer, channel, _):
            channel.send(bytes(600))
            peer.expect_data(channel.id, 600)
            peer.send(m.Consumed(channel.id, 500, 100))
            assert peer.fence() == []
            channel.send(bytes(500))
            peer.expect_data(channel.id, 400)
            channel.abort("over")

    def test_the_end_waits_for_credit_too(self) -> None:
        with opened("ours", window=1) as (peer, channel, sink):
            channel.send(b"ab")
            channel.finish()
            assert peer.expect_data(channel.id, 1) == b"a"
            assert peer.fence() == []
            peer.send(m.Consumed(channel.id, 1, 1))
            assert peer.expect_data(channel.id, 1) == b"b"
            assert peer.expect(m.EndOfStream).channel == channel.id
            peer.send(m.EndOfStream(channel.id))
            assert sink.end() == "WHOLE"

    def test_a_waiting_sender_learns_of_the_end_of_the_channel(self) -> None:
        with opened("ours", window=1) as (peer, channel, _):
            channel.send(b"ab")
            blocked = gevent.spawn(channel.send, b"cd")
            peer.expect_data(channel.id, 1)
            peer.send(m.Disconnect(channel.id, "broken"))
            with pytest.raises(ChannelError, match="broken"):
                blocked.get()

    def test_more_consumed_than_sent_ends_the_link(self) -> None:
        with opened("ours", window=1000) as (peer, channel, sink):
            channel.send(bytes(100))
            peer.expect_data(channel.id, 100)
            peer.send(m.Consumed(channel.id, 101, 1000))
            assert peer.closed().code == 1002
            assert sink.end() == "reset: the link was lost"


class TestReceivingWithFlow:
    def test_a_stalled_sink_gets_its_window_and_no_credit(self) -> None:
        with opened("ours", max_window=64 * KIB) as (peer, channel, sink):
            peer.send(*(m.Data(channel.id, bytes(KIB)) for _ in range(64)))
            sink.until(64 * KIB)
            assert peer.fence() == []
            channel.abort("over")

    def test_a_peer_that_overruns_its_window_loses_the_channel(self) -> None:
        with opened("ours", max_window=64 * KIB) as (peer, channel, sink):
            other, other_sink = connected(peer)
            peer.send(m.Data(channel.id, bytes(64 * KIB)), m.Data(channel.id, b"x"))
            assert "window" in peer.expect(m.Disconnect).error
            assert sink.end().startswith("reset: ")
            assert len(sink.data) == 64 * KIB
            peer.send(m.Data(other.id, b"the link lives"))
            other_sink.until(14)
            other.abort("over")

    def test_credit_is_what_was_consumed(self) -> None:
        with opened("ours", max_window=64 * KIB) as (peer, channel, sink):
            peer.send(m.Data(channel.id, bytes(64 * KIB)))
            sink.until(64 * KIB)
            sink.consume(31 * KIB)
            assert peer.fence() == []  # too little to be worth a message
            sink.consume(1 * KIB)
            assert peer.expect(m.Consumed) == m.Consumed(channel.id, 32 * KIB, 64 * KIB)
            channel.abort("over")

    def test_the_window_grows_while_the_sink_keeps_up(self) -> None:
        with opened("ours", max_window=MAX) as (peer, channel, sink):
            windows, total = [FIRST], 0
            while len(windows) < 5:
                size = windows[-1]
                for start in range(0, size, 64 * KIB):
                    peer.send(m.Data(channel.id, bytes(64 * KIB)))
                    total += 64 * KIB
                    sink.until(total)
                    if start + 64 * KIB == size:
                        sink.consume()
                answer = peer.expect(m.Consumed)
                assert answer.total == total
                windows.append(answer.window)
            assert windows == [FIRST, 2 * FIRST, 4 * FIRST, MAX, MAX]
            channel.abort("over")

    def test_the_window_does_not_grow_for_a_slow_sink(self) -> None:
        with opened("ours", max_window=MAX) as (peer, channel, sink):
            peer.send(m.Data(channel.id, bytes(FIRST)))
            sink.until(FIRST)
            sink.consume(FIRST - 1)
            assert peer.expect(m.Consumed) == m.Consumed(channel.id, FIRST - 1, FIRST)
            channel.abort("over")


class TestReceivingWithoutFlow:
    def test_a_full_channel_alone_is_closed_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(patience, "PATIENCE", 0.1)
        with opened("foreign", max_window=KIB) as (peer, full, full_sink):
            other, sink = connected(peer)
            peer.send(m.Data(full.id, bytes(KIB)), m.Data(other.id, b"before"))
            sink.until(6)
            assert full_sink.ends == []
            peer.send(m.Data(full.id, b"x"), m.Data(other.id, b"behind"))
            ended = peer.expect(m.Disconnect)
            assert ended.channel == full.id
            assert "flow control" in ended.error
            assert full_sink.end() == f"reset: {ended.error}"
            sink.until(12)
            assert sink.ends == []
            other.abort("over")

    def test_a_full_channel_goes_on_once_its_sink_consumes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(patience, "PATIENCE", 3600)
        with opened("foreign", max_window=KIB) as (peer, channel, sink):
            peer.send(m.Data(channel.id, bytes(KIB)), m.Data(channel.id, b"x"), m.Data(channel.id, b"y"))
            sink.until(KIB + 1)
            gevent.idle()
            assert len(sink.data) == KIB + 1  # the reader waits
            sink.consume(1)
            sink.until(KIB + 2)
            sink.consume()
            channel.abort("over")

    @pytest.mark.parametrize("crowded", [True, False])
    def test_a_trickle_lasts_as_long_as_it_needs_unless_others_wait(
        self, monkeypatch: pytest.MonkeyPatch, crowded: bool
    ) -> None:
        """Each byte comes in time; it is all the waits together that other channels do not bear."""
        clock = Clock(monkeypatch)
        with opened("foreign", max_window=KIB) as (peer, slow, sink), ExitStack() as stack:
            if crowded:
                other, other_sink = connected(peer)
                stack.callback(other.abort, "over")
            peer.send(m.Data(slow.id, bytes(KIB + 20)))
            sink.until(KIB + 20)
            for _ in range(9):
                clock.trickle(sink)
            assert sink.ends == []
            clock.trickle(sink)
            if crowded:
                assert peer.expect(m.Disconnect).channel == slow.id
                assert sink.end().startswith("reset: ")
                peer.send(m.Data(other.id, b"the link lives"))
                other_sink.until(14)
            else:
                for _ in range(10):
                    clock.trickle(sink)
                peer.send(m.Data(slow.id, b"more"))
                sink.until(KIB + 24)
                assert sink.ends == []
                slow.abort("over")

    def test_a_sink_that_caught_up_gets_its_patience_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock(monkeypatch)
        monkeypatch.setattr(patience, "REGAIN", 0)  # the link has no end of it
        with opened("foreign", max_window=KIB) as (peer, slow, sink):
            other, _ = connected(peer)
            for total in (KIB + 9, 2 * (KIB + 9), 3 * (KIB + 9)):
                peer.send(m.Data(slow.id, bytes(KIB + 9)))
                sink.until(total)
                for _ in range(9):
                    clock.trickle(sink)
                sink.consume()
            assert sink.ends == []
            peer.send(m.Data(slow.id, bytes(2 * KIB)))  # and no more than that
            sink.until(3 * (KIB + 9) + 2 * KIB)
            for _ in range(10):
                clock.trickle(sink)
            assert peer.expect(m.Disconnect).channel == slow.id
            other.abort("over")

    def test_who_spent_the_link_s_patience_spent_it_for_who_takes_nothing_and_not_for_who_keeps_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock(monkeypatch)
        monkeypatch.setattr(patience, "LIVELY", 1)
        monkeypatch.setattr(patience, "SPARE", 3600)
        with opened("foreign", max_window=KIB) as (peer, first, first_sink):
            second, second_sink = connected(peer)
            lively, sink = connected(peer)
            peer.send(m.Data(lively.id, bytes(KIB)))
            sink.until(KIB)
            sink.consume()
            peer.send(m.Data(first.id, bytes(2 * KIB)))
            first_sink.until(2 * KIB)
            for _ in range(10):
                clock.trickle(first_sink)
            assert first_sink.end().startswith("reset: ")
            peer.send(m.Data(second.id, bytes(2 * KIB)), m.Data(lively.id, bytes(KIB + 1)))
            assert second_sink.end().startswith("reset: ")
            sink.until(2 * KIB + 1)
            peer.send(m.Data(lively.id, b"more"))
            turns()
            assert sink.ends == []
            sink.consume(KIB)
            sink.until(2 * KIB + 5)
            lively.abort("over")
            peer.fence()

    def test_a_full_channel_may_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(patience, "PATIENCE", 3600)
        with opened("foreign", max_window=KIB) as (peer, channel, sink):
            peer.send(m.Data(channel.id, bytes(2 * KIB)))
            sink.until(2 * KIB)
            channel.abort("the application is gone")
            assert peer.expect(m.Disconnect).error == "the application is gone"
            assert peer.fence() == []

    def test_all_is_sent_at_once(self) -> None:
        with opened("foreign") as (peer, channel, _):
            for _ in range(40):
                channel.send(bytes(64 * KIB))
                peer.expect_data(channel.id, 64 * KIB)
            channel.abort("over")


class TestEnds:
    def test_an_answer_and_all_that_follows_it_may_come_at_once(self) -> None:
        """A target that greets and closes: its messages are here before the greenlet that asked runs again."""
        with Peer("foreign", client=False) as peer:
            channel = peer.link.open()
            sink = Slow(channel)
            dialling = gevent.spawn(channel.connect, "target", 80, PATIENCE)
            peer.expect(m.Connect)
            peer.send(
                m.ConnectResponse(True, channel.id), m.Data(channel.id, b"hello"), m.Disconnect(channel.id)
            )
            dialling.get()
            assert (sink.end(), sink.data) == ("CLOSED", b"hello")

    def test_an_end_releases_the_reader_that_waits_for_the_sink(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A target that answers early and reads no more must not hold up the link for ever."""
        monkeypatch.setattr(patience, "PATIENCE", 3600)
        with opened("foreign", max_window=KIB) as (peer, channel, sink):
            peer.send(m.Data(channel.id, bytes(2 * KIB)))
            sink.until(2 * KIB)
            channel.finish()
            assert peer.expect(m.Disconnect) == m.Disconnect(channel.id)
            assert sink.end() == "CUT"
            assert peer.fence() == []

    def test_a_close_releases_the_reader_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(patience, "PATIENCE", 3600)
        with opened("foreign", max_window=KIB) as (peer, channel, sink):
            peer.send(m.Data(channel.id, bytes(2 * KIB)))
            sink.until(2 * KIB)
            channel.close()
            assert peer.expect(m.Disconnect) == m.Disconnect(channel.id)
            assert peer.fence() == []

    def test_each_direction_ends_by_itself(self) -> None:
        with opened("ours") as (peer, channel, sink):
            channel.send(b"last")
            channel.finish()
            assert peer.expect_data(channel.id, 4) == b"last"
            assert peer.expect(m.EndOfStream).channel == channel.id
            peer.send(m.Data(channel.id, b"answer"), m.EndOfStream(channel.id))
            assert sink.end() == "WHOLE"
            assert sink.data == b"answer"
            assert peer.link.channels == 0

    def test_without_half_close_the_end_is_that_of_the_channel(self) -> None:
        with opened("foreign") as (peer, channel, sink):
            channel.send(b"last")
            channel.finish()
            assert peer.expect_data(channel.id, 4) == b"last"
            assert peer.expect(m.Disconnect) == m.Disconnect(channel.id)
            assert sink.end() == "CUT"
            assert peer.link.channels == 0

    @both_kinds
    @pytest.mark.parametrize("text", ["", "EOF"])
    def test_a_clean_disconnect(self, kind: str, text: str) -> None:
        with opened(kind) as (peer, channel, sink):
            peer.send(m.Data(channel.id, b"last"), m.Disconnect(channel.id, text))
            assert sink.end() == "CLOSED"
            assert sink.data == b"last"
            with pytest.raises(ChannelError, match="the peer has closed"):
                channel.send(b"more")
            channel.finish()
            assert peer.fence() == []

    @both_kinds
    def test_a_disconnect_with_an_error(self, kind: str) -> None:
        with opened(kind) as (peer, channel, sink):
            peer.send(m.Disconnect(channel.id, "read: connection reset by peer"))
            assert sink.end() == "reset: read: connection reset by peer"
            with pytest.raises(ChannelError, match="reset by peer"):
                channel.send(b"more")
            assert peer.fence() == []

    def test_an_end_that_waits_for_credit_does_not_follow_a_disconnect(self) -> None:
        with opened("ours", window=1) as (peer, channel, sink):
            channel.send(b"ab")
            channel.finish()
            assert peer.expect_data(channel.id, 1) == b"a"
            peer.send(m.Disconnect(channel.id))
            assert sink.end() == "CLOSED"
            assert peer.fence() == []

    def test_a_disconnect_after_the_end_of_the_stream(self) -> None:
        """The sink learns that the peer takes no more either, or it would wait for its own end for ever."""
        with opened("ours") as (peer, channel, sink):
            peer.send(m.EndOfStream(channel.id))
            assert sink.end() == "WHOLE"
            peer.send(m.Disconnect(channel.id))
            peer.fence()
            assert sink.ends == ["WHOLE", "CLOSED"]

    @both_kinds
    def test_what_follows_an_end_is_dropped(self, kind: str) -> None:
        with opened(kind) as (peer, channel, sink):
            peer.send(
                m.Disconnect(channel.id),
                m.Data(channel.id, b"late"),
                m.Consumed(channel.id, 1 << 40, 1),
                m.EndOfStream(channel.id),
                m.Disconnect(channel.id, "again"),
                m.ConnectResponse(True, channel.id),
            )
            assert peer.fence() == []
            assert (sink.data, sink.ends) == (b"", ["CLOSED"])

    def test_data_after_the_end_of_its_direction_is_dropped(self) -> None:
        with opened("ours") as (peer, channel, sink):
            peer.send(m.EndOfStream(channel.id), m.Data(channel.id, b"late"), m.EndOfStream(channel.id))
            assert peer.fence() == []
            assert (sink.data, sink.ends) == (b"", ["WHOLE"])
            channel.abort("over")

    def test_an_end_of_stream_that_was_not_agreed_is_an_end_all_the_same(self) -> None:
        with opened("foreign") as (peer, channel, sink):
            peer.send(m.EndOfStream(channel.id))
            assert sink.end() == "WHOLE"
            channel.finish()
            assert peer.expect(m.Disconnect) == m.Disconnect(channel.id)
            assert sink.ends == ["WHOLE"]

    @both_kinds
    def test_an_abort_drops_what_waits_and_tells_the_peer_once(self, kind: str) -> None:
        with opened(kind, window=1) as (peer, channel, sink):
            if kind == "ours":
                channel.send(b"ab")
                peer.expect_data(channel.id, 1)
            channel.abort("reset by the application")
            channel.abort("again")
            channel.finish()
            assert peer.expect(m.Disconnect) == m.Disconnect(channel.id, "reset by the application")
            assert peer.fence() == []
            assert sink.ends == []

    def test_an_abort_without_a_reason_is_no_clean_end(self) -> None:
        with opened("ours") as (peer, channel, _):
            channel.abort("")
            assert peer.expect(m.Disconnect).error

    @both_kinds
    @pytest.mark.parametrize("reason", ["", "cut off"])
    def test_a_close_ends_both_directions(self, kind: str, reason: str) -> None:
        with opened(kind) as (peer, channel, sink):
            channel.send(b"last")
            channel.close(reason)
            assert peer.expect_data(channel.id, 4) == b"last"
            assert peer.expect(m.Disconnect) == m.Disconnect(channel.id, reason)
            assert channel.gone.is_set()
            peer.send(m.Data(channel.id, b"more"), m.Disconnect(channel.id, "reset"))
            assert peer.fence() == []
            assert (sink.data, sink.ends) == (b"", [])

    def test_a_close_waits_for_credit_and_nothing_is_delivered_meanwhile(self) -> None:
        with opened("ours", window=3) as (peer, channel, sink):
            channel.send(b"last")
            assert peer.expect_data(channel.id, 3) == b"las"
            channel.finish()
            channel.close("cut off")
            peer.send(m.Data(channel.id, b"more"), m.EndOfStream(channel.id))
            assert peer.fence() == []
            assert not channel.gone.is_set()
            peer.send(m.Consumed(channel.id, 3, 100))
            assert peer.expect_data(channel.id, 1) == b"t"
            assert peer.next() == m.Disconnect(channel.id, "cut off")
            assert (sink.data, sink.ends) == (b"", [])

    def test_a_close_after_the_end_of_the_outgoing_direction(self) -> None:
        with opened("ours") as (peer, channel, sink):
            channel.finish()
            assert peer.next() == m.EndOfStream(channel.id)
            channel.close()
            assert peer.next() == m.Disconnect(channel.id)
            assert sink.ends == []

    @pytest.mark.parametrize("end", ["both ended", "disconnect", "abort", "lost"])
    def test_a_channel_that_has_ended_is_gone(self, end: str) -> None:
        with opened("ours") as (peer, channel, _):
            channel.finish()
            assert peer.next() == m.EndOfStream(channel.id)
            assert not channel.gone.is_set()
            if end == "both ended":
                peer.send(m.EndOfStream(channel.id))
            elif end == "disconnect":
                peer.send(m.Disconnect(channel.id))
            elif end == "abort":
                channel.abort("over")
            else:
                peer.socket.close()
            assert channel.gone.wait(PATIENCE)

    def test_a_full_channel(self) -> None:
        with opened("ours", window=1) as (peer, channel, _):
            assert not channel.full
            channel.send(b"ab")
            peer.expect_data(channel.id, 1)
            assert channel.full
            peer.send(m.Consumed(channel.id, 1, 1))
            peer.expect_data(channel.id, 1)
            assert not channel.full
            channel.abort("over")

    @both_kinds
    def test_a_lost_link(self, kind: str) -> None:
        with opened(kind) as (peer, channel, sink):
            peer.socket.close()
            assert sink.end() == "reset: the link was lost"
            with pytest.raises(ChannelError, match="the link was lost"):
                channel.send(b"more")
            with pytest.raises(DialError):
                peer.link.open()

    def test_a_refusal_after_a_success_breaks_the_channel(self) -> None:
        """Nothing else would ever tell the application."""
        with opened("ours") as (peer, channel, sink):
            peer.send(m.ConnectResponse(False, channel.id, "changed my mind"))
            assert sink.end() == "reset: changed my mind"

    def test_a_refusal_right_behind_a_success_breaks_the_channel(self) -> None:
        with Peer("ours", client=False) as peer:
            channel = peer.link.open()
            sink = Slow(channel)
            dialling = gevent.spawn(channel.connect, "target", 80, PATIENCE)
            peer.expect(m.Connect)
            peer.send(m.ConnectResponse(True, channel.id), m.ConnectResponse(False, channel.id, "no"))
            dialling.get()
            assert sink.end() == "reset: no"


class TestConnect:
    @both_kinds
    def test_a_refusal(self, kind: str) -> None:
        with Peer(kind, client=False) as peer:
            assert _refused_by(peer, m.ConnectResponse(False, b"", "connection refused")) is Cause.REFUSED

    def test_the_cause_byte_counts_more_than_the_text(self) -> None:
        with Peer("ours", client=False) as peer:
            answer = m.ConnectResponse(False, b"", "connection refused", Cause.NOT_ALLOWED)
            assert _refused_by(peer, answer) is Cause.NOT_ALLOWED

    @both_kinds
    @pytest.mark.parametrize("text", ["", "EOF", "closed"])
    def test_a_disconnect_instead_of_an_answer(self, kind: str, text: str) -> None:
        with Peer(kind, client=False) as peer:
            assert _refused_by(peer, m.Disconnect(b"", text)) is Cause.GENERAL

    def test_no_answer(self) -> None:
        with Peer("ours", client=False) as peer:
            channel = peer.link.open()
            Slow(channel)
            with pytest.raises(DialError) as caught:
                channel.connect("target", 80, 0.05)
            assert caught.value.cause is Cause.TIMED_OUT
            peer.expect(m.Connect)
            assert "no answer" in peer.expect(m.Disconnect).error
            peer.send(m.ConnectResponse(True, channel.id))
            assert peer.fence() == []

    @pytest.mark.parametrize(
        "how",
        [gevent.Timeout(1), gevent.GreenletExit(), KeyboardInterrupt()],
        ids=lambda how: type(how).__name__,
    )
    def test_a_caller_that_is_interrupted(self, how: BaseException) -> None:
        def interrupted() -> BaseException:
            try:
                channel.connect("target", 80, 3600)
            except BaseException as error:  # noqa: BLE001 - whatever it is
                return error
            raise AssertionError("it was not interrupted")

        with Peer("ours", client=False) as peer:
            channel = peer.link.open()
            Slow(channel)
            connecting = gevent.spawn(interrupted)
            peer.expect(m.Connect)
            connecting.kill(how)
            assert connecting.get() is how
            assert "was stopped" in peer.expect(m.Disconnect).error

    def test_a_link_that_is_lost_meanwhile(self) -> None:
        with Peer("ours", client=False) as peer:
            channel = peer.link.open()
            Slow(channel)
            dialling = gevent.spawn(channel.connect, "target", 80, PATIENCE)
            peer.expect(m.Connect)
            peer.socket.close()
            with pytest.raises(DialError, match="the link was lost"):
                dialling.get()

    def test_data_before_the_answer_is_kept(self) -> None:
        with Peer("ours", client=False) as peer:
            channel = peer.link.open()
            sink = Slow(channel)
            dialling = gevent.spawn(channel.connect, "target", 80, PATIENCE)
            peer.expect(m.Connect)
            peer.send(m.Data(channel.id, b"220 hello"), m.ConnectResponse(True, channel.id))
            dialling.get()
            assert sink.data == b"220 hello"
            channel.abort("over")


def _refused_by(peer: Peer, answer: m.ConnectResponse | m.Disconnect) -> Cause:
    """The cause of the DialError after `answer`, whose channel is filled in."""
    channel = peer.link.open()
    Slow(channel)
    dialling = gevent.spawn(channel.connect, "target", 80, PATIENCE)
    peer.expect(m.Connect)
    if isinstance(answer, m.Disconnect):
        peer.send(m.Disconnect(channel.id, answer.error))
    else:
        peer.send(m.ConnectResponse(False, channel.id, answer.error, answer.cause))
    with pytest.raises(DialError) as caught:
        dialling.get()
    assert peer.link.channels == 0
    return caught.value.cause
