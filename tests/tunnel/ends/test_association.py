"""UDP ASSOCIATE: an application at the port, and behind it a whole tunnel or an end played by hand."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent import socket

from linksocks.errors import Cause
from linksocks.tunnel.ends import association as associations
from linksocks.tunnel.ends import inbound as inbounds
from linksocks.tunnel.ends.inbound import Inbound
from linksocks.tunnel.ends.passage import Passage
from linksocks.wire import messages as m
from tests.support.associations import Association, associate, pack, udp_socket
from tests.support.leaks import open_fds
from tests.support.socks import SocksRefused
from tests.support.tunnels import KINDS, PATIENCE, Peer, Target, Tunnel
from tests.support.waits import eventually
from tests.tunnel.channels.test_datagrams import back, out

both_kinds = pytest.mark.parametrize("kind", KINDS)


def association(port: int, host: str = "127.0.0.1", *, named: int | None = 0) -> Association:
    return Association((host, port), port=named, timeout=PATIENCE, sockets=socket)


@contextmanager
def inbound(peer: Peer, host: str = "127.0.0.1") -> Iterator[int]:
    """The port for applications, before a link whose other end is played by hand."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.bind((host, 0))
    side = Inbound(listener, Passage(lambda: peer.link))
    side.start()
    try:
        yield side.port
    finally:
        side.stop()


@contextmanager
def by_hand(named: int | None = 0, host: str = "127.0.0.1") -> Iterator[tuple[Peer, Association, bytes]]:
    """An application, the hand that plays the other end of its link, and the channel between them."""
    with Peer("ours", client=False) as peer, inbound(peer, host) as port:
        asking = gevent.spawn(association, port, "::1" if ":" in host else host, named=named)
        channel = peer.expect(m.Connect).channel
        peer.send(m.ConnectResponse(True, channel))
        with asking.get() as app:
            yield peer, app, channel
        assert peer.expect(m.Disconnect) == m.Disconnect(channel)
        assert peer.link.channels == 0


@contextmanager
def echo(host: str = "127.0.0.1") -> Iterator[int]:
    """Sends every datagram back."""

    def run() -> None:
        while True:
            sock.sendto(*sock.recvfrom(65_536))

    with udp_socket(host, PATIENCE * 2, socket) as sock:
        greenlet = gevent.spawn(run)
        try:
            yield sock.getsockname()[1]
        finally:
            greenlet.kill()


class TestThroughATunnel:
    @both_kinds
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_datagrams_go_both_ways(self, kind: str, host: str) -> None:
        with Tunnel(kind) as tunnel, echo(host) as port, association(tunnel.inbound.port) as app:
            for size in (0, 1, 512, 1400, 9000, 60_000):
                payload = bytes([size % 251]) * size
                assert app.ask(host, port, payload) == (host, port, payload)

    def test_a_name(self) -> None:
        with Tunnel() as tunnel, echo() as port, association(tunnel.inbound.port) as app:
            assert app.ask("localhost", port, b"ping") == ("127.0.0.1", port, b"ping")

    def test_many_targets_by_one_association(self) -> None:
        with (
            Tunnel() as tunnel,
            echo() as one,
            echo() as two,
            echo("::1") as three,
            association(tunnel.inbound.port) as app,
        ):
            for host, port in (("127.0.0.1", one), ("::1", three), ("127.0.0.1", two), ("127.0.0.1", one)):
                assert app.ask(host, port, b"ping") == (host, port, b"ping")

    def test_many_associations(self) -> None:
        with Tunnel() as tunnel, echo() as port:
            apps = [association(tunnel.inbound.port) for _ in range(20)]
            for number, app in enumerate(apps):
                app.send("127.0.0.1", port, bytes([number]))
            assert [app.receive()[2] for app in apps] == [bytes([number]) for number in range(20)]
            for app in apps:
                app.close()

    def test_one_address_has_a_share_of_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inbounds, "ASSOCIATIONS_OF_ONE", 1)
        with echo() as port, Tunnel() as tunnel:
            with association(tunnel.inbound.port):
                assert _reply(tunnel.inbound.port) == 2
            eventually(lambda: not tunnel.client.channels)
            with association(tunnel.inbound.port) as app:
                app.ask("127.0.0.1", port, b"ping")

    def test_the_last_datagram_may_come_with_the_end(self) -> None:
        with Tunnel() as tunnel, udp_socket(sockets=socket) as target:
            app = association(tunnel.inbound.port)
            for number in range(5):
                app.send("127.0.0.1", target.getsockname()[1], bytes([number]))
            app.close()
            assert [target.recv(10) for _ in range(5)] == [bytes([number]) for number in range(5)]

    def test_nothing_is_left_of_an_association(self) -> None:
        with Tunnel() as tunnel, echo() as port:
            with association(tunnel.inbound.port) as app:
                app.ask("127.0.0.1", port, b"warm up")
            eventually(lambda: not tunnel.server.channels)
            before = len(open_fds())
            for _ in range(10):
                with association(tunnel.inbound.port) as app:
                    app.ask("127.0.0.1", port, b"ping")
            eventually(lambda: not (tunnel.client.channels or tunnel.server.channels))
            eventually(lambda: len(open_fds()) == before)

    def test_a_lost_link_ends_the_application_too(self) -> None:
        with Tunnel() as tunnel, association(tunnel.inbound.port) as app:
            tunnel.cut()
            assert app.ended()

    def test_a_stop_of_either_side_ends_the_application_too(self) -> None:
        with Tunnel() as tunnel:
            with association(tunnel.inbound.port) as app:
                tunnel.outbound.stop()
                assert app.ended()
            with association(tunnel.inbound.port) as app:
                tunnel.inbound.stop()
                assert app.ended()
                eventually(lambda: not tunnel.server.channels)

    def test_a_drain_does_not_wait_for_it(self) -> None:
        with Tunnel() as tunnel, echo() as port, association(tunnel.inbound.port) as app:
            tunnel.passage.drain(PATIENCE * 10)
            tunnel.outbound.drain(PATIENCE * 10)
            assert app.ask("127.0.0.1", port, b"still here") == ("127.0.0.1", port, b"still here")

    def test_a_flood_holds_up_no_connection(self) -> None:
        """Of 200 MB most is dropped, by one of the two links or by a socket's buffer; the stream is whole."""
        with Tunnel() as tunnel, echo() as port, Target() as target, association(tunnel.inbound.port) as app:
            client, conn = tunnel.join(target)
            flood = gevent.spawn(_flood, app, port)
            for _ in range(50):
                client.sendall(b"ping")
                assert conn.recv(4, socket.MSG_WAITALL) == b"ping"
            flood.kill()
            for sock in (client, conn):
                sock.close()


