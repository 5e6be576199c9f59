"""The WebSocket on real sockets, against a peer played by hand: closing, pings, deadlines, floods, fairness."""

from __future__ import annotations

import contextlib
import itertools
import ssl as stdlib_ssl
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import gevent
import pytest
from gevent import socket, ssl

from linksocks.errors import FrameError, LinkClosed
from linksocks.net.ws import heartbeat
from linksocks.net.ws import websocket as module
from linksocks.net.ws.websocket import WebSocket
from tests.support.leaks import all_of
from tests.support.rawsocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    RawPeer,
    frame,
    turns,
)
from tests.support.rounds import rounds

SIDES = pytest.mark.parametrize("client", [True, False], ids=["client", "server"])


@contextmanager
def pair(*, client: bool = True, **options) -> Iterator[tuple[WebSocket, RawPeer]]:
    """Our WebSocket and its peer; ours is finished in the end, the peer gone first."""
    ours, theirs = socket.socketpair()
    websocket = WebSocket(ours, client=client, name="test", **options)
    try:
        yield websocket, RawPeer(theirs, masking=not client)
    finally:
        theirs.close()
        websocket.finish()


class Lines:
    """A source of `count` messages."""

    def __init__(self, message: bytes, count: int) -> None:
        self.queued = False
        self.message, self.count = message, count

    @property
    def pending(self) -> bool:
        return self.count > 0

    def take(self, limit: int) -> Sequence[bytes] | None:
        if not self.count:
            return None
        self.count -= 1
        return [self.message]


def ended(websocket: WebSocket) -> LinkClosed:
    """How it ends, from the reader's view."""
    try:
        while True:
            websocket.receive()
    except LinkClosed as error:
        return error


# Messages


@SIDES
def test_messages_both_ways(client):
    with pair(client=client) as (websocket, peer):
        peer.send(BINARY, b"one")
        peer.send(TEXT, b"two")  # PROTOCOL section 1.1: the opcode does not matter
        peer.send(BINARY, b"th", fin=False)
        peer.send(PING)
        peer.send(CONTINUATION, b"ree")
        assert [bytes(websocket.receive()) for _ in range(3)] == [b"one", b"two", b"three"]
        websocket.send(b"back")
        got = peer.read_until(BINARY)
        assert (got.payload, got.masked, got.fin) == (b"back", client, True)


def test_early_bytes_come_first():
    early = frame(BINARY, b"early", masked=True) + b"\x82"
    with pair(client=False, early=early) as (websocket, peer):
        peer.sock.sendall(frame(BINARY, b"late", masked=True)[1:])
        assert [bytes(websocket.receive()) for _ in range(2)] == [b"early", b"late"]


def test_no_delay_and_keep_alive_are_set():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
        websocket = WebSocket(ours, client=False, name="test")
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        theirs.close()
        websocket.finish()


# Closing


@SIDES
def test_the_peer_closes(client):
    with pair(client=client) as (websocket, peer):
        peer.close(1001, b"bye")
        error = ended(websocket)
        assert (error.code, error.reason) == (1001, "bye")
        websocket.finish()
        assert peer.read().code == 1001
        assert peer.at_end()


def test_a_close_without_a_code_is_answered():
    with pair() as (websocket, peer):
        peer.send(CLOSE)
        assert ended(websocket).code == 1005
        assert peer.read().code == 1000


@SIDES
def test_we_close(client):
    with pair(client=client) as (websocket, peer):
        websocket.send(b"last")
        websocket.close(1008, "invalid token")
        websocket.close(1000, "the first call counts")
        websocket.send(b"too late")
        assert peer.read().payload == b"last"
        got = peer.read()
        assert (got.code, got.payload[2:]) == (1008, b"invalid token")
        peer.send(BINARY, b"dropped")
        peer.close(1008)
        websocket.finish()
        assert peer.at_end()


