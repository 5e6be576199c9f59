"""The server as a whole, in this process: who gets in, what strangers can do, and how it stops."""

import logging
from collections.abc import Iterator

import gevent
import pytest
from gevent import socket

from linksocks.errors import ClosedError, ConfigError, LinkClosed, ListenError
from linksocks.net.ws.websocket import WebSocket
from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.ends import busy
from linksocks.wire import messages as m
from linksocks.wire.auth import token_hash
from linksocks.wire.codec import pack, parse
from tests.support import socks
from tests.support.rawsocket import upgraded
from tests.support.roles import TOKEN, client_role, running, server_role, stranger
from tests.support.tunnels import PATIENCE, Target, read_to_end

A = b"a" * 16


def answer(websocket: WebSocket) -> m.Message:
    return parse(bytes(websocket.receive()))


def closed(websocket: WebSocket) -> LinkClosed:
    try:
        while True:
            websocket.receive()
    except LinkClosed as error:
        return error


LOGIN = f"?token={token_hash(TOKEN)}"


class TestStart:
    @pytest.mark.parametrize("token", ["", "anonymous"])
    def test_a_token_that_can_not_be(self, token: str) -> None:
        with pytest.raises(ConfigError, match="token"):
            server_role(token="").add(TokenSpec(Kind.FORWARD, token))

    def test_a_port_in_use(self) -> None:
        with (
            running(server_role()) as first,
            pytest.raises(ListenError, match="in use"),
            running(server_role(first.port)),
        ):
            pass

    def test_a_second_one(self) -> None:
        with running(server_role()) as server:
            with pytest.raises(AssertionError, match="started already"):
                server.start()
            with stranger(server, LOGIN) as websocket:
                assert answer(websocket) == m.AuthResponse(True)

    def test_after_a_stop(self) -> None:
        server = server_role()
        server.add(TokenSpec(Kind.REVERSE, "r"))
        server.stop(0)
        server.wait()
        for use in (server.start, lambda: server.add(TokenSpec(Kind.FORWARD, "x"))):
            with pytest.raises(ClosedError):
                use()
        server.stop(0)
        assert server.clients() == 0


class TestStrangers:
    @pytest.fixture(autouse=True)
    def quiet(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
        """Whatever they do is worth a line, and no traceback."""
        yield
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]
        assert "Traceback" not in capfd.readouterr().err

    @pytest.mark.parametrize("token", ["x", "0" * 64, token_hash(TOKEN).upper(), TOKEN])
    def test_a_wrong_token_in_the_url(self, token: str) -> None:
        with running(server_role()) as server, stranger(server, f"?token={token}") as websocket:
            refusal = answer(websocket)
            assert isinstance(refusal, m.AuthResponse)
            assert not refusal.success
            assert refusal.error.startswith("invalid token")
            assert closed(websocket).code == 1008

    @pytest.mark.parametrize(
        "first",
        [
            pack(m.Auth("wrong", False, bytes(16))),
            pack(m.Auth(TOKEN, True, bytes(16))),
            pack(m.Connect(A, "127.0.0.1", 80)),
            b"\x01\x01\xff",
            b"\x21\x01",
            b"",
            b"GET / HTTP/1.1",
        ],
    )
    def test_a_first_message_that_is_no_login(self, first: bytes) -> None:
        with running(server_role()) as server, stranger(server) as websocket:
            websocket.send(first)
            refusal = answer(websocket)
            assert isinstance(refusal, m.AuthResponse)
            assert not refusal.success
            assert closed(websocket).code == 1008

    @pytest.mark.parametrize("query", ["", LOGIN])
    @pytest.mark.parametrize("raw", [b"garbage garbage garbage", b"\x82\x05hello", b"\xff" * 200, b"\x82"])
    def test_garbage_after_the_handshake(self, raw: bytes, query: str) -> None:
        with running(server_role()) as server:
            sock = upgraded(server.port, query)
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
            assert read_to_end(sock)[1]
            sock.close()

    @pytest.mark.parametrize("query", ["", LOGIN])
    @pytest.mark.parametrize("end", ["close", "reset"])
    def test_one_that_leaves(self, query: str, end: str) -> None:
        with running(server_role()) as server:
            sock = upgraded(server.port, query)
            if end == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()

    def test_a_message_too_big_before_the_login(self) -> None:
        with running(server_role()) as server, stranger(server) as websocket:
            websocket.send(bytes(100_000))
            assert closed(websocket).code == 1009