def _flood(app: Association, port: int) -> None:
    for _ in range(10_000):
        app.send("127.0.0.1", port, bytes(20_000))
        gevent.sleep(0)


class TestWhoMaySend:
    def test_another_port_may_not_once_there_is_one(self) -> None:
        with by_hand() as (peer, app, channel), udp_socket(sockets=socket) as stranger:
            app.send("192.0.2.1", 53, b"mine")
            assert peer.expect(m.Data) == out(b"mine", "192.0.2.1", 53, channel)
            stranger.sendto(pack("192.0.2.1", 53, b"foreign"), app.relay)
            app.send("192.0.2.1", 53, b"mine too")
            assert peer.expect(m.Data).payload == b"mine too"
            peer.send(back(b"answer", channel=channel))
            assert app.receive() == ("127.0.0.1", 53, b"answer")

    def test_only_the_port_that_the_request_named(self) -> None:
        with by_hand(named=None) as (peer, app, channel), udp_socket(sockets=socket) as stranger:
            peer.send(back(b"unasked", channel=channel))  # we know already where to
            assert app.receive()[2] == b"unasked"
            stranger.sendto(pack("192.0.2.1", 53, b"foreign"), app.relay)
            app.send("192.0.2.1", 53, b"mine")
            assert peer.expect(m.Data).payload == b"mine"

    def test_another_address_may_not(self) -> None:
        with by_hand() as (peer, app, _), udp_socket("127.0.0.2", sockets=socket) as stranger:
            stranger.sendto(pack("192.0.2.1", 53, b"foreign"), app.relay)
            app.send("192.0.2.1", 53, b"mine")
            assert peer.expect(m.Data).payload == b"mine"

    def test_what_is_malformed_does_not_count_as_the_first(self) -> None:
        with by_hand() as (peer, app, _), udp_socket(sockets=socket) as stranger:
            stranger.sendto(b"\0\0\0\1", app.relay)
            app.send("192.0.2.1", 53, b"mine")
            assert peer.expect(m.Data).payload == b"mine"

    def test_an_answer_before_the_first_datagram_goes_nowhere(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "linksocks"), by_hand() as (peer, app, channel):
            peer.send(back(b"to whom?", channel=channel))
            peer.fence()
            assert "before the application's first" in caplog.text
            app.send("192.0.2.1", 53, b"mine")
            peer.expect(m.Data)
            peer.send(back(b"now", channel=channel))
            assert app.receive()[2] == b"now"