def test_sources_get_no_turn_after_close():
    with pair() as (websocket, peer):
        websocket.close(1000)
        websocket.offer(Lines(b"x", 5))
        assert peer.read().opcode == CLOSE


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (frame(BINARY, b"x", masked=False, rsv=4), 1002),
        (frame(BINARY, b"x", masked=True), 1002),
        (frame(BINARY, b"", masked=False, length=1 << 30), 1009),
        (frame(CLOSE, b"\x00", masked=False), 1002),
        (frame(CLOSE, b"\x03\xed", masked=False), 1002),
        (frame(CLOSE, b"\x03\xe8\xff", masked=False), 1007),
    ],
    ids=itertools.count(),  # not by the bytes: the mask is random
)
def test_violations_are_answered_with_their_code(raw, code):
    with pair() as (websocket, peer):
        peer.sock.sendall(raw + b"and more that nobody reads" * 1000)
        with pytest.raises(FrameError) as caught:
            websocket.receive()
        assert caught.value.code == code
        finisher = gevent.spawn(websocket.finish)
        got = peer.read()  # not lost to a reset, though we did not read what came behind
        assert got.code == code
        peer.sock.close()
        finisher.get()


def test_the_peer_vanishes():
    with pair() as (websocket, peer):
        peer.sock.close()
        error = ended(websocket)
        assert (error.code, error.reason) == (1006, "the connection ended without a close frame")


def test_finish_is_bounded_when_the_peer_says_nothing(monkeypatch):
    monkeypatch.setattr(module, "CLOSE_WAIT", 0.05)
    with pair() as (websocket, peer):
        websocket.finish()
        assert peer.read().opcode == CLOSE
        assert peer.at_end()
        websocket.finish()  # once more does no harm


def test_finish_is_bounded_when_the_peer_floods_and_does_not_read(monkeypatch):
    monkeypatch.setattr(module, "CLOSE_WAIT", 0.05)
    with pair() as (websocket, peer):
        flood = gevent.spawn(_flood, peer, frame(BINARY, bytes(60_000), masked=False))
        websocket.finish()
        assert isinstance(flood.get(), OSError)


def test_finish_is_bounded_when_the_peer_never_reads(monkeypatch):
    monkeypatch.setattr(module, "CLOSE_WAIT", 0.05)
    with pair() as (websocket, _peer):
        websocket.offer(Lines(bytes(60_000), 1000))
        turns()
        websocket.finish()


def test_a_violation_and_a_flood_do_not_hold_up_the_hub(monkeypatch):
    monkeypatch.setattr(module, "CLOSE_WAIT", 0.05)
    with pair() as (websocket, peer):
        peer.send(3)
        flood = gevent.spawn(_flood, peer, bytes(60_000))
        with pytest.raises(FrameError):
            websocket.receive()
        websocket.finish()
        assert isinstance(flood.get(), OSError)


def test_close_is_bounded_for_a_reader_that_goes_on(monkeypatch):
    """Who calls close() is not the owner, whose receive() must come back when the peer does not answer."""
    monkeypatch.setattr(module, "CLOSE_WAIT", 0.05)
    with pair() as (websocket, peer):
        flood = gevent.spawn(_flood, peer, frame(BINARY, bytes(60_000), masked=False))
        websocket.close(1001)
        error = ended(websocket)
        assert (error.code, "did not agree to close" in error.reason) == (1006, True)
        websocket.finish()
        assert isinstance(flood.get(), OSError)


def test_a_killed_owner_leaves_nothing(monkeypatch):
    monkeypatch.setattr(module, "CLOSE_WAIT", 60.0)
    with pair() as (websocket, peer):
        owner = gevent.spawn(websocket.finish)
        assert peer.read().opcode == CLOSE
        owner.kill()
        assert peer.at_end()


def _flood(peer: RawPeer, raw: bytes) -> OSError:
    """Sends until it fails."""
    try:
        while True:
            peer.sock.sendall(raw)
    except OSError as error:
        return error


