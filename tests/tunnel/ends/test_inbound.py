"""The side of applications, against a server played by hand."""

import gevent
import pytest
from gevent import socket

from linksocks.errors import Cause, DialError
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.ends import inbound as inbounds
from linksocks.tunnel.ends import outbound
from linksocks.tunnel.ends.inbound import Inbound
from linksocks.wire import messages as m
from tests.support import socks
from tests.support.applications import knock, listening, serving
from tests.support.associations import Association
from tests.support.tunnels import KINDS, PATIENCE, Peer, Tunnel, read_to_end, reset

GREETING = b"\x05\x01\x00"
CONNECT = b"\x05\x01\x00\x03\x06target\x00\x50"

UNFINISHED = [
    b"",
    b"\x05",
    GREETING,
    GREETING + CONNECT[:-1],
    b"\x04\x01",
    b"G",
    b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n",
]

both_kinds = pytest.mark.parametrize("kind", KINDS)


def asking(peer: Peer, inbound: Inbound) -> tuple[socket.socket, m.ChannelId]:
    """An application whose request has reached the peer."""
    app = knock(inbound, GREETING, CONNECT)
    assert socks.read_exactly(app, 2) == b"\x05\x00"
    connect = peer.expect(m.Connect)
    assert (connect.host, connect.port) == ("target", 80)
    return app, connect.channel


@both_kinds
def test_bytes_go_both_ways(kind: str) -> None:
    with serving(kind) as (peer, inbound):
        app, channel = asking(peer, inbound)
        peer.send(m.ConnectResponse(True, channel), m.Data(channel, b"220 hello"))
        assert socks.read_reply(app) == socks.SUCCEEDED
        assert socks.read_exactly(app, 9) == b"220 hello"
        app.sendall(b"EHLO")
        assert peer.expect_data(channel, 4) == b"EHLO"
        peer.send(m.Disconnect(channel))
        assert read_to_end(app) == (b"", True)
        app.close()


def test_datagrams_go_both_ways() -> None:
    target = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    target.bind(("127.0.0.1", 0))
    target.settimeout(PATIENCE)
    with Tunnel() as tunnel, Association(("127.0.0.1", tunnel.inbound.port), sockets=socket) as application:
        application.send("127.0.0.1", target.getsockname()[1], b"hello")
        said, source = target.recvfrom(100)
        assert said == b"hello"
        target.sendto(b"you too", source)
        assert application.receive()[2] == b"you too"
    target.close()


class TestRefusals:
    @both_kinds
    @pytest.mark.parametrize("cause", list(Cause))
    def test_the_cause_is_the_reply(self, kind: str, cause: Cause) -> None:
        """Our own peers send it as a byte; so it does whatever was agreed, and foreign ones never do."""
        with serving(kind) as (peer, inbound):
            app, channel = asking(peer, inbound)
            peer.send(m.ConnectResponse(False, channel, "some words", cause))
            assert socks.read_reply(app) == cause
            assert read_to_end(app) == (b"", True)
            app.close()

    def test_a_foreign_peer_has_words_only(self) -> None:
        with serving("foreign") as (peer, inbound):
            app, channel = asking(peer, inbound)
            peer.send(m.ConnectResponse(False, channel, "dial tcp: lookup target: no such host"))
            assert socks.read_reply(app) == socks.HOST_UNREACHABLE
            app.close()

    @both_kinds
    def test_a_disconnect_instead_of_an_answer(self, kind: str) -> None:
        with serving(kind) as (peer, inbound):
            app, channel = asking(peer, inbound)
            peer.send(m.Disconnect(channel))
            assert socks.read_reply(app) == socks.GENERAL
            app.close()

    def test_no_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbound, "_WAY", 0.05 - outbound.CONNECT_TIMEOUT)
        with serving() as (peer, inbound):
            app, channel = asking(peer, inbound)
            assert socks.read_reply(app) == socks.TTL_EXPIRED
            assert peer.expect(m.Disconnect).channel == channel
            app.close()

    def test_the_link_is_lost_meanwhile(self) -> None:
        with serving() as (peer, inbound):
            app, _ = asking(peer, inbound)
            peer.socket.close()
            assert socks.read_reply(app) == socks.GENERAL
            app.close()

    def test_there_is_no_link(self) -> None:
        def none() -> Link:
            raise DialError(Cause.NETWORK_UNREACHABLE, "no link")

        with listening(none) as inbound:
            app = knock(inbound, GREETING, CONNECT)
            assert socks.read_exactly(app, 2) == b"\x05\x00"
            assert socks.read_reply(app) == socks.NET_UNREACHABLE
            assert read_to_end(app) == (b"", True)
            app.close()

    def test_the_application_does_not_wait(self) -> None:
        """It has reset its connection when the answer comes; the peer is told."""
        with serving() as (peer, inbound):
            app, channel = asking(peer, inbound)
            reset(app)
            peer.send(m.ConnectResponse(True, channel))
            assert peer.expect(m.Disconnect).error

    def test_a_reset_right_behind_the_answer_reaches_the_application(self) -> None:
        with serving() as (peer, inbound):
            app, channel = asking(peer, inbound)
            peer.send(m.ConnectResponse(True, channel), m.Disconnect(channel, "reset by peer"))
            assert socks.read_reply(app) == socks.SUCCEEDED
            assert read_to_end(app) == (b"", False)
            app.close()