class TestMalformed:
    def test_whatever_is_cut_short_is_dropped(self, caplog: pytest.LogCaptureFixture) -> None:
        """Four bytes end the whole process of LinkSocks 1.10.3."""
        whole = [pack(host, 53, b"") for host in ("192.0.2.1", "2001:db8::1", "example.org")]
        with caplog.at_level(logging.INFO, "linksocks"), by_hand() as (peer, app, _):
            for raw in whole:
                for size in range(len(raw)):
                    app.udp.sendto(raw[:size], app.relay)
            app.send("192.0.2.1", 53, b"mine")
            assert peer.expect(m.Data).payload == b"mine"
        texts = [record.getMessage().partition(": dropped ")[2] for record in caplog.records]
        assert texts == [
            "a datagram: a datagram without an address",
            "a datagram: a datagram whose address is cut short",
            "12 datagrams: a datagram without an address",
            "38 datagrams: a datagram whose address is cut short",
        ]

    @pytest.mark.parametrize("fragment", [1, 127, 128, 255])
    def test_fragments_are_dropped(self, fragment: int) -> None:
        with by_hand() as (peer, app, _):
            app.udp.sendto(b"\0\0" + bytes([fragment]) + pack("192.0.2.1", 53, b"x")[3:], app.relay)
            app.send("192.0.2.1", 53, b"mine")
            assert peer.expect(m.Data).payload == b"mine"

    def test_an_answer_that_does_not_fit_is_dropped(self) -> None:
        with by_hand() as (peer, app, channel):
            app.send("192.0.2.1", 53, b"mine")
            peer.expect(m.Data)
            peer.send(back(bytes(65_507), "127.0.0.1", 53, channel), back(bytes(300_000), channel=channel))
            peer.send_raw(b"\x01\x04\x02" + channel + b"\0\0\0\0\1x\xff" + b"\xfe" * 255 + b"\0\x35\0\0\0")
            peer.send(back(b"fits", channel=channel))
            assert app.receive()[2] == b"fits"


class TestThePort:
    def test_it_is_on_the_address_that_the_application_used(self) -> None:
        with Peer("ours", client=False) as peer, inbound(peer, "0.0.0.0") as port:
            for host in ("127.0.0.1", "127.0.0.7"):
                asking = gevent.spawn(association, port, host)
                peer.send(m.ConnectResponse(True, peer.expect(m.Connect).channel))
                with asking.get() as app:
                    assert app.relay[0] == host
                    app.send("192.0.2.1", 53, b"x")
                    assert peer.expect(m.Data).payload == b"x"
                peer.expect(m.Disconnect)

    @pytest.mark.parametrize("host", ["::1", "::"])
    def test_ipv6(self, host: str) -> None:
        with by_hand(host=host) as (peer, app, channel):
            assert app.relay[0] == "::1"
            app.send("192.0.2.1", 53, b"x")
            assert peer.expect(m.Data) == out(b"x", "192.0.2.1", 53, channel)
            peer.send(back(b"y", "2001:db8::1", 53, channel))
            assert app.receive() == ("2001:db8::1", 53, b"y")

    def test_an_ipv4_application_at_a_port_for_both(self) -> None:
        listener = socket.socket(socket.AF_INET6)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", 0))
        with Peer("ours", client=False) as peer:
            side = Inbound(listener, Passage(lambda: peer.link))
            side.start()
            asking = gevent.spawn(association, side.port)
            peer.send(m.ConnectResponse(True, peer.expect(m.Connect).channel))
            with asking.get() as app:
                assert app.relay[0] == "127.0.0.1"
                app.send("192.0.2.1", 53, b"x")
                assert peer.expect(m.Data).payload == b"x"
            peer.expect(m.Disconnect)
            side.stop()


class TestTheRequest:
    @pytest.mark.parametrize("cause", [Cause.GENERAL, Cause.NOT_ALLOWED, Cause.NETWORK_UNREACHABLE])
    def test_a_refusal_is_told(self, cause: Cause) -> None:
        with Peer("ours", client=False) as peer, inbound(peer) as port:
            asking = gevent.spawn(_reply, port)
            channel = peer.expect(m.Connect).channel
            peer.send(m.ConnectResponse(False, channel, "no", cause))
            assert asking.get() == cause
            assert peer.fence() == []
            assert peer.link.channels == 0

    def test_no_udp_port_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(associations, "UdpSocket", full)
        with Peer("ours", client=False) as peer, inbound(peer) as port:
            assert _reply(port) == Cause.GENERAL
            assert peer.expect(m.Disconnect)
            assert peer.link.channels == 0

    def test_bytes_on_the_tcp_connection_mean_nothing(self) -> None:
        with by_hand() as (peer, app, _):
            app.control.sendall(bytes(100_000))
            app.send("192.0.2.1", 53, b"x")
            assert peer.expect(m.Data).payload == b"x"

    def test_a_reset_ends_it(self) -> None:
        with by_hand() as (_, app, _):
            app.control.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            app.control.close()

    @pytest.mark.parametrize("error", ["", "idle for too long"])
    def test_the_end_of_the_channel_ends_it(self, error: str) -> None:
        with Peer("ours", client=False) as peer, inbound(peer) as port:
            asking = gevent.spawn(association, port)
            channel = peer.expect(m.Connect).channel
            peer.send(m.ConnectResponse(True, channel))
            with asking.get() as app:
                peer.send(m.Disconnect(channel, error))
                assert app.ended()
            assert peer.fence() == []

    def test_an_end_right_behind_the_answer(self) -> None:
        with Peer("ours", client=False) as peer, inbound(peer) as port:
            asking = gevent.spawn(association, port)
            channel = peer.expect(m.Connect).channel
            peer.send(m.ConnectResponse(True, channel), m.Disconnect(channel))
            with asking.get() as app:
                assert app.ended()


def _reply(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as control:
        try:
            associate(control)
        except SocksRefused as refused:
            return refused.reply
    return 0