# Pings


@SIDES
def test_pings_are_answered(client):
    with pair(client=client) as (websocket, peer):
        reader = gevent.spawn(ended, websocket)
        peer.send(PING, b"payload")
        got = peer.read()
        assert (got.opcode, got.payload, got.masked) == (PONG, b"payload", client)
        peer.close()
        reader.get()


def test_pongs_are_dropped():
    with pair() as (websocket, peer):
        peer.send(PONG, b"unasked")
        peer.send(BINARY, b"message")
        assert websocket.receive() == b"message"


def test_we_ping(monkeypatch):
    monkeypatch.setattr(heartbeat, "PING_INTERVAL", 0.01)
    with pair() as (_websocket, peer):
        assert [peer.read().opcode for _ in range(3)] == [PING] * 3


def test_of_a_flood_of_pings_the_latest_is_answered():
    with pair() as (websocket, peer):
        peer.sock.sendall(b"".join(frame(PING, b"%d" % n, masked=False) for n in range(5000)))
        peer.close()
        ended(websocket)
        websocket.finish()
        answers = []
        while (got := peer.read()).opcode != CLOSE:
            answers.append(got)
        assert {got.opcode for got in answers} == {PONG}
        assert answers[-1].payload == b"4999"
        assert len(answers) < 200  # two in a turn


# How far away it is


@SIDES
def test_who_is_welcome_is_asked_how_far_away_it_is(client):
    with pair(client=client, stranger=True) as (websocket, peer):
        reader = gevent.spawn(ended, websocket)
        websocket.welcome(1000)
        ping = peer.read()
        assert ping.opcode == PING
        assert ping.payload
        assert websocket.rtt is None
        peer.send(PONG, b"")  # unasked, or of an older ping
        peer.send(PONG, bytes(ping.payload))
        peer.close()
        reader.get()
        assert 0 <= websocket.rtt < PATIENCE


def test_each_ping_has_its_own_pong(monkeypatch):
    monkeypatch.setattr(heartbeat, "PING_INTERVAL", 0.01)
    with pair() as (websocket, peer):
        first, second = peer.read(), peer.read()
        assert first.payload != second.payload
        peer.send(PONG, bytes(first.payload))  # it might be as late as it likes
        peer.send(BINARY, b"after")
        assert websocket.receive() == b"after"
        assert websocket.rtt is None


def test_a_peer_that_never_pongs_is_nowhere(monkeypatch):
    monkeypatch.setattr(heartbeat, "PING_INTERVAL", 0.01)
    with pair() as (websocket, peer):
        websocket.welcome(1000)
        for _ in range(3):
            assert peer.read().opcode == PING
            peer.send(PONG)
        peer.send(BINARY, b"message")
        assert websocket.receive() == b"message"
        assert websocket.rtt is None


# Asked whether it is there


def test_a_peer_that_was_heard_lately_is_responsive_without_a_ping():
    with pair() as (websocket, peer):
        peer.send(BINARY, b"heard")
        websocket.receive()
        assert websocket.responsive(0)
        websocket.close(1000)
        assert peer.read().opcode == CLOSE


@pytest.mark.parametrize("said", [frame(PONG, masked=False), b"\x82"], ids=["pong", "any byte"])
def test_all_who_ask_share_a_ping(said):
    with pair() as (websocket, peer):
        reader = gevent.spawn(ended, websocket)
        asking = [gevent.spawn(websocket.responsive, PATIENCE) for _ in range(3)]
        assert peer.read().opcode == PING
        peer.sock.sendall(said)
        assert [asker.get() for asker in asking] == [True] * 3
        websocket.close(1000)
        assert peer.read().opcode == CLOSE
        peer.sock.close()
        reader.join()


