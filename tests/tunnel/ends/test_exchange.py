"""HTTP requests in absolute form through a tunnel, application and target played by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent import socket

from linksocks.errors import Cause, DialError
from linksocks.tunnel.ends import exchange as exchanges
from linksocks.tunnel.ends import inbound as inbounds
from linksocks.tunnel.ends import stream as streams
from linksocks.wire import messages as m
from tests.support import socks
from tests.support.applications import knock, listening, serving
from tests.support.rounds import Rounds, rounds
from tests.support.tunnels import KINDS, PATIENCE, Target, Tunnel, read_to_end, reset

MIB = 1024 * 1024

both_kinds = pytest.mark.parametrize("kind", KINDS)


def read_head(sock: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += socks.read_exactly(sock, 1)
    return head


class Scene:
    """An application before a tunnel, a target behind it."""

    def __init__(self, tunnel: Tunnel, target: Target) -> None:
        self.tunnel = tunnel
        self.target = target
        self.app = knock(tunnel.inbound)
        self.far: socket.socket | None = None

    def ask(self, method: str = "GET", *fields: str, body: bytes = b"", version: str = "1.1") -> None:
        line = f"{method} http://127.0.0.1:{self.target.port}/path HTTP/{version}"
        self.app.sendall("\r\n".join([line, "Host: other", *fields, "\r\n"]).encode() + body)

    def asked(self) -> bytes:
        """The head of a request, as a new connection of the target brings it."""
        if self.far is not None:
            self.far.close()
        self.far = self.target.accept()
        return read_head(self.far)

    def answer(self, *parts: bytes, end: bool = True) -> None:
        assert self.far is not None
        for part in parts:
            self.far.sendall(part)
        if end:
            self.far.shutdown(socket.SHUT_WR)

    def goes_on(self) -> None:
        """The application's connection takes another request."""
        self.ask()
        assert self.asked().startswith(b"GET /path HTTP/1.1\r\n")
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain")
        assert read_head(self.app) == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        assert socks.read_exactly(self.app, 5) == b"again"

    def closes(self) -> None:
        assert read_to_end(self.app) == (b"", True)


@contextmanager
def scene(kind: str = "ours", **target: int) -> Iterator[Scene]:
    with Target(**target) as listener, Tunnel(kind) as tunnel:
        stage = Scene(tunnel, listener)
        yield stage
        stage.app.close()
        if stage.far is not None:
            stage.far.close()


