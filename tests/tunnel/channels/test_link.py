"""What a link does with each message, and how it ends."""

import gzip
import logging

import gevent
import pytest

from linksocks.errors import DialError, LinkClosed
from linksocks.tunnel.channels import idle as idles
from linksocks.tunnel.channels import limits
from linksocks.tunnel.channels.channel import Channel
from linksocks.tunnel.channels.datagrams import DatagramChannel
from linksocks.wire import messages as m
from linksocks.wire.codec import MAX_MESSAGE, pack
from linksocks.wire.frames import CloseCode
from linksocks.wire.mask import Buffer
from tests.support.rounds import rounds
from tests.support.tunnels import KINDS, PATIENCE, Peer
from tests.tunnel.channels.test_channel import Slow, connected

A, B = b"a" * 16, b"b" * 16


class Eager(Slow):
    """Consumes at once."""

    def deliver(self, payload: Buffer) -> None:
        super().deliver(payload)
        self.consume()


class Taken:
    """An acceptor that takes every channel."""

    def __init__(self, sink: type[Slow] = Slow) -> None:
        self.sink = sink
        self.sinks: list[Slow] = []

    def accept(self, channel: Channel, connect: m.Connect) -> None:
        self.sinks.append(self.sink(channel))

    def accept_datagrams(self, channel: DatagramChannel, connect: m.Connect) -> None:
        raise AssertionError("nobody asked for UDP")


@pytest.mark.parametrize("client", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_messages_that_mean_nothing_here_are_ignored(kind: str, client: bool) -> None:
    strange = [
        m.Unknown(0x99, b"from the future"),
        m.Unknown(0x7F, b""),
        m.Auth("token", False, bytes(16)),
        m.AuthResponse(True),
        m.Partners(3),
        m.ChannelDataAck(A, 7),
        m.Data(A, b"of nobody"),
        m.Consumed(A, 1 << 60, 1 << 20),
        m.EndOfStream(A),
        m.Disconnect(A),
        m.ConnectResponse(True, A),
        m.ConnectResponse(False, A, "no"),
    ]
    with Peer(kind, client=client) as peer:
        peer.send(*strange)
        assert peer.fence() == []


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x01", b"\x11\x04", b"\x01\x04\x01", b"\x01\x41" + A, b"\x01\x42abc", b"\x01\x05\x00" + A],
    ids=["empty", "header", "version", "data", "consumed", "end", "refusal"],
)
def test_a_malformed_message_ends_the_link(raw: bytes) -> None:
    with Peer("ours", client=False) as peer:
        _, sink = connected(peer)
        peer.send_raw(raw)
        closed = peer.closed()
        assert closed.code == 1002
        assert closed.reason
        assert sink.end() == "reset: the link was lost"


def test_a_link_speaks_the_version_of_its_peer() -> None:
    """0x01 until the peer has spoken; a client that logs in by its URL speaks for the first time here."""
    with Peer("foreign", client=True) as peer:
        peer.send_raw(pack(m.Connect(A, resume=True), version=0x02))
        assert bytes(peer.next_raw())[:2] == b"\x02\x06"


def test_a_log_message_is_logged_as_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with Peer("ours", client=False) as peer, caplog.at_level(logging.INFO, "linksocks"):
        peer.send(m.Log("warn", "hello\nERROR forged"), m.Log("strange", "x"), m.Log("debug", "y"))
        peer.fence()
    assert [record.getMessage() for record in caplog.records] == [
        r"peer says: 'hello\nERROR forged'",
        "peer says: 'x'",
    ]


def test_lines_beyond_what_is_logged_are_not_even_parsed(caplog: pytest.LogCaptureFixture) -> None:
    with Peer("ours", client=False) as peer, caplog.at_level(logging.INFO, "linksocks"):
        peer.send(*[m.Log("info", "x")] * 20)
        peer.send_raw(bytes((1, m.Log.type)) + b"malformed")
        peer.fence()
    assert len(caplog.records) == 20


def test_a_side_that_does_not_dial_refuses() -> None:
    with Peer("ours", client=False) as peer:
        peer.send(m.Connect(A, "127.0.0.1", 80))
        answer = peer.expect(m.ConnectResponse)
        assert (answer.success, answer.channel, answer.cause) == (False, A, 2)


def test_a_side_that_does_not_dial_refuses_udp_too() -> None:
    with Peer("ours", client=False) as peer:
        peer.send(m.Connect(A, transport=m.Transport.UDP))
        answer = peer.expect(m.ConnectResponse)
        assert (answer.success, answer.channel, answer.cause) == (False, A, 2)
        assert peer.link.channels == 0


def test_an_unknown_transport_is_refused() -> None:
    with Peer("ours", client=True, acceptor=Taken()) as peer:
        peer.send_raw(b"\x01\x03\x09" + A)
        assert not peer.expect(m.ConnectResponse).success


def test_one_id_opened_twice_ends_the_link() -> None:
    taken = Taken()
    with Peer("ours", client=True, acceptor=taken) as peer:
        peer.send(m.Connect(A, "127.0.0.1", 80), m.Connect(A, "127.0.0.1", 80))
        assert peer.closed().code == 1002
        assert [sink.end() for sink in taken.sinks] == ["reset: the link was lost"]


class TestCompressed:
    def test_it_may_not_grow_beyond_what_a_message_may_have(self) -> None:
        with Peer("ours", client=True, acceptor=Taken()) as peer:
            most = peer.link.terms.max_message
            assert most < MAX_MESSAGE
            peer.send(m.Connect(A, "127.0.0.1", 80))
            peer.send_raw(compressed(A, bytes(most + 1)))
            with pytest.raises(LinkClosed, match=f"gzip data of more than {most} bytes"):
                peer.next()

    def test_a_flood_of_it_lets_io_run(self) -> None:
        with Peer("foreign", client=True, acceptor=Taken(Eager)) as peer, rounds() as passed:
            peer.send(m.Connect(A, "127.0.0.1", 80))
            for _ in range(40):  # as they come, they are no turn together
                peer.send_raw(compressed(A, bytes(64 * 1024)))
            peer.fence()
            assert passed.count >= 40
            peer.send(m.Disconnect(A))
            peer.fence()