class TestStop:
    def test_links_close_with_1001(self) -> None:
        with running(server_role()) as server, stranger(server, LOGIN) as websocket:
            assert answer(websocket) == m.AuthResponse(True)
            stopping = gevent.spawn(server.stop, PATIENCE)
            assert closed(websocket).code == 1001
            websocket.finish()
            stopping.get()
            server.wait()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", server.port))

    def test_channels_may_end_and_new_ones_are_refused(self) -> None:
        with (
            Target() as target,
            running(server_role()) as server,
            stranger(server, LOGIN) as websocket,
        ):
            answer(websocket)
            websocket.send(pack(m.Connect(A, "127.0.0.1", target.port)))
            conn = target.accept()
            assert answer(websocket) == m.ConnectResponse(True, A)
            stopping = gevent.spawn(server.stop, PATIENCE)
            gevent.idle()
            websocket.send(pack(m.Connect(b"b" * 16, "127.0.0.1", target.port)))
            refusal = answer(websocket)
            assert isinstance(refusal, m.ConnectResponse)
            assert not refusal.success
            assert "stopping" in refusal.error
            conn.sendall(b"the rest")
            conn.close()
            data = answer(websocket)
            assert isinstance(data, m.Data)
            assert data.payload == b"the rest"
            assert answer(websocket) == m.Disconnect(A)
            assert closed(websocket).code == 1001
            websocket.finish()
            stopping.get()

    @pytest.mark.parametrize("grace", [0, PATIENCE])
    def test_the_last_bytes_of_an_upload_reach_their_target(
        self, monkeypatch: pytest.MonkeyPatch, grace: float
    ) -> None:
        """The channel has ended, both ends are done with it, and the target has yet to read."""
        monkeypatch.setattr(busy, "DELIVERY", 3600)  # a busy machine may need more than those 5 s
        size = 10_000_000  # more than the kernel holds
        with Target(receive_buffer=4096) as target, running(server_role(buffer_size=2 * size)) as server:
            with stranger(server, LOGIN) as websocket:
                answer(websocket)
                websocket.send(pack(m.Connect(A, "127.0.0.1", target.port)))
                conn = target.accept()
                answer(websocket)
                for _ in range(size // 50_000):
                    websocket.send(pack(m.Data(A, bytes(50_000))))
                websocket.send(pack(m.Disconnect(A)))
                websocket.send(pack(m.Connect(A, resume=True)))
                assert answer(websocket) == m.Disconnect(A, "channel expired")  # so all is there
                leaving = gevent.spawn(closed, websocket)
                stopping = gevent.spawn(server.stop, grace)
                stopping.join(0.3)  # it must not end here, however long
                data, whole = read_to_end(conn)
                assert (len(data), whole) == (size, True)
                conn.close()
                assert leaving.get().code == 1001
            stopping.get()

    def test_what_does_not_end_in_time_is_reset(self) -> None:
        with (
            Target() as target,
            running(server_role()) as server,
            running(client_role(server.port)) as client,
        ):
            app, conn = _through(client.socks_port, target)
            server.stop(0.05)
            assert read_to_end(app) == (b"", False)
            assert read_to_end(conn) == (b"", False)
            app.close()
            conn.close()


def _through(socks_port: int, target: Target) -> tuple[socket.socket, socket.socket]:
    """An application and its connection as the target sees it."""
    _until_open(socks_port)
    waiting = gevent.spawn(target.accept)
    app = socks.connect(
        socks_port, "127.0.0.1", target.port, timeout=PATIENCE, create=socket.create_connection
    )
    return app, waiting.get()


def _until_open(port: int) -> None:
    with gevent.Timeout(PATIENCE):
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                gevent.sleep(0.005)  # the pace of the polling, not what is waited for
            else:
                return
