"""Both ends of a tunnel joined: how streams run through it, and how each kind of end gets to the other side."""

import contextlib
import tracemalloc
from unittest.mock import Mock

import gevent
import pytest
from gevent import socket

from linksocks.tunnel.channels import patience
from linksocks.tunnel.channels.channel import End
from linksocks.tunnel.ends import relay
from linksocks.tunnel.ends.callers import Callers
from tests.support import socks
from tests.support.tunnels import KINDS, PATIENCE, Target, Tunnel, pour, read_to_end, refuse_an_upload, reset

NEVER = 3600.0

both_kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def no_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No end in these tests may come from a timer, unless the test says so."""
    monkeypatch.setattr(relay, "LINGER", NEVER)
    monkeypatch.setattr(relay, "UNANSWERED", NEVER)


class TestStreams:
    @both_kinds
    def test_bytes_go_both_ways(self, kind: str) -> None:
        with Target() as target, Tunnel(kind) as tunnel:
            app, conn = tunnel.join(target)
            app.sendall(b"ping")
            assert socks.read_exactly(conn, 4) == b"ping"
            conn.sendall(b"pong")
            assert socks.read_exactly(app, 4) == b"pong"
            conn.close()
            assert read_to_end(app) == (b"", True)
            app.close()

    @both_kinds
    def test_early_data_comes_first(self, kind: str) -> None:
        """What an application glues to its request, RFC 1928 does not forbid it, is the start of the stream."""
        with Target() as target, Tunnel(kind) as tunnel:
            app = socket.create_connection(("127.0.0.1", tunnel.inbound.port), PATIENCE)
            request = b"\x05\x01\x00\x01\x7f\x00\x00\x01" + target.port.to_bytes(2)
            app.sendall(b"\x05\x01\x00" + request + b"early")
            conn = target.accept()
            assert socks.read_exactly(app, 2) == b"\x05\x00"
            assert socks.read_reply(app) == socks.SUCCEEDED
            app.sendall(b" and late")
            assert socks.read_exactly(conn, 14) == b"early and late"
            conn.close()
            app.close()

    @both_kinds
    def test_a_stalled_application_does_not_delay_others(self, kind: str) -> None:
        """Without flow control up to the bound; with it, always: the stalled target offers more than any bound."""
        with Target() as target, Tunnel(kind) as tunnel:
            stalled, source = tunnel.join(target)
            flood = gevent.spawn(pour, source, 64 * 1024 if kind == "foreign" else 1 << 30)
            app, conn = tunnel.join(target)
            for turn in range(50):
                app.sendall(b"%4d" % turn)
                assert socks.read_exactly(conn, 4) == b"%4d" % turn
                conn.sendall(b"%4d" % turn)
                assert socks.read_exactly(app, 4) == b"%4d" % turn
            app.close()
            conn.close()
            reset(stalled)
            flood.join()
            source.close()

    def test_a_backlog_of_single_bytes_is_little_memory(self) -> None:
        """The window counts bytes; a hostile peer must not make each of them cost sixty."""
        keeper = relay.Relay(Mock(), patient=False)
        tracemalloc.start()
        for _ in range(200_000):
            keeper.deliver(b"x")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1_000_000


class TestOrderlyEnds:
    @both_kinds
    def test_the_end_of_the_target_is_passed_on(self, kind: str) -> None:
        with Target() as target, Tunnel(kind) as tunnel:
            app, conn = tunnel.join(target)
            conn.sendall(b"all of it")
            conn.close()
            assert read_to_end(app) == (b"all of it", True)
            app.close()

    def test_the_end_of_the_application_is_passed_on(self) -> None:
        with Target() as target, Tunnel() as tunnel:
            app, conn = tunnel.join(target)
            app.sendall(b"all of it")
            app.close()
            assert read_to_end(conn) == (b"all of it", True)
            conn.close()

    def test_a_request_may_end_before_its_answer(self) -> None:
        with Target() as target, Tunnel() as tunnel:
            app, conn = tunnel.join(target)
            app.sendall(b"request")
            app.shutdown(socket.SHUT_WR)
            assert read_to_end(conn) == (b"request", True)
            conn.sendall(b"answer")
            conn.close()
            assert read_to_end(app) == (b"answer", True)
            app.close()

    def test_an_answer_may_end_before_its_request(self) -> None:
        with Target() as target, Tunnel() as tunnel:
            app, conn = tunnel.join(target)
            conn.sendall(b"answer")
            conn.shutdown(socket.SHUT_WR)
            assert read_to_end(app) == (b"answer", True)
            app.sendall(b"request")
            app.close()
            assert read_to_end(conn) == (b"request", True)
            conn.close()

    def test_a_foreign_peer_is_not_told_of_the_end_of_a_request_before_the_answer(self) -> None:
        with Target() as target, Tunnel("foreign") as tunnel:
            app, conn = tunnel.join(target)
            app.sendall(b"request")
            app.shutdown(socket.SHUT_WR)
            assert socks.read_exactly(conn, 7) == b"request"
            conn.sendall(b"answer")
            conn.close()
            assert read_to_end(app) == (b"answer", True)
            app.close()

    def test_a_foreign_peer_is_told_when_no_answer_comes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(relay, "UNANSWERED", 0.05)
        with Target() as target, Tunnel("foreign") as tunnel:
            app, conn = tunnel.join(target)
            app.sendall(b"request")
            app.close()
            assert read_to_end(conn) == (b"request", False)
            conn.close()

    def test_an_answer_that_begins_and_does_not_end_is_no_answer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """To end the stream in good order here would make a part look like the whole."""
        monkeypatch.setattr(relay, "UNANSWERED", 0.05)
        with Target() as target, Tunnel("foreign") as tunnel:
            app, conn = tunnel.join(target)
            app.sendall(b"request")
            assert socks.read_exactly(conn, 7) == b"request"
            conn.sendall(b"the first half of an ans")
            assert socks.read_exactly(app, 24) == b"the first half of an ans"
            app.shutdown(socket.SHUT_WR)
            assert read_to_end(app) == (b"", False)
            assert not read_to_end(conn)[1]
            app.close()
            conn.close()

    @both_kinds
    def test_what_waits_when_the_target_closes_still_arrives(self, kind: str) -> None:
        size = 3_000_000 if kind == "foreign" else 200_000
        with Target() as target, Tunnel(kind, max_window=4 << 20) as tunnel:
            app, conn = tunnel.join(target)
            conn.sendall(_pattern(size))
            conn.close()
            if kind == "foreign":
                assert tunnel.client.drained(PATIENCE)  # the channel is gone, its bytes are not
            data, whole = read_to_end(app)
            assert (len(data), whole) == (size, True)
            assert data == _pattern(size)
            app.close()

    def test_what_waits_still_arrives_at_an_application_that_goes_on_sending(self) -> None:
        """Its own bytes go nowhere, as the target has closed, but the answer to the first of them is whole."""
        size = 6_000_000
        with Target() as target, Tunnel("foreign", max_window=8 << 20) as tunnel:
            app, conn = tunnel.join(target)
            conn.sendall(_pattern(size))
            conn.close()
            assert tunnel.client.drained(PATIENCE)
            app.sendall(b"more")
            app.shutdown(socket.SHUT_WR)
            data, whole = read_to_end(app)
            assert (len(data), whole) == (size, True)
            app.close()

    def test_an_application_that_does_not_end_after_a_close_is_ended(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(relay, "LINGER", 0.05)
        with Target() as target, Tunnel("foreign") as tunnel:
            app, conn = tunnel.join(target)
            conn.close()
            assert read_to_end(app) == (b"", True)
            pour(app)  # returns, as the other side is gone
            app.close()

    def test_an_end_that_comes_while_a_payload_is_written_follows_it(self) -> None:
        """Credit goes out at once, and the writer that sends it may find the channel's end."""
        ours, theirs = socket.socketpair()
        channel = Mock(id=bytes(16), half_close=True)
        sink = relay.Relay(channel, patient=False)
        running = gevent.spawn(sink.run, ours)
        gevent.idle()
        ends = iter([End.WHOLE])
        channel.consumed.side_effect = lambda _count: [sink.deliver_end(end) for end in ends]
        sink.deliver(bytes(4 << 20))
        assert read_to_end(theirs) == (bytes(4 << 20), True)
        theirs.close()
        running.join()