def test_a_peer_that_takes_nothing_is_not_responsive_whatever_it_says():
    with pair() as (websocket, peer):
        reader = gevent.spawn(websocket.receive)
        peer.send(BINARY, b"here")
        assert reader.get() == b"here"
        assert websocket.responsive(0)
        for _ in range(100):  # more than the kernel holds
            websocket.send(bytes(60_000))
        assert not websocket.responsive(0)
        while not websocket.responsive(0):
            peer.read()


def test_a_silent_peer_is_not_responsive(monkeypatch):
    monkeypatch.setattr(heartbeat, "PING_INTERVAL", 0.05)  # what was heard before the last beat is forgotten
    with pair() as (websocket, peer):
        peer.send(BINARY, b"heard")
        websocket.receive()
        gevent.sleep(0.05)
        assert not websocket.responsive(0.01)


@pytest.mark.parametrize("end", ["closed by us", "closed by the peer", "lost"])
def test_nobody_waits_for_a_peer_that_is_gone(end):
    with pair() as (websocket, peer):
        asking = gevent.spawn(websocket.responsive, 3600)
        assert peer.read().opcode == PING
        if end == "closed by us":
            websocket.close(1000)
        if end == "lost":
            peer.sock.close()
        else:
            peer.close()
        ended(websocket)
        websocket.finish()
        assert not asking.get(timeout=PATIENCE)
        assert not websocket.responsive(3600)


# Deadlines


def test_silence_is_death(monkeypatch):
    monkeypatch.setattr(heartbeat, "SILENCE", 0.05)
    with pair() as (websocket, _peer):
        error = ended(websocket)
        assert (error.code, error.reason) == (1006, "nothing received for 0.05 s")


def test_any_byte_is_life(monkeypatch):
    """A pong, or a part of a message, will do: LinkSocks (Go) takes neither for life."""
    monkeypatch.setattr(heartbeat, "SILENCE", 0.2)
    with pair() as (websocket, peer):
        reader = gevent.spawn(ended, websocket)
        raw = frame(BINARY, bytes(20), masked=False)
        for byte in raw:  # half a second in all
            assert not reader.ready()
            peer.sock.sendall(bytes([byte]))
            gevent.sleep(0.02)
        peer.close()
        assert reader.get().code == 1000


def test_a_peer_that_takes_nothing_is_dead(monkeypatch):
    monkeypatch.setattr(heartbeat, "SILENCE", 0.2)
    with pair() as (websocket, peer):
        life = gevent.spawn(_trickle, peer)  # so that it is not the silence
        websocket.offer(Lines(bytes(60_000), 1000))
        error = ended(websocket)
        assert (error.code, error.reason) == (1006, "nothing taken for 0.2 s")
        life.kill()


def _trickle(peer: RawPeer) -> None:
    """Signs of life, until the socket ends."""
    with contextlib.suppress(OSError):
        while True:
            peer.send(PONG)
            gevent.sleep(0.01)


def test_a_reader_that_is_held_up_does_not_make_the_peer_dead(monkeypatch):
    """A full channel of a peer without flow control holds it up for 10 s, and there may be many in a row."""
    monkeypatch.setattr(heartbeat, "SILENCE", 0.05)
    with pair() as (websocket, peer):
        peer.send(BINARY, b"one")
        peer.send(BINARY, b"two")
        assert websocket.receive() == b"one"
        gevent.sleep(0.2)
        peer.send(BINARY, b"three")
        assert [bytes(websocket.receive()) for _ in range(2)] == [b"two", b"three"]


def test_a_slow_peer_is_not_dead(monkeypatch):
    monkeypatch.setattr(heartbeat, "SILENCE", 0.2)
    with pair() as (websocket, peer):
        life = gevent.spawn(_trickle, peer)
        reader = gevent.spawn(ended, websocket)
        websocket.offer(Lines(bytes(60_000), 20))
        for _ in range(20):
            assert len(peer.read_until(BINARY).payload) == 60_000
            gevent.sleep(0.02)
        assert not reader.ready()
        life.kill()
        peer.close()
        reader.get()