def compressed(channel: bytes, plain: bytes) -> bytes:
    """A Data message as only others send it."""
    body = gzip.compress(plain)
    return bytes((1, m.Data.type, m.Transport.TCP)) + channel + b"\1" + len(body).to_bytes(4) + body


class TestLeaving:
    def test_a_peer_that_leaves_takes_no_more_channels_and_keeps_those_it_has(self) -> None:
        taken = Taken()
        with Peer("ours", client=True, acceptor=taken) as peer:
            peer.send(m.Connect(A, "127.0.0.1", 80))
            peer.fence()
            assert peer.link.takes_channels
            peer.send(m.Leaving())
            peer.fence()
            assert not peer.link.takes_channels
            assert peer.link.alive
            peer.send(m.Data(A, b"more"), m.Disconnect(A))
            peer.fence()
            assert taken.sinks[0].end() != "reset: the link was lost"

    @pytest.mark.parametrize(("kind", "told"), [("ours", [m.Leaving()]), ("foreign", [])])
    def test_only_who_understands_it_is_told(self, kind: str, told: list[m.Message]) -> None:
        with Peer(kind, client=True) as peer:
            peer.link.leave()
            assert peer.fence() == told


class TestResume:
    def test_an_unknown_channel_has_expired(self) -> None:
        taken = Taken()
        with Peer("foreign", client=True, acceptor=taken) as peer:
            peer.send(m.Connect(A, "127.0.0.1", 80, resume=True))
            assert peer.expect(m.Disconnect) == m.Disconnect(A, "channel expired")
            assert not taken.sinks

    def test_a_known_channel_ends_here_too(self) -> None:
        """The peer forgets it with our answer, so nobody else would ever close it."""
        taken = Taken()
        with Peer("foreign", client=True, acceptor=taken) as peer:
            peer.send(m.Connect(A, "127.0.0.1", 80), m.Connect(A, "127.0.0.1", 80, resume=True))
            assert peer.expect(m.Disconnect) == m.Disconnect(A, "channel expired")
            assert [sink.end() for sink in taken.sinks] == ["reset: channel expired"]


def test_an_id_may_be_used_again_and_the_late_end_of_its_first_user_does_not_matter() -> None:
    taken = Taken()
    with Peer("ours", client=True, acceptor=taken) as peer:
        peer.send(m.Connect(A, "127.0.0.1", 80), m.Disconnect(A), m.Connect(A, "127.0.0.1", 80))
        peer.fence()
        first, second = taken.sinks
        peer.link.forget(first.channel)
        peer.send(m.Data(A, b"for the second"), m.Disconnect(A))
        assert second.end() == "CLOSED"
        assert (first.data, second.data) == (b"", b"for the second")


def test_channels_end_with_their_link_and_no_new_ones_begin() -> None:
    with Peer("ours", client=False) as peer:
        sinks = [connected(peer)[1] for _ in range(3)]
        assert peer.link.channels == 3
        assert not peer.link.drained(0)
        peer.socket.close()
        assert [sink.end() for sink in sinks] == ["reset: the link was lost"] * 3
        assert peer.link.drained(PATIENCE)
        with pytest.raises(DialError, match="the link was lost"):
            peer.link.open()


def test_a_link_tells_whether_its_peer_is_there() -> None:
    with Peer("ours", client=True) as peer:
        peer.fence()
        assert peer.link.responsive(0)
        peer.link.close(CloseCode.NORMAL)
        assert not peer.link.responsive(0)


def test_channels_are_served_in_turn() -> None:
    """One that has much to say does not keep another waiting for more than a message."""
    with Peer("foreign", client=False) as peer:
        bulk, _ = connected(peer)
        small, _ = connected(peer)
        flood = gevent.spawn(_flood, bulk)
        for _ in range(20):
            peer.expect_data(bulk.id, 64 * 1024)
        small.send(b"!")
        behind = 0
        while (message := peer.expect(m.Data)).channel == bulk.id:
            behind += len(message.payload)
        assert behind <= 1 << 20  # what was in the socket's buffers already
        flood.kill()
        bulk.abort("over")
        small.abort("over")
        peer.fence()


def _flood(channel: Channel) -> None:
    while True:
        channel.send(bytes(64 * 1024))


class TestIdleChannels:
    def test_an_idle_channel_is_closed_and_a_busy_one_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(idles, "_LOOK", 0.02)
        monkeypatch.setattr(limits, "CHANNEL_IDLE", 0.05)
        with Peer("ours", client=False) as peer:
            _, idle_sink = connected(peer)
            busy, busy_sink = connected(peer)
            while not idle_sink.ends:
                peer.send_raw(pack(m.Data(busy.id, b".")))
                gevent.sleep(0.002)
            assert idle_sink.end() == "reset: idle for too long"
            assert peer.expect(m.Disconnect).error == "idle for too long"
            assert busy_sink.ends == []
            busy.abort("over")

    def test_half_a_channel_has_less_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(idles, "_LOOK", 0.02)
        monkeypatch.setattr(idles, "HALF_ENDED_IDLE", 0.05)
        with Peer("ours", client=False) as peer:
            channel, sink = connected(peer)
            channel.finish()
            peer.expect(m.EndOfStream)
            assert sink.end() == "reset: idle for too long"
