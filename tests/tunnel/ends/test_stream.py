"""A channel as a stream to read from, against a peer played by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest

from linksocks.errors import ChannelError
from linksocks.tunnel.channels.channel import Channel
from linksocks.tunnel.ends import stream as streams
from linksocks.tunnel.ends.stream import Stream
from linksocks.wire import messages as m
from tests.support.tunnels import KINDS, PATIENCE, Peer

WINDOW = 64 * 1024

both_kinds = pytest.mark.parametrize("kind", KINDS)


@contextmanager
def connected(kind: str = "ours") -> Iterator[tuple[Peer, Channel, Stream]]:
    with Peer(kind, client=False, max_window=WINDOW) as peer:
        channel = peer.link.open()
        stream = Stream(channel)
        connecting = gevent.spawn(channel.connect, "target", 80, PATIENCE)
        peer.expect(m.Connect)
        peer.send(m.ConnectResponse(True, channel.id))
        connecting.get()
        yield peer, channel, stream


@both_kinds
def test_bytes_come_in_order_and_then_the_end(kind: str) -> None:
    with connected(kind) as (peer, channel, stream):
        peer.send(m.Data(channel.id, b"abc"), m.Data(channel.id, b"de"), m.Disconnect(channel.id))
        got = b""
        while data := stream.read():
            got += data
        assert got == b"abcde"
        assert stream.read() == b""


def test_what_was_read_is_consumed_with_the_next_read() -> None:
    with connected() as (peer, channel, stream):
        peer.send(m.Data(channel.id, bytes(WINDOW)))
        assert peer.fence() == []
        assert len(stream.read()) == WINDOW
        assert peer.fence() == []
        peer.send(m.EndOfStream(channel.id))
        assert stream.read() == b""
        stream.close()
        assert [type(message) for message in peer.fence()] == [m.Consumed, m.EndOfStream]


@both_kinds
def test_a_reset_drops_what_waits(kind: str) -> None:
    with connected(kind) as (peer, channel, stream):
        peer.send(m.Data(channel.id, b"abc"), m.Disconnect(channel.id, "reset by peer"))
        peer.fence()
        with pytest.raises(ChannelError, match="reset by peer"):
            stream.read()


def test_an_end_of_our_making_is_no_end() -> None:
    """Without half-close, to finish ends both directions."""
    with connected("foreign") as (peer, channel, stream):
        peer.send(m.Data(channel.id, b"abc"))
        assert stream.read() == b"abc"
        channel.finish()
        peer.expect(m.Disconnect)
        with pytest.raises(ChannelError, match="nobody knows"):
            stream.read()


def test_a_stalled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STALLED", 0.05)
    with connected() as (_, channel, stream):
        with pytest.raises(TimeoutError):
            stream.read()
        channel.abort("enough")


@both_kinds
def test_nothing_is_kept_of_what_comes_after_the_close(kind: str) -> None:
    with connected(kind) as (peer, channel, stream):
        stream.close()
        ended = peer.next()
        assert isinstance(ended, m.EndOfStream if kind == "ours" else m.Disconnect)
        peer.send(m.Data(channel.id, b"more"))
        said = peer.fence()
        assert [type(message) for message in said] == ([m.Disconnect] if kind == "ours" else [])


def test_a_peer_that_does_not_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LINGER", 0.05)
    with connected() as (peer, _, stream):
        stream.close()
        peer.expect(m.EndOfStream)
        assert peer.expect(m.Disconnect).error