# Memory


def test_requests_of_a_peer_that_does_not_read_make_no_backlog():
    """Each request is answered by a control message; above the bound nothing more is read."""
    with pair() as (websocket, peer):
        reader = gevent.spawn(_answer_all, websocket)
        flood = gevent.spawn(_flood, peer, frame(BINARY, b"?", masked=False) * 100)
        tracemalloc.start()
        try:
            gevent.sleep(0.5)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert not flood.ready(), "the flood has ended: nothing was held up"
        assert most < 8 << 20
        peer.sock.close()
        reader.get()
        assert isinstance(flood.get(), OSError)


def _answer_all(websocket: WebSocket) -> LinkClosed:
    try:
        while True:
            websocket.receive()
            websocket.send(bytes(300))
    except LinkClosed as error:
        return error


def test_a_held_up_reader_goes_on_when_the_peer_reads():
    with pair() as (websocket, peer):
        reader = gevent.spawn(_answer_all, websocket)
        count = 20_000  # 6 MB of answers
        flood = gevent.spawn(peer.sock.sendall, frame(BINARY, b"?", masked=False) * count)
        for _ in range(count):
            assert len(peer.read().payload) == 300
        flood.get()
        peer.close()
        reader.get()


# Who is served when


def test_sources_take_turns():
    with pair() as (websocket, peer):
        for name in (b"a", b"b", b"c"):
            websocket.offer(Lines(name * 128 * 1024, 50))
        order = [peer.read_until(BINARY).payload[:1] for _ in range(150)]
        for place in range(0, 150, 3):
            assert sorted(order[place : place + 3]) == [b"a", b"b", b"c"], f"at {place}"


def test_a_turn_has_as_many_small_messages_as_large_ones_have_bytes():
    with pair() as (websocket, peer):
        websocket.offer(Lines(b"l" * 128 * 1024, 50))
        websocket.offer(Lines(b"s" * 1024, 5000))
        order = b"".join(peer.read_until(BINARY).payload[:1] for _ in range(2000))
        runs = [len(run) for run in order.split(b"l")[2:-1]]  # the first has nobody to take turns with
        assert set(runs) == {128}


def test_control_overtakes_data():
    with pair() as (websocket, peer):
        bulk = Lines(bytes(60_000), 1000)
        websocket.offer(bulk)
        turns()
        sent = 1000 - bulk.count
        assert sent < 20, "more was taken than the kernel's buffer and one batch hold"
        websocket.send(b"control")
        before = 0
        while peer.read().payload != b"control":
            before += 1
        assert before <= sent + 2, "more went first than was on its way"


def test_a_source_is_asked_until_it_has_nothing():
    with pair() as (websocket, peer):
        source = Lines(b"x", 3)
        websocket.offer(source)
        assert [peer.read().payload for _ in range(3)] == [b"x"] * 3
        turns()
        assert not source.queued
        source.count = 1
        websocket.offer(source)
        assert peer.read().payload == b"x"


def test_frames_of_many_greenlets_never_mix():
    with pair() as (websocket, peer):
        sources = [Lines(bytes([n]) * 50_000, 30) for n in range(10)]
        for source in sources:
            websocket.offer(source)
        senders = [gevent.spawn(_send_many, websocket, bytes([100 + n]) * 5000, 30) for n in range(10)]
        for _ in range(600):
            payload = peer.read().payload
            assert payload in (payload[:1] * 50_000, payload[:1] * 5000)
        gevent.joinall(senders, raise_error=True)


def _send_many(websocket: WebSocket, message: bytes, count: int) -> None:
    for _ in range(count):
        websocket.send(message)
        gevent.sleep(0)


class Telltale(Lines):
    """A source that sends a control message whenever it is asked."""

    def __init__(self, websocket: WebSocket, count: int) -> None:
        super().__init__(b"", count)
        self._websocket = websocket

    def take(self, limit: int) -> Sequence[bytes] | None:
        if not self.count:
            return None
        self._websocket.send(b"control")
        self.message = b"data %05d" % self.count
        return super().take(limit)