class TestBodies:
    @both_kinds
    def test_the_target_gets_origin_form(self, kind: str) -> None:
        with scene(kind) as stage:
            stage.ask("GET", "Proxy-Connection: keep-alive", "Accept: x")
            host = f"Host: 127.0.0.1:{stage.target.port}".encode()
            assert (
                stage.asked()
                == b"GET /path HTTP/1.1\r\n" + host + b"\r\nAccept: x\r\nConnection: close\r\n\r\n"
            )
            stage.answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
            assert read_head(stage.app) == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
            assert socks.read_exactly(stage.app, 2) == b"hi"
            stage.goes_on()

    @both_kinds
    def test_a_response_in_chunks(self, kind: str) -> None:
        with scene(kind) as stage:
            stage.ask()
            stage.asked()
            stage.answer(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nab", end=False
            )
            stage.answer(b"c\r\n2;ext=1\r\nde\r\n0\r\nX: y\r\n\r\n")
            assert read_head(stage.app) == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            assert dechunk(stage.app) == b"abcde"
            stage.goes_on()

    @both_kinds
    def test_a_response_that_ends_with_the_connection(self, kind: str) -> None:
        with scene(kind) as stage:
            stage.ask()
            stage.asked()
            stage.answer(b"HTTP/1.0 200 OK\r\n\r\nabc", b"de")
            assert read_head(stage.app) == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            assert dechunk(stage.app) == b"abcde"
            stage.goes_on()

    def test_an_application_of_http_1_0(self) -> None:
        with scene() as stage:
            stage.ask(version="1.0")
            stage.asked()
            stage.answer(b"HTTP/1.1 100 Continue\r\n\r\n", end=False)
            stage.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            assert read_head(stage.app) == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
            assert read_to_end(stage.app) == (b"abc", True)

    def test_one_that_asks_to_close(self) -> None:
        with scene() as stage:
            stage.ask("GET", "Connection: close")
            stage.asked()
            stage.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            assert (
                read_head(stage.app) == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
            )
            assert read_to_end(stage.app) == (b"hi", True)

    @pytest.mark.parametrize(
        ("method", "response"),
        [
            ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
            ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: x\r\n\r\n"),
            ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
            ("DELETE", b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"),
        ],
    )
    def test_responses_without_a_body(self, method: str, response: bytes) -> None:
        with scene() as stage:
            stage.ask(method)
            stage.asked()
            stage.answer(response)
            assert read_head(stage.app) == response
            stage.goes_on()

    @both_kinds
    def test_a_request_with_a_length(self, kind: str) -> None:
        with scene(kind) as stage:
            stage.ask("POST", "Content-Length: 5", body=b"ab")
            assert b"\r\nContent-Length: 5\r\n" in stage.asked()
            stage.app.sendall(b"cde")
            assert stage.far is not None
            assert socks.read_exactly(stage.far, 5) == b"abcde"
            stage.answer(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
            assert read_head(stage.app).startswith(b"HTTP/1.1 201 Created\r\n")
            stage.goes_on()

    def test_a_request_in_chunks(self) -> None:
        with scene() as stage:
            stage.ask("POST", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n")
            assert b"\r\nTransfer-Encoding: chunked\r\n" in stage.asked()
            stage.app.sendall(b"2\r\nde\r\n0\r\nX: y\r\n\r\n")
            assert stage.far is not None
            assert dechunk(stage.far) == b"abcde"
            stage.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            read_head(stage.app)
            stage.goes_on()

    def test_expectations_go_through(self) -> None:
        with scene() as stage:
            stage.ask("PUT", "Content-Length: 3", "Expect: 100-continue")
            assert b"\r\nExpect: 100-continue\r\n" in stage.asked()
            stage.answer(
                b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", end=False
            )
            assert read_head(stage.app) == b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
            assert read_head(stage.app) == b"HTTP/1.1 100 Continue\r\n\r\n"
            stage.app.sendall(b"abc")
            assert stage.far is not None
            assert socks.read_exactly(stage.far, 3) == b"abc"
            stage.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            read_head(stage.app)
            stage.goes_on()

    def test_an_answer_before_the_request_is_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The rest of the request is of no use; the application reads the answer, and the end."""
        monkeypatch.setattr(inbounds, "_FAREWELL", PATIENCE)  # the rest may take its time
        with scene(receive_buffer=4096) as stage:
            stage.ask("POST", f"Content-Length: {100 * MIB}")
            sending = gevent.spawn(stage.app.sendall, bytes(16 * MIB))  # more than all buffers and the window
            stage.asked()
            stage.answer(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno", end=False)
            assert read_head(stage.app) == b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n"
            assert read_to_end(stage.app) == (b"no", True)
            sending.get()  # all was taken, so nothing reset what the application had yet to read


class TestKeepAlive:
    @both_kinds
    def test_another_target(self, kind: str) -> None:
        with scene(kind) as stage, Target() as other:
            stage.goes_on()
            stage.target, first = other, stage.target
            stage.goes_on()
            stage.target = first
            stage.goes_on()

    def test_a_connect_after_a_request(self) -> None:
        with scene() as stage:
            stage.goes_on()
            stage.app.sendall(
                f"CONNECT 127.0.0.1:{stage.target.port} HTTP/1.1\r\nHost: x\r\n\r\nearly".encode()
            )
            assert read_head(stage.app) == b"HTTP/1.1 200 Connection established\r\n\r\n"
            far = stage.target.accept()
            assert socks.read_exactly(far, 5) == b"early"
            far.close()
            stage.closes()

    @both_kinds
    def test_pipelined_requests_are_answered_in_order(self, kind: str) -> None:
        """Each on a connection of its own, and none before the answer to the one before it is out."""
        with scene(kind) as stage:
            for number in range(3):
                stage.ask("POST", f"X-Number: {number}", "Content-Length: 1", body=b"x")
            for number in range(3):
                assert f"\r\nX-Number: {number}\r\n".encode() in stage.asked()
                assert not stage.target.has_waiting()
                stage.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
                read_head(stage.app)
                assert socks.read_exactly(stage.app, 1) == b"%d" % number

    @both_kinds
    def test_a_request_that_comes_during_the_one_before(self, kind: str) -> None:
        """Some of it at first: it is read while the answer is still awaited."""
        with scene(kind) as stage:
            stage.ask()
            stage.asked()
            whole = f"GET http://127.0.0.1:{stage.target.port}/next HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            stage.app.sendall(whole[:10])
            gevent.sleep(0)
            stage.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            read_head(stage.app)
            stage.app.sendall(whole[10:])
            assert stage.asked().startswith(b"GET /next HTTP/1.1\r\n")
            stage.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            read_head(stage.app)

    def test_a_response_with_more_than_it_says(self) -> None:
        """What follows a response is not the answer to the next request."""
        with scene() as stage:
            stage.ask()
            stage.asked()
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
            stage.answer(answer + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            assert socks.read_exactly(stage.app, len(answer)) == answer
            stage.goes_on()

    def test_a_malformed_second_request(self) -> None:
        with scene() as stage:
            stage.goes_on()
            stage.app.sendall(b"nonsense\r\n\r\n")
            assert read_head(stage.app).startswith(b"HTTP/1.1 400 ")
            assert read_to_end(stage.app)[1]

    def test_idle_applications_are_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inbounds, "KEEP_ALIVE", 0.05)
        with scene() as stage:
            stage.goes_on()
            stage.closes()

    def test_one_that_drips_its_second_head(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with scene() as stage:
            stage.goes_on()
            monkeypatch.setattr(inbounds, "REQUEST_TIMEOUT", 0.05)
            stage.app.sendall(b"GET http://")
            stage.closes()

    def test_idle_applications_do_not_hold_up_a_drain(self) -> None:
        with scene() as stage:
            stage.goes_on()
            with gevent.Timeout(PATIENCE):
                stage.tunnel.passage.drain(2 * PATIENCE)

    def test_a_target_that_does_not_close(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(streams, "LINGER", 0.05)
        with scene() as stage:
            stage.ask()
            stage.asked()
            stage.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", end=False)
            read_head(stage.app)
            assert stage.far is not None
            assert read_to_end(stage.far) == (b"", True)  # our end of stream, then the reset
            assert stage.tunnel.client.drained(PATIENCE)


class TestCuts:
    """Whatever is cut, nobody may take a part for the whole."""

    @both_kinds
    @pytest.mark.parametrize("how", ["close", "reset"])
    @pytest.mark.parametrize(
        "part",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        ],
        ids=["length", "between chunks", "in a chunk"],
    )
    def test_a_response(self, kind: str, how: str, part: bytes) -> None:
        with scene(kind) as stage:
            stage.ask()
            stage.asked()
            stage.answer(part, end=False)
            read_head(stage.app)
            assert b"abc" in stage.app.recv(100)
            assert stage.far is not None
            stage.far.close() if how == "close" else reset(stage.far)
            assert not read_to_end(stage.app)[1]

    @both_kinds
    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    def test_a_reset_is_no_end_of_a_response_without_a_length(self, kind: str, version: str) -> None:
        with scene(kind) as stage:
            stage.ask(version=version)
            stage.asked()
            stage.answer(b"HTTP/1.1 200 OK\r\n\r\nabc", end=False)
            read_head(stage.app)
            assert b"abc" in stage.app.recv(100)
            assert stage.far is not None
            reset(stage.far)
            assert not read_to_end(stage.app)[1]

    @both_kinds
    @pytest.mark.parametrize(
        "part",
        [
            *(b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 100 Continue\r\n\r\n"),
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabcd",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000,
        ],
        ids=["nothing", "ssh", "half", "1xx", "two ways", "two lengths", "coding", "upgrade", "endless"],
    )
    def test_what_is_no_response(self, kind: str, part: bytes) -> None:
        with scene(kind) as stage:
            stage.ask()
            stage.asked()
            stage.answer(part)
            head = read_head(stage.app)
            if head.startswith(b"HTTP/1.1 100"):
                head = read_head(stage.app)
            assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
            body, whole = read_to_end(stage.app)
            assert body.startswith(b"linksocks: the target")
            assert whole

    def test_the_link_is_lost(self) -> None:
        with scene() as stage:
            stage.ask()
            stage.asked()
            stage.tunnel.cut()
            assert read_head(stage.app).startswith(b"HTTP/1.1 502 ")

    @both_kinds
    def test_the_target_is_gone_before_the_request(self, kind: str) -> None:
        for reason in ("", "reset by peer"):
            with serving(kind) as (peer, inbound):
                app = knock(inbound, b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n")
                channel = peer.expect(m.Connect).channel
                peer.send(m.ConnectResponse(True, channel), m.Disconnect(channel, reason))
                assert read_head(app).startswith(b"HTTP/1.1 502 ")
                app.close()

    @both_kinds
    def test_the_application_resets(self, kind: str) -> None:
        with scene(kind) as stage:
            stage.ask()
            stage.asked()
            reset(stage.app)
            assert stage.far is not None
            assert read_to_end(stage.far) == (b"", False)

    @both_kinds
    @pytest.mark.parametrize("how", ["close", "reset"])
    def test_a_request(self, kind: str, how: str) -> None:
        """The target must not take it for whole."""
        with scene(kind) as stage:
            stage.ask("POST", "Content-Length: 5", body=b"abc")
            stage.asked()
            assert stage.far is not None
            assert socks.read_exactly(stage.far, 3) == b"abc"
            stage.app.close() if how == "close" else reset(stage.app)
            assert read_to_end(stage.far) == (b"", False)

    def test_a_request_with_broken_chunks(self) -> None:
        with scene() as stage:
            stage.ask("POST", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n")
            stage.asked()
            stage.app.sendall(b"nonsense\r\n")
            assert read_head(stage.app).startswith(b"HTTP/1.1 400 ")
            assert stage.far is not None
            assert not read_to_end(stage.far)[1]

    @both_kinds
    def test_an_application_that_ends_after_its_request(self, kind: str) -> None:
        """As `nc -N` does: the target learns of it where it can, and the answer still comes."""
        with scene(kind) as stage:
            stage.ask("GET", "Connection: close")
            stage.app.shutdown(socket.SHUT_WR)
            stage.asked()
            if kind == "ours":
                assert stage.far is not None
                assert stage.far.recv(1) == b""
            stage.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            assert read_to_end(stage.app)[0].endswith(b"\r\n\r\nhi")

    def test_stop_resets(self) -> None:
        with scene() as stage:
            stage.ask()
            stage.asked()
            stage.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", end=False)
            read_head(stage.app)
            stage.tunnel.inbound.stop()
            assert not read_to_end(stage.app)[1]
            assert stage.far is not None
            assert not read_to_end(stage.far)[1]


class TestStalls:
    @both_kinds
    def test_a_target_that_says_nothing(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(streams, "STALLED", 0.05)
        with scene(kind) as stage:
            stage.ask()
            stage.asked()
            assert read_head(stage.app).startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")

    def test_one_that_stops_in_its_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with scene() as stage:
            stage.ask()
            stage.asked()
            stage.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", end=False)
            read_head(stage.app)
            monkeypatch.setattr(streams, "STALLED", 0.05)
            stage.answer(b"d", end=False)  # its wait for more begins anew
            assert not read_to_end(stage.app)[1]

    def test_an_application_that_stops_in_its_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(streams, "STALLED", 0.05)
        with scene() as stage:
            stage.ask("POST", "Content-Length: 5", body=b"abc")
            stage.asked()
            assert read_head(stage.app).startswith(b"HTTP/1.1 504 ")

    def test_an_application_that_takes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exchanges, "STALLED", 0.05)
        with scene() as stage:
            stage.ask()
            stage.asked()
            assert stage.far is not None
            stage.far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            with pytest.raises(ConnectionError):
                stage.far.sendall(bytes(1000 * MIB))

    def test_a_slow_application_stops_its_target(self) -> None:
        """No more than the window of its channel is on the way."""
        with serving(max_window=256 * 1024) as (peer, inbound):
            app = knock(inbound, b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n")
            channel = peer.expect(m.Connect).channel
            peer.send(m.ConnectResponse(True, channel))
            peer.expect(m.Data)
            peer.send(m.Data(channel, b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"))
            granted, sent = 256 * 1024, 50
            while granted > sent:  # ends when our writer gets no more credit
                size = min(granted - sent, 64 * 1024)
                peer.send(m.Data(channel, bytes(size)))
                sent += size
                for message in peer.fence():
                    assert isinstance(message, m.Consumed)
                    granted = message.total + message.window
            assert sent < 20 * MIB
            reset(app)
            app_is_gone = peer.expect(m.Disconnect)
            assert app_is_gone.error


class TestFloods:
    def test_tiny_chunks_let_io_run(self) -> None:
        with scene() as stage, rounds() as passed:
            stage.ask()
            stage.asked()
            chunks = b"1\r\nx\r\n" * 20_000
            stage.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunks, b"0\r\n\r\n")
            read_head(stage.app)
            assert dechunk(stage.app) == b"x" * 20_000
            assert passed.count >= 20_000 // 64

    def test_tiny_chunks_of_a_request_let_io_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Rounds don't tell: the other end of the link is in this process, and makes as many for as many messages."""
        turns = Rounds()
        monkeypatch.setattr(exchanges, "give_way", turns.one_more)
        with scene() as stage:
            stage.ask("POST", "Transfer-Encoding: chunked", body=b"1\r\nx\r\n" * 6400 + b"0\r\n\r\n")
            stage.asked()
            assert stage.far is not None
            assert dechunk(stage.far) == b"x" * 6400
            assert turns.count >= 6400 // 64
            stage.answer(b"HTTP/1.1 204 No Content\r\n\r\n")
            read_head(stage.app)

    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    def test_a_target_has_few_interim_responses(self, version: str) -> None:
        with scene() as stage:
            stage.ask(version=version)
            stage.asked()
            stage.answer(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17)
            got, _ = read_to_end(stage.app)
            assert b"502 Bad Gateway" in got
            assert got.count(b"103") == 0 if version == "1.0" else got.count(b" 103 ") <= 16

    def test_a_target_has_few_fields(self) -> None:
        with scene() as stage:
            stage.ask()
            stage.asked()
            stage.answer(b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 257 + b"Content-Length: 0\r\n\r\n")
            got, _ = read_to_end(stage.app)
            assert got.startswith(b"HTTP/1.1 502 ")


def test_there_is_no_link() -> None:
    def none() -> None:
        raise DialError(Cause.NETWORK_UNREACHABLE, "no link to the server")

    with listening(none) as inbound:  # type: ignore[arg-type]
        for line in (b"GET http://h/", b"CONNECT h:1"):
            app = knock(inbound, line + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_head(app).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert read_to_end(app) == (b"linksocks: no link to the server\n", True)
            app.close()


def dechunk(sock: socket.socket) -> bytes:
    """A body in chunks, to its end."""
    body = b""
    while True:
        line = b""
        while not line.endswith(b"\r\n"):
            line += socks.read_exactly(sock, 1)
        size = int(line, 16)
        chunk = socks.read_exactly(sock, size + 2)
        assert chunk.endswith(b"\r\n")
        body += chunk[:-2]
        if not size:
            return body