class TestBrokenEnds:
    @both_kinds
    def test_an_answer_to_an_unfinished_request_arrives(self, kind: str) -> None:
        """A server that refuses an upload answers and closes over what it has not read: a reset follows."""
        with Target() as target, Tunnel(kind) as tunnel:
            for _ in range(10):
                refuse_an_upload(*tunnel.join(target))

    @both_kinds
    def test_such_an_answer_may_have_to_wait_for_its_turn(self, kind: str) -> None:
        """The link is busy with another stream when the reset comes right behind the answer."""
        with Target() as target, Tunnel(kind) as tunnel:
            downloading = gevent.spawn(target.accept)
            busy = socket.socket(fileno=Callers(tunnel.passage).dial("127.0.0.1", target.port))
            source = downloading.get()
            flood, drain = gevent.spawn(pour, source), gevent.spawn(_read_to_nowhere, busy)
            for _ in range(10):
                refuse_an_upload(*tunnel.join(target))
            flood.kill()
            reset(source)
            drain.join()
            busy.close()

    @both_kinds
    def test_a_reset_of_the_target_resets_the_application(self, kind: str) -> None:
        with Target() as target, Tunnel(kind) as tunnel:
            app, conn = tunnel.join(target)
            conn.sendall(b"part")
            assert socks.read_exactly(app, 4) == b"part"
            reset(conn)
            assert read_to_end(app) == (b"", False)
            app.close()

    @both_kinds
    def test_a_reset_of_the_application_resets_the_target(self, kind: str) -> None:
        with Target() as target, Tunnel(kind) as tunnel:
            app, conn = tunnel.join(target)
            app.sendall(b"part")
            assert socks.read_exactly(conn, 4) == b"part"
            reset(app)
            assert read_to_end(conn) == (b"", False)
            conn.close()

    @both_kinds
    def test_a_lost_link_resets_both(self, kind: str) -> None:
        with Target() as target, Tunnel(kind) as tunnel:
            app, conn = tunnel.join(target)
            conn.sendall(b"part")
            assert socks.read_exactly(app, 4) == b"part"
            tunnel.cut()
            assert read_to_end(app) == (b"", False)
            assert read_to_end(conn) == (b"", False)
            app.close()
            conn.close()

    @both_kinds
    def test_a_lost_link_resets_an_application_that_has_half_of_a_stream_waiting(self, kind: str) -> None:
        with Target() as target, Tunnel(kind) as tunnel:
            app, conn = tunnel.join(target)
            flood = gevent.spawn(pour, conn, 1 << 30)
            socks.read_exactly(app, 1000)
            tunnel.cut()
            assert not read_to_end(app)[1]
            app.close()
            flood.join()
            conn.close()

    def test_a_lost_link_resets_an_application_that_has_ended_its_request(self) -> None:
        with Target() as target, Tunnel() as tunnel:
            app, conn = tunnel.join(target)
            app.shutdown(socket.SHUT_WR)
            assert read_to_end(conn) == (b"", True)
            tunnel.cut()
            assert read_to_end(app) == (b"", False)
            app.close()
            conn.close()

    @both_kinds
    def test_a_full_connection_ends_with_its_link(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither side reads, so both relays wait for their sockets when the link goes."""
        monkeypatch.setattr(patience, "PATIENCE", 0.5)  # a reader that waits sees nothing else
        with Target() as target, Tunnel(kind, max_window=256 * 1024) as tunnel:
            app, conn = tunnel.join(target)
            floods = [gevent.spawn(pour, sock, 64 << 20) for sock in (app, conn)]
            gevent.joinall(floods, timeout=0.3)
            tunnel.cut()
            gevent.joinall(floods, timeout=PATIENCE, raise_error=True)
            app.close()
            conn.close()


def _pattern(size: int) -> bytes:
    return b"".join(b"%8d" % count for count in range(size // 8))


def _read_to_nowhere(sock: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(1 << 20):
            pass