def test_a_source_that_sends_when_asked_keeps_its_order():
    with pair() as (websocket, peer):
        for _ in range(50):
            websocket.offer(Telltale(websocket, 5))
            websocket.send(b"control")
            turns(1)
        got = [peer.read().payload for _ in range(50 * 11)]
        data = [payload for payload in got if payload.startswith(b"data")]
        assert data == [b"data %05d" % n for _ in range(50) for n in range(5, 0, -1)]


def test_a_busy_reader_lets_others_run():
    with pair() as (websocket, peer):
        raw = frame(BINARY, bytes(60_000), masked=False)
        flood = gevent.spawn(_flood, peer, raw)
        reader = gevent.spawn(ended, websocket)
        gevent.sleep(0.05)  # comes back at all
        assert not reader.ready()
        peer.sock.close()
        reader.get()
        flood.get()


class AlwaysReady:
    """A socket that always has more: reading it never waits."""

    def recv_into(self, buffer: memoryview) -> int:
        ping = frame(PING, bytes(122), masked=False)
        count = len(buffer) // len(ping)
        buffer[: count * len(ping)] = ping * count
        return count * len(ping)


def test_reading_without_a_wait_lets_others_run(monkeypatch):
    with pair() as (websocket, _peer), monkeypatch.context() as patch:
        patch.setattr(websocket, "_sock", AlwaysReady())
        reader = gevent.spawn(ended, websocket)
        gevent.sleep(0.01)
        assert not reader.ready(), "it had to be stopped from outside"
        reader.kill()


SMALL = {
    "ping": (b"", frame(PING, masked=True)),
    "pong": (b"", frame(PONG, masked=True)),
    "message": (b"", frame(BINARY, masked=True)),
    "fragment": (frame(BINARY, masked=True, fin=False), frame(CONTINUATION, masked=True, fin=False)),
}


@pytest.mark.parametrize(("first", "raw"), SMALL.values(), ids=SMALL)
@pytest.mark.parametrize("we_close", [False, True])
def test_small_frames_let_io_run(first, raw, we_close):
    """One read may bring thousands."""
    early = first + raw * 4096 + frame(CLOSE, masked=True)
    with pair(client=False, early=early) as (websocket, _peer), rounds() as passed:
        if we_close:
            websocket.close(1000)
        ended(websocket)
        assert passed.count >= 4096 // 64


def test_a_charge_takes_a_turn():
    early = frame(BINARY, masked=True) * 10 + frame(CLOSE, masked=True)
    with pair(client=False, early=early) as (websocket, _peer), rounds() as passed:
        for _ in range(10):
            websocket.receive()
            websocket.charge(64 * 1024)
        ended(websocket)
        assert passed.count >= 10


# Strangers


@pytest.mark.parametrize("kind", ["ping", "pong", "fragment"])
def test_a_stranger_has_few_frames_that_are_no_message(kind):
    first, raw = SMALL[kind]
    with pair(client=False, stranger=True) as (websocket, peer):
        asides = [first or raw] + [raw] * 15
        peer.sock.sendall(b"".join(asides) + frame(CONTINUATION if first else BINARY, b"hello", masked=True))
        assert bytes(websocket.receive()) == b"hello"
        peer.sock.sendall(first or raw)
        with pytest.raises(FrameError, match="no message"):
            websocket.receive()
        assert peer.read_until(CLOSE).code == 1008


def test_a_stranger_has_short_messages():
    with pair(client=False, stranger=True) as (websocket, peer):
        peer.send(BINARY, bytes(module.MAX_LOGIN_MESSAGE))
        assert len(websocket.receive()) == module.MAX_LOGIN_MESSAGE
        peer.send(BINARY, bytes(module.MAX_LOGIN_MESSAGE + 1))
        with pytest.raises(FrameError, match="a message of more"):
            websocket.receive()