class TestApplications:
    @pytest.mark.parametrize(
        ("said", "answer"),
        [
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
            (b"\x04\x02\x00\x50\x7f\x00\x00\x01\x00", b"\x00\x5b"),
            (bytes(range(256)) * 100, b""),
            (b"\x16\x03\x01\x02\x00\x01", b""),
            (b"get http://target/ HTTP/1.1\r\n\r\n", b""),
            (b"\x05\x01\x02", b"\x05\xff"),
            (GREETING + b"\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", b"\x05\x00\x05\x07"),
            (GREETING + b"\x05\x01\x00\x09\x7f\x00\x00\x01\x00\x50", b"\x05\x00\x05\x08"),
            (GREETING + b"\x05\x01\x00\x03\x02\xff\xff\x00\x50", b"\x05\x00\x05\x01"),
        ],
        ids=["http", "socks4", "garbage", "tls", "lower case", "method", "bind", "address", "name"],
    )
    def test_one_that_asks_for_what_there_is_not(self, said: bytes, answer: bytes) -> None:
        with serving() as (peer, inbound):
            app = knock(inbound, said)
            got, whole = read_to_end(app)
            assert got[: len(answer)] == answer
            assert bool(got) == bool(answer)
            assert whole
            assert peer.fence() == []
            app.close()

    def test_the_right_password(self) -> None:
        with serving(login=("user", "pass")) as (peer, inbound):
            app = knock(inbound, b"\x05\x02\x00\x02", b"\x01\x04user\x04pass", CONNECT)
            assert socks.read_exactly(app, 4) == b"\x05\x02\x01\x00"
            channel = peer.expect(m.Connect).channel
            peer.send(m.ConnectResponse(False, channel, "refused"))
            assert socks.read_reply(app) == socks.REFUSED
            app.close()

    @pytest.mark.parametrize("login", [b"\x01\x04user\x04pasS", b"\x01\x04user\x00", b"\x01\x00\x04pass"])
    def test_a_wrong_password(self, login: bytes) -> None:
        with serving(login=("user", "pass")) as (peer, inbound):
            app = knock(inbound, b"\x05\x02\x00\x02", login, CONNECT)
            got, whole = read_to_end(app)
            assert got[:3] == b"\x05\x02\x01"
            assert got[3] != 0
            assert whole
            assert peer.fence() == []
            app.close()

    @pytest.mark.parametrize("said", UNFINISHED)
    @pytest.mark.parametrize("leave", ["close", "reset"])
    def test_one_that_leaves(self, said: bytes, leave: str) -> None:
        with serving() as (peer, inbound):
            app = knock(inbound, said)
            app.close() if leave == "close" else reset(app)
            assert peer.fence() == []

    @pytest.mark.parametrize("said", UNFINISHED)
    def test_one_that_dawdles(self, said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inbounds, "REQUEST_TIMEOUT", 0.05)
        with serving() as (peer, inbound):
            app = knock(inbound, said)
            assert read_to_end(app)[1]
            assert peer.fence() == []
            app.close()

    @pytest.mark.parametrize("start", [b"GET http://h/", b"CONNECT ", b"GET http://h/ HTTP/1.1\r\nX: "])
    def test_a_head_without_end(self, start: bytes) -> None:
        with serving() as (peer, inbound):
            app = knock(inbound, start + b"x" * 1024 * 1024)
            assert read_to_end(app)[0].startswith(b"HTTP/1.1 431 ")
            assert peer.fence() == []
            app.close()

    def test_http_byte_by_byte(self) -> None:
        with serving() as (peer, inbound):
            app = knock(inbound)
            app.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"CONNECT target:80 HTTP/1.1\r\nHost: x\r\n\r\n":
                app.sendall(bytes([byte]))
                gevent.sleep(0)
            channel = peer.expect(m.Connect).channel
            peer.send(m.ConnectResponse(False, channel, "refused"))
            assert read_to_end(app)[0].endswith(b"\r\n\r\nlinksocks: refused\n")
            app.close()

    def test_byte_by_byte(self) -> None:
        with serving() as (peer, inbound):
            app = knock(inbound)
            app.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in GREETING + CONNECT:
                app.sendall(bytes([byte]))
                gevent.sleep(0)
            channel = peer.expect(m.Connect).channel
            peer.send(m.ConnectResponse(False, channel, "refused"))
            app.close()


class TestStop:
    def test_the_port_closes_and_connections_live_on(self) -> None:
        with serving() as (peer, inbound):
            app, channel = asking(peer, inbound)
            inbound.close()
            with pytest.raises(ConnectionRefusedError):
                knock(inbound)
            peer.send(m.ConnectResponse(True, channel), m.Data(channel, b"still here"))
            assert socks.read_reply(app) == socks.SUCCEEDED
            assert socks.read_exactly(app, 10) == b"still here"
            peer.send(m.Disconnect(channel))
            app.close()

    def test_connections_end(self) -> None:
        with serving() as (peer, inbound):
            early = knock(inbound, GREETING)
            assert socks.read_exactly(early, 2) == b"\x05\x00"
            waiting, asked = asking(peer, inbound)
            app, channel = asking(peer, inbound)
            peer.send(m.ConnectResponse(True, channel))
            assert socks.read_reply(app) == socks.SUCCEEDED
            inbound.stop()
            assert read_to_end(app) == (b"", False)
            ended = {peer.expect(m.Disconnect).channel, peer.expect(m.Disconnect).channel}
            assert ended == {asked, channel}
            for sock in (early, waiting, app):
                sock.close()
