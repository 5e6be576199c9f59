"""The client as a whole, in this process: its port, its link, and how it stops."""

from collections.abc import Iterator

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from linksocks.client import links as links_module
from linksocks.client import role as roles
from linksocks.client import session as session_module
from linksocks.client.role import ClientRole
from linksocks.errors import AuthError, ConfigError, LinkClosed, LinkError, ListenError
from linksocks.net.listen import bind
from linksocks.server.role import ServerRole
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.ends import busy
from linksocks.wire import messages as m
from tests.support import socks
from tests.support.ports import free_port
from tests.support.roles import client_role, running, server_role
from tests.support.tunnels import PATIENCE, Target, application, read_to_end
from tests.support.visitors import PlayedServer
from tests.support.waits import eventually


@pytest.fixture
def server() -> Iterator[ServerRole]:
    with running(server_role()) as role:
        yield role


def is_open(client: ClientRole) -> bool:
    try:
        socket.create_connection(("127.0.0.1", client.socks_port), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


def through(client: ClientRole, target: Target) -> tuple[socket.socket, socket.socket]:
    """An application, and its connection as the target sees it."""
    eventually(lambda: is_open(client))
    waiting = gevent.spawn(target.accept)
    return application(client.socks_port, target.port), waiting.get()


class TestSocksPort:
    def test_it_opens_with_the_login(self) -> None:
        port = free_port()
        with running(client_role(port)) as client:
            gevent.sleep(0.05)
            assert not is_open(client)
            with running(server_role(port)):
                eventually(lambda: is_open(client))

    def test_it_opens_at_once_where_it_must_not_wait(self) -> None:
        """A connection made before there is a link waits for it, and then succeeds."""
        port = free_port()
        with Target() as target, running(client_role(port, socks_no_wait=True)) as client:
            assert is_open(client)
            app = gevent.spawn(application, client.socks_port, target.port)
            app.join(0.05)
            assert not app.ready()
            with running(server_role(port)):
                conn = target.accept()
                app.get().sendall(b"hello")
                assert socks.read_exactly(conn, 5) == b"hello"
                conn.close()
                app.get().close()

    def test_a_connection_waits_for_a_link_for_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(links_module, "LINK_WAIT", 0.05)
        with (
            running(client_role(free_port(), socks_no_wait=True)) as client,
            pytest.raises(socks.SocksRefused) as refused,
        ):
            application(client.socks_port, 80)
        assert refused.value.reply == socks.NET_UNREACHABLE

    def test_it_is_in_use(self, server: ServerRole) -> None:
        with Target() as other, pytest.raises(ListenError, match="in use"):
            client_role(server.port, socks_port=other.port).start()

    def test_another_took_it_before_the_login(self) -> None:
        """Two programs may bind a port that none listens on yet."""
        port = free_port()
        with running(client_role(port)) as client:
            taker = socket.socket()
            taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taker.bind(("127.0.0.1", client.socks_port))
            taker.listen()
            with running(server_role(port)), pytest.raises(ListenError, match="in use"):
                client.wait()
            taker.close()

    def test_a_password(self, server: ServerRole) -> None:
        with (
            Target() as target,
            running(client_role(server.port, socks_username="u", socks_password="p")) as client,
        ):
            eventually(lambda: is_open(client))
            for login, answer in ((None, 0xFF), (("u", "x"), 0xFF), (("x", "p"), 0xFF)):
                with pytest.raises(socks.SocksRefused) as refused:
                    socks.connect(
                        client.socks_port, "127.0.0.1", 1, login=login, create=socket.create_connection
                    )
                assert refused.value.reply == answer
            app = socks.connect(
                client.socks_port,
                "127.0.0.1",
                target.port,
                login=("u", "p"),
                create=socket.create_connection,
            )
            target.accept().close()
            app.close()


class TestLink:
    def test_a_lost_link_is_made_anew(self) -> None:
        port = free_port()
        with Target() as target, running(client_role(port)) as client:
            for _ in range(3):
                with running(server_role(port)):
                    app, conn = through(client, target)
                    app.sendall(b"hello")
                    assert socks.read_exactly(conn, 5) == b"hello"
                assert read_to_end(app) == (b"", False)
                app.close()
                conn.close()

    def test_a_lost_link_is_the_end_without_reconnect(self) -> None:
        server = server_role()
        with running(server), running(client_role(server.port, reconnect=False)) as client:
            eventually(lambda: is_open(client))
            server.stop(0)
            with pytest.raises(LinkClosed) as caught:
                client.wait()
            assert caught.value.code == 1001

    def test_no_server_is_the_end_without_reconnect(self) -> None:
        with running(client_role(free_port(), reconnect=False)) as client, pytest.raises(LinkError):
            client.wait()

    def test_a_wrong_token_is_the_end(self, server: ServerRole) -> None:
        with (
            running(client_role(server.port, token="wrong")) as client,
            pytest.raises(AuthError, match="invalid token"),
        ):
            client.wait()

    def test_a_wrong_token_may_be_tried_again(self) -> None:
        port = free_port()
        with running(client_role(port, token="other", retry_auth=True)) as client:
            with running(server_role(port)):
                gevent.sleep(0.1)
                assert not is_open(client)
            with running(server_role(port, token="other")):
                eventually(lambda: is_open(client))

    def test_a_retry_of_the_token_is_no_retry_of_the_link(self) -> None:
        """The two settings are for two things."""
        with (
            running(client_role(free_port(), reconnect=False, retry_auth=True)) as client,
            pytest.raises(LinkError),
        ):
            client.wait()

    @pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\xff" * 9999])
    def test_a_server_that_is_none(self, answer: bytes) -> None:
        with Target() as target, running(client_role(target.port, reconnect=False)) as client:
            conn = target.accept()
            conn.recv(10_000)
            conn.sendall(answer)
            conn.close()
            with pytest.raises(LinkError, match="HTTP"):
                client.wait()

    def test_a_bug_of_ours_is_the_end(self, server: ServerRole, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody would ever hear of it where `wait` went on waiting."""
        monkeypatch.setattr(session_module, "log_in", None)
        with running(client_role(server.port)) as client, pytest.raises(TypeError):
            client.wait()

    def test_a_url_that_is_none(self) -> None:
        with pytest.raises(ConfigError):
            client_role(1, url="ftp://nowhere")


class TestConnector:
    """The same client, with a token for which a provider dials; the server is played by hand."""

    def test_it_knows_how_many_providers_there_are(self) -> None:
        with PlayedServer() as played, running(client_role(played.port)) as client:
            visitor = played.admit()
            assert visitor.query["reverse"] == "false"
            visitor.send(m.Partners(2))
            visitor.fence()
            assert client.partners == 2
            visitor.leave()
            again = played.admit()
            again.fence()
            assert client.partners == 0
            again.leave()

    @pytest.mark.parametrize("fast_open", [False, True])
    def test_fast_open_lets_the_application_send_first(self, fast_open: bool) -> None:
        with PlayedServer() as played, running(client_role(played.port, fast_open=fast_open)) as client:
            visitor = played.admit()
            eventually(lambda: is_open(client))
            opening = gevent.spawn(application, client.socks_port, 80)
            channel = visitor.expect(m.Connect).channel
            opening.join(0.05)
            assert opening.ready() is fast_open
            visitor.send(m.ConnectResponse(True, channel))
            app = opening.get()
            app.sendall(b"hello")
            assert visitor.expect_data(channel, 5) == b"hello"
            visitor.send(m.Disconnect(channel))
            assert read_to_end(app) == (b"", True)
            app.close()
            visitor.leave()


class TestStop:
    def test_before_the_start_and_twice(self, server: ServerRole) -> None:
        client = client_role(server.port)
        client.stop(0)
        with running(client):
            client.stop(0)
            client.wait()

    def test_while_the_server_does_not_answer(self) -> None:
        """There is nothing to wait for: it ends before any of its deadlines."""
        with Target() as target, gevent.Timeout(3), running(client_role(target.port)):
            conn = target.accept()
        assert read_to_end(conn)
        conn.close()

    def test_while_it_waits_for_the_next_try(self) -> None:
        with gevent.Timeout(3), running(client_role(free_port(), reconnect_delay=1000)):
            gevent.sleep(0.05)

    def test_while_connections_wait_for_a_link(self, monkeypatch: pytest.MonkeyPatch) -> None:
        waiting, pick = Event(), links_module.Links.pick

        def noticed(links: links_module.Links) -> Link:
            waiting.set()
            return pick(links)

        monkeypatch.setattr(links_module.Links, "pick", noticed)
        with running(client_role(free_port(), socks_no_wait=True)) as client:
            app = gevent.spawn(application, client.socks_port, 80)
            assert waiting.wait(PATIENCE)
            with gevent.Timeout(3):
                client.stop(0)
        with pytest.raises(OSError, match=r"reset|ended"):
            app.get()

    def test_connections_may_end_and_new_ones_are_refused(self, server: ServerRole) -> None:
        with Target() as target, running(client_role(server.port)) as client:
            app, conn = through(client, target)
            stopping = gevent.spawn(client.stop, PATIENCE)
            eventually(lambda: not is_open(client))
            conn.sendall(b"the rest")
            conn.close()
            assert read_to_end(app) == (b"the rest", True)
            app.close()
            stopping.get()
            client.wait()

    def test_the_last_bytes_of_a_download_reach_their_application(
        self, server: ServerRole, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The channel has ended, the server is done with it, and the application has yet to read."""
        monkeypatch.setattr(roles, "bind", _bind_small)
        size = 200_000  # less than the window, more than the kernel holds
        with Target() as target, running(client_role(server.port)) as client:
            eventually(lambda: is_open(client))
            app = application(client.socks_port, target.port, receive_buffer=4096)
            conn = target.accept()
            app.shutdown(socket.SHUT_WR)
            assert read_to_end(conn) == (b"", True)
            conn.sendall(bytes(size))
            conn.close()
            stopping = gevent.spawn(client.stop, PATIENCE)
            stopping.join(0.3)  # it must not end here, however long
            data, whole = read_to_end(app)
            assert (len(data), whole) == (size, True)
            app.close()
            stopping.get()

    @pytest.mark.parametrize("pause", [0.0, 0.005])
    @pytest.mark.parametrize("own", [False, True], ids=["by the port", "of the program"])
    def test_what_was_said_before_the_close_arrives_without_grace(
        self, server: ServerRole, own: bool, pause: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(busy, "DELIVERY", 2 * PATIENCE)  # however slow this machine is just now
        size = 4 * 1024 * 1024
        with Target(receive_buffer=64 * 1024) as target, running(client_role(server.port)) as client:
            waiting = gevent.spawn(target.accept)
            if own:
                app = socket.socket(fileno=client.dial("127.0.0.1", target.port, PATIENCE))
            else:
                client.wait_ready(PATIENCE)
                app = application(client.socks_port, target.port)
            reading = gevent.spawn(_read_slowly, waiting.get(), pause)
            app.sendall(bytes(size))
            app.close()
            client.stop(0)
            assert reading.get() == size

    def test_what_does_not_end_in_time_is_reset(self, server: ServerRole) -> None:
        with Target() as target, running(client_role(server.port)) as client:
            app, conn = through(client, target)
            client.stop(0.05)
            assert read_to_end(app) == (b"", False)
            assert read_to_end(conn) == (b"", False)
            app.close()
            conn.close()


def test_nothing_is_left_of_two_thousand_connections(server: ServerRole) -> None:
    """Twenty at a time; that no greenlet and no descriptor stays is for the fixture, while both roles still run."""
    with Target() as target, running(client_role(server.port)) as client:
        eventually(lambda: is_open(client))
        echoing = gevent.spawn(_echo, target)

        def visit(visitor: int) -> None:
            for turn in range(100):
                app = application(client.socks_port, target.port)
                app.sendall(b"%d %d" % (visitor, turn))
                app.shutdown(socket.SHUT_WR)
                assert read_to_end(app) == (b"%d %d" % (visitor, turn), True)
                app.close()

        gevent.joinall([gevent.spawn(visit, visitor) for visitor in range(20)], raise_error=True)
        echoing.kill()


def _bind_small(host: str, port: int) -> socket.socket:
    """As ever, but the connections have small buffers: what an application does not read stays with us."""
    listener = bind(host, port)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    return listener


def _read_slowly(conn: socket.socket, pause: float) -> int:
    """How much comes; raises when the end is a reset."""
    size = 0
    while data := conn.recv(64 * 1024):
        size += len(data)
        gevent.sleep(pause)
    conn.close()
    return size


def _echo(target: Target) -> None:
    def echo(conn: socket.socket) -> None:
        conn.sendall(read_to_end(conn)[0])
        conn.close()

    while True:
        gevent.spawn(echo, target.accept())