def test_who_is_welcome_is_no_stranger():
    with pair(client=False, stranger=True) as (websocket, peer):
        websocket.welcome(100_000)
        peer.sock.sendall(frame(PING, masked=True) * 100)
        peer.send(BINARY, bytes(100_000))
        assert len(websocket.receive()) == 100_000


# TLS


@contextmanager
def tls_pair(authority) -> Iterator[tuple[WebSocket, RawPeer]]:
    """Our WebSocket is the client's end."""
    client = ssl.SSLContext(stdlib_ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    context = ssl.SSLContext(stdlib_ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("test.example").configure_cert(context)
    a, b = socket.socketpair()
    other = gevent.spawn(context.wrap_socket, b, server_side=True)
    ours = client.wrap_socket(a, server_hostname="test.example")
    theirs = other.get()
    websocket = WebSocket(ours, client=True, name="test")
    try:
        yield websocket, RawPeer(theirs, masking=False)
    finally:
        theirs.close()
        websocket.finish()


def test_tls_reads_and_writes_at_once(authority):
    size, count = 60_000, 100
    with tls_pair(authority) as (websocket, peer):
        up = gevent.spawn(_read_all, peer, size, count)
        down = gevent.spawn(_send_all, peer, size, count)
        websocket.offer(Lines(b"u" * size, count))
        for _ in range(count):
            assert websocket.receive() == b"d" * size
        down.get()
        up.get()


def _read_all(peer: RawPeer, size: int, count: int) -> None:
    for _ in range(count):
        assert peer.read_until(BINARY).payload == b"u" * size


def _send_all(peer: RawPeer, size: int, count: int) -> None:
    for _ in range(count):
        peer.send(BINARY, b"d" * size)


def test_tls_closing_handshake(authority):
    with tls_pair(authority) as (websocket, peer):
        websocket.send(b"last")
        websocket.close(1001)
        assert peer.read().payload == b"last"
        assert peer.read().code == 1001
        peer.close(1001)
        websocket.finish()


def test_tls_silence_is_death(authority, monkeypatch):
    monkeypatch.setattr(heartbeat, "SILENCE", 0.05)
    with tls_pair(authority) as (websocket, _peer):
        assert ended(websocket).reason == "nothing received for 0.05 s"


def test_tls_peer_that_takes_nothing_is_dead(authority, monkeypatch):
    monkeypatch.setattr(heartbeat, "SILENCE", 0.2)
    with tls_pair(authority) as (websocket, peer):
        life = gevent.spawn(_trickle, peer)
        websocket.offer(Lines(bytes(60_000), 1000))
        assert ended(websocket).reason == "nothing taken for 0.2 s"
        life.kill()


def test_tls_counts_what_is_taken_of_a_batch(authority):
    """OpenSSL says nothing before it has passed on all that it was given, and who takes it slowly is not dead."""
    with tls_pair(authority) as (websocket, peer):
        websocket.offer(Lines(bytes(1_000_000), 1))
        while not websocket._writer.written:  # bounded by the fixture
            gevent.sleep(0.001)
        assert websocket._writer.written < 1_000_000
        assert peer.read().payload == bytes(1_000_000)


def test_tls_violation_is_answered(authority):
    with tls_pair(authority) as (websocket, peer):
        peer.send(3)
        with pytest.raises(FrameError):
            websocket.receive()
        finisher = gevent.spawn(websocket.finish)
        assert peer.read().code == 1002
        peer.sock.close()
        finisher.get()


# Nothing is left


def test_nothing_holds_a_finished_websocket():
    others = all_of(WebSocket)
    for _ in range(20):
        with pair() as (websocket, peer):
            websocket.offer(Lines(b"x", 3))
            peer.close()
            ended(websocket)
    del websocket, peer
    assert not all_of(WebSocket) - others
