"""Associations in a link, against an end played by hand; and two of them, joined."""

import gc
import gzip
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent import socket

from linksocks.errors import Cause, DialError
from linksocks.net.out.egress import Direct
from linksocks.net.out.resolve import Resolver
from linksocks.tunnel.channels import idle as idles
from linksocks.tunnel.channels import link as links
from linksocks.tunnel.channels.channel import Channel
from linksocks.tunnel.channels.datagrams import MAX_QUEUED, MAX_QUEUED_BYTES, DatagramChannel, join
from linksocks.tunnel.ends import outbound as outbounds
from linksocks.tunnel.ends import switch as switches
from linksocks.tunnel.ends.outbound import Outbound
from linksocks.tunnel.ends.switch import Switch
from linksocks.wire import messages as m
from linksocks.wire.codec import pack
from tests.support.associations import udp_socket
from tests.support.tunnels import KINDS, PATIENCE, Peer
from tests.tunnel.channels.test_channel import Slow, connected

A, B = b"a" * 16, b"b" * 16
UDP = m.Transport.UDP

both_kinds = pytest.mark.parametrize("kind", KINDS)


class Sink:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.datagrams: list[tuple[bytes, str, int]] = []
        self.ends: list[str] = []

    def deliver(self, payload: bytes, host: str, port: int) -> None:
        self.datagrams.append((bytes(payload), host, port))

    def deliver_end(self, reason: str) -> None:
        self.ends.append(reason)


class Taken:
    """An acceptor that takes every channel; `attach` says whether with a sink at once."""

    def __init__(self, *, attach: bool = True) -> None:
        self.channels: list[DatagramChannel] = []
        self.sinks: list[Sink] = []
        self.streams: list[Slow] = []
        self._attach = attach

    def accept(self, channel: Channel, connect: m.Connect) -> None:
        self.streams.append(Slow(channel))

    def accept_datagrams(self, channel: DatagramChannel, connect: m.Connect) -> None:
        channel.accept()
        self.channels.append(channel)
        self.sinks.append(Sink())
        if self._attach:
            channel.attach(self.sinks[-1])


def out(payload: bytes, host: str = "127.0.0.1", port: int = 53, channel: bytes = A) -> m.Data:
    """A datagram to a target."""
    return m.Data(channel, payload, UDP, target=(host, port))


def back(payload: bytes, host: str = "127.0.0.1", port: int = 53, channel: bytes = A) -> m.Data:
    """A datagram from a target."""
    return m.Data(channel, payload, UDP, source=(host, port))


def opened(peer: Peer) -> tuple[DatagramChannel, Sink]:
    """An association of ours that the peer has accepted."""
    channel = peer.link.open_datagrams()
    connecting = gevent.spawn(channel.connect, PATIENCE)
    connect = peer.expect(m.Connect)
    assert connect == m.Connect(channel.id, transport=UDP)
    peer.send(m.ConnectResponse(True, channel.id))
    connecting.get()
    sink = Sink()
    channel.attach(sink)
    return channel, sink


@contextmanager
def accepted(kind: str = "ours", *, attach: bool = True, client: bool = True) -> Iterator[tuple[Peer, Taken]]:
    """A peer that has opened the association A."""
    taken = Taken(attach=attach)
    with Peer(kind, client=client, acceptor=taken) as peer:
        peer.send(m.Connect(A, transport=UDP))
        assert peer.expect(m.ConnectResponse) == m.ConnectResponse(True, A)
        yield peer, taken
        peer.send(m.Disconnect(A))
        peer.fence()
        assert peer.link.channels == 0


class TestOpenedByUs:
    @both_kinds
    def test_targets_go_out_and_sources_come_back(self, kind: str) -> None:
        with Peer(kind, client=False) as peer:
            channel, sink = opened(peer)
            channel.send(b"ping", "example.org", 53)
            assert peer.expect(m.Data) == out(b"ping", "example.org", 53, channel.id)
            peer.send(back(b"pong", "192.0.2.1", 53, channel.id), back(b"", "2001:db8::1", 1, channel.id))
            peer.fence()
            assert sink.datagrams == [(b"pong", "192.0.2.1", 53), (b"", "2001:db8::1", 1)]
            channel.end()
            assert peer.expect(m.Disconnect) == m.Disconnect(channel.id)
            assert peer.link.channels == 0
            assert sink.ends == []

    def test_a_connect_has_no_address(self) -> None:
        with Peer("foreign", client=False) as peer:
            channel = peer.link.open_datagrams()
            connecting = gevent.spawn(channel.connect, PATIENCE)
            assert peer.next_raw() == b"\x01\x03\x02" + channel.id
            peer.send(m.ConnectResponse(True, channel.id))
            connecting.get()
            channel.end()
            peer.expect(m.Disconnect)

    @pytest.mark.parametrize(
        ("answer", "cause"),
        [
            (m.ConnectResponse(False, A, "no", Cause.NOT_ALLOWED), Cause.NOT_ALLOWED),
            (m.ConnectResponse(False, A, "network is unreachable"), Cause.NETWORK_UNREACHABLE),
            (m.Disconnect(A), Cause.GENERAL),
            (m.Disconnect(A, "gone"), Cause.GENERAL),
            (None, Cause.GENERAL),
        ],
        ids=["cause", "text", "closed", "broken", "lost"],
    )
    def test_an_association_that_is_refused(self, answer: m.Message | None, cause: Cause) -> None:
        with Peer("ours", client=False) as peer:
            channel = peer.link.open_datagrams()
            connecting = gevent.spawn(_failure, channel, PATIENCE)
            peer.expect(m.Connect)
            if answer is None:
                peer.socket.close()
            else:
                peer.send_raw(pack(answer).replace(A, channel.id))
            assert connecting.get().cause is cause
            channel.end()
            assert peer.link.channels == 0

    def test_no_answer_in_time(self) -> None:
        with Peer("ours", client=False) as peer:
            channel = peer.link.open_datagrams()
            assert _failure(channel, 0.01).cause is Cause.TIMED_OUT
            peer.expect(m.Connect)
            assert peer.expect(m.Disconnect).channel == channel.id
            peer.send(m.ConnectResponse(True, channel.id), back(b"late", channel=channel.id))
            assert peer.fence() == []
            assert peer.link.channels == 0

    def test_one_that_is_stopped_while_it_waits(self) -> None:
        with Peer("ours", client=False) as peer:
            channel = peer.link.open_datagrams()
            connecting = gevent.spawn(channel.connect, PATIENCE)
            peer.expect(m.Connect)
            connecting.kill()
            assert peer.expect(m.Disconnect).channel == channel.id
            assert peer.link.channels == 0


def _failure(channel: DatagramChannel, timeout: float) -> DialError:
    with pytest.raises(DialError) as caught:
        channel.connect(timeout)
    return caught.value


class TestOpenedByThePeer:
    @both_kinds
    def test_targets_come_in_and_sources_go_back(self, kind: str) -> None:
        with accepted(kind) as (peer, taken):
            peer.send(out(b"ping", "example.org"))
            peer.fence()
            assert taken.sinks[0].datagrams == [(b"ping", "example.org", 53)]
            taken.channels[0].send(b"pong", "2001:db8::1", 53)
            assert peer.expect(m.Data) == back(b"pong", "2001:db8::1")

    def test_what_comes_early_waits_for_the_sink(self) -> None:
        """LinkSocks with fast open does not wait for the answer."""
        with accepted(attach=False, client=False) as (peer, taken):
            texts = [bytes([number]) * 60_000 for number in range(5)]
            for text in texts[:4]:
                peer.send(out(text))
            peer.fence()
            taken.channels[0].attach(taken.sinks[0])
            peer.send(out(texts[4]))
            peer.fence()
            assert [payload for payload, _, _ in taken.sinks[0].datagrams] == texts

    def test_early_datagrams_come_even_when_the_end_came_too(self) -> None:
        with accepted(attach=False) as (peer, taken):
            peer.send(out(b"1"), m.Disconnect(A))
            peer.fence()
            taken.channels[0].attach(taken.sinks[0])
            assert taken.sinks[0].datagrams == [(b"1", "127.0.0.1", 53)]
            assert taken.sinks[0].ends == ["the peer has ended the association"]

    @pytest.mark.parametrize(
        ("size", "room"), [(0, MAX_QUEUED), (1024, MAX_QUEUED_BYTES // 1024), (300_000, 0)]
    )
    def test_early_datagrams_are_bounded(self, size: int, room: int) -> None:
        with accepted(attach=False) as (peer, taken):
            for _ in range(room + 7):
                peer.send(out(bytes(size)))
            peer.fence()
            assert taken.channels[0].drops.total == 7
            taken.channels[0].attach(taken.sinks[0])
            assert len(taken.sinks[0].datagrams) == room

    def test_compressed_datagrams(self) -> None:
        """pywssocks compresses each."""
        body = gzip.compress(b"ping")
        with accepted("foreign") as (peer, taken):
            raw = (
                b"\x01\x04\x02"
                + A
                + b"\x01"
                + len(body).to_bytes(4)
                + body
                + b"\0\0\0"
                + b"\x09127.0.0.1\0\x35"
            )
            peer.send_raw(raw)
            peer.fence()
            assert taken.sinks[0].datagrams == [(b"ping", "127.0.0.1", 53)]

    def test_one_id_opened_twice_ends_the_link(self) -> None:
        taken = Taken()
        with Peer("ours", client=True, acceptor=taken) as peer:
            peer.send(m.Connect(A, transport=UDP), m.Connect(A, "127.0.0.1", 80))
            peer.expect(m.ConnectResponse)
            assert peer.closed().code == 1002
            assert taken.sinks[0].ends == ["the link was lost"]

    def test_a_resume_has_expired(self) -> None:
        taken = Taken()
        with Peer("foreign", client=True, acceptor=taken) as peer:
            peer.send(m.Connect(A, transport=UDP), m.Connect(A, transport=UDP, resume=True))
            peer.expect(m.ConnectResponse)
            assert peer.expect(m.Disconnect) == m.Disconnect(A, "channel expired")
            assert taken.sinks[0].ends == ["channel expired"]
            assert peer.link.channels == 0


class TestWhatIsNotForIt:
    def test_data_of_the_other_transport_is_dropped(self) -> None:
        with accepted() as (peer, taken):
            peer.send(m.Connect(B, "127.0.0.1", 80))
            peer.fence()
            peer.send(
                m.Data(A, b"bytes"), out(b"a datagram", channel=B), out(b"of nobody", channel=b"c" * 16)
            )
            peer.send(m.Data(B, b"stream"), out(b"datagram"))
            assert peer.fence() == []
            assert taken.streams[0].data == b"stream"
            assert [payload for payload, _, _ in taken.sinks[0].datagrams] == [b"datagram"]
            peer.send(m.Disconnect(B))

    def test_messages_of_streams_mean_nothing(self) -> None:
        with accepted() as (peer, taken):
            peer.send(
                m.Consumed(A, 1 << 60, 1 << 20), m.EndOfStream(A), m.ConnectResponse(True, A), out(b"x")
            )
            assert peer.fence() == []
            assert taken.sinks[0].datagrams == [(b"x", "127.0.0.1", 53)]

    def test_an_address_that_does_not_fit_is_dropped(self) -> None:
        """Bytes that are no UTF-8 take three times their room once they are text."""
        with accepted() as (peer, taken):
            peer.send_raw(
                b"\x01\x04\x02" + A + b"\0\0\0\0\1x" + b"\0\0\0" + b"\xff" + b"\xfe" * 255 + b"\0\x35"
            )
            peer.fence()
            ((_, host, _),) = taken.sinks[0].datagrams
            taken.channels[0].send(b"x", host, 53)
            taken.channels[0].send(b"y", "127.0.0.1", 53)
            assert peer.expect(m.Data) == back(b"y")
            assert taken.channels[0].drops.total == 1


class TestEnds:
    def test_what_was_sent_goes_out_before_the_end(self) -> None:
        with Peer("ours", client=False) as peer:
            channel, _ = opened(peer)
            for number in range(20):
                channel.send(bytes([number]), "127.0.0.1", 53)
            channel.end("over")
            channel.send(b"too late", "127.0.0.1", 53)
            assert [peer.expect(m.Data).payload for _ in range(20)] == [bytes([n]) for n in range(20)]
            assert peer.expect(m.Disconnect) == m.Disconnect(channel.id, "over")
            assert peer.link.channels == 0

    def test_a_refusal_that_comes_late(self) -> None:
        """Only the side that is asked answers; a peer that does so nevertheless ends the association."""
        with accepted() as (peer, taken):
            peer.send(m.ConnectResponse(False, A, "nonsense"))
            assert peer.fence() == []
            assert taken.sinks[0].ends == ["nonsense"]

    @pytest.mark.parametrize("error", ["", "EOF", "broken"])
    def test_the_peers_end(self, error: str) -> None:
        with accepted() as (peer, taken):
            peer.send(m.Disconnect(A, error), out(b"late"))
            assert peer.fence() == []
            assert taken.sinks[0].ends == [error or "the peer has ended the association"]
            assert taken.sinks[0].datagrams == []
            taken.channels[0].send(b"late", "127.0.0.1", 53)
            assert peer.fence() == []

    def test_the_link_is_lost(self) -> None:
        with Peer("ours", client=False) as peer:
            pairs = [opened(peer) for _ in range(3)]
            peer.socket.close()
            while peer.link.channels:
                gevent.sleep(0)
            assert [sink.ends for _, sink in pairs] == [["the link was lost"]] * 3
            with pytest.raises(DialError, match="the link was lost"):
                peer.link.open_datagrams()

    def test_an_idle_one_is_closed_and_a_busy_one_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(idles, "_LOOK", 0.02)
        monkeypatch.setattr(idles, "ASSOCIATION_IDLE", 0.05)
        with Peer("ours", client=False) as peer:
            idle, idle_sink = opened(peer)
            busy, busy_sink = opened(peer)
            while not idle_sink.ends:
                peer.send(back(b".", channel=busy.id))
                gevent.sleep(0.002)
            assert idle_sink.ends == ["idle for too long"]
            assert peer.expect(m.Disconnect) == m.Disconnect(idle.id, "idle for too long")
            assert busy_sink.ends == []
            busy.end()
            peer.expect(m.Disconnect)

    def test_a_link_counts_as_drained_when_only_datagrams_are_left(self) -> None:
        """They have no last one that anybody could wait for."""
        with Peer("ours", client=False) as peer:
            channel, _ = opened(peer)
            assert peer.link.drained(0)
            assert peer.link.channels == 1
            stream, _ = connected(peer)
            assert not peer.link.drained(0)
            stream.abort("over")
            peer.expect(m.Disconnect)
            assert peer.link.drained(0)
            channel.end()
            peer.expect(m.Disconnect)


class TestBounds:
    def test_a_slow_link_drops_datagrams_and_its_streams_go_on(self) -> None:
        taken = Taken()
        with Peer("ours", client=True, acceptor=taken) as peer:
            peer.send(m.Connect(A, transport=UDP), m.Connect(B, "127.0.0.1", 80))
            peer.expect(m.ConnectResponse)
            association, stream = taken.channels[0], taken.streams[0].channel
            stream.accept()
            sent = 0
            while not association.drops.total:  # until the socket's buffers and the queue are full
                association.send(bytes(10_000), "127.0.0.1", 53)
                sent += 1
                gevent.sleep(0)
            queued = sum(size for _, size in association._outgoing._waiting)
            assert MAX_QUEUED_BYTES - 11_000 < queued <= MAX_QUEUED_BYTES
            for _ in range(1000):
                association.send(bytes(10_000), "127.0.0.1", 53)
            assert association.drops.total == 1001
            sending = gevent.spawn(stream.send, b"a stream")
            peer.send(m.Data(B, b"both ways"))
            arrived, between = 0, []
            while arrived < sent - 1:
                message = peer.next()
                if isinstance(message, m.Data) and message.channel == A:
                    arrived += 1
                else:
                    between.append(message)
            sending.get()
            assert m.Data(B, b"a stream") in between
            assert taken.streams[0].data == b"both ways"
            stream.abort("over")
            association.end()

    def test_associations_of_a_link_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(links, "MAX_ASSOCIATIONS", 2)
        with accepted() as (peer, _):
            peer.send(m.Connect(B, transport=UDP), m.Connect(b"c" * 16, transport=UDP))
            assert peer.expect(m.ConnectResponse).success
            answer = peer.expect(m.ConnectResponse)
            assert (answer.success, answer.channel) == (False, b"c" * 16)
            with pytest.raises(DialError, match="2 UDP associations"):
                peer.link.open_datagrams()
            peer.send(m.Disconnect(B))
            peer.fence()
            ours, _ = opened(peer)
            ours.end()
            peer.expect(m.Disconnect)

    def test_drops_are_few_lines_in_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        with accepted(attach=False) as (peer, _), caplog.at_level(logging.INFO, "linksocks"):
            for _ in range(2000):
                peer.send(out(b""))
            peer.fence()
            assert len(_of_drops(caplog)) == 1
            peer.send(m.Disconnect(A))
            peer.fence()
        assert [line.partition(": ")[2] for line in _of_drops(caplog)] == [
            "dropped a datagram: too many came before their way out was open",
            f"dropped {2000 - MAX_QUEUED} datagrams: too many came before their way out was open",
        ]


def _of_drops(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "linksocks.net.out.drops"]


class TestJoined:
    @pytest.mark.parametrize("end", ["asked", "opened"])
    def test_datagrams_and_ends_pass_both_ways(self, end: str) -> None:
        with accepted() as (connector, taken), Peer("foreign", client=False) as provider:
            onward, _ = opened(provider)
            join(taken.channels[0], onward)
            connector.send(out(b"ping", "example.org", 53))
            assert provider.expect(m.Data) == out(b"ping", "example.org", 53, onward.id)
            provider.send(back(b"pong", "192.0.2.1", 53, onward.id))
            assert connector.expect(m.Data) == back(b"pong", "192.0.2.1", 53)
            if end == "asked":
                connector.send(m.Disconnect(A, "over"))
                assert provider.expect(m.Disconnect) == m.Disconnect(onward.id, "over")
            else:
                provider.send(m.Disconnect(onward.id, "over"))
                assert connector.expect(m.Disconnect) == m.Disconnect(A, "over")
            assert provider.link.channels == 0


class TestSwitch:
    """Agent mode: an association of a connector, and one with a provider."""

    def test_datagrams_pass_from_the_first_on(self) -> None:
        with switched() as (connector, provider, _):
            connector.send(m.Connect(A, transport=UDP), out(b"early"))
            onward = provider.expect(m.Connect)
            assert onward == m.Connect(onward.channel, transport=UDP)
            provider.send(m.ConnectResponse(True, onward.channel))
            assert connector.expect(m.ConnectResponse) == m.ConnectResponse(True, A)
            assert provider.expect(m.Data) == out(b"early", channel=onward.channel)
            provider.send(back(b"answer", channel=onward.channel))
            assert connector.expect(m.Data) == back(b"answer")
            connector.send(m.Disconnect(A))
            assert provider.expect(m.Disconnect).channel == onward.channel

    def test_what_has_ended_is_not_counted_any_more(self) -> None:
        with switched() as (connector, provider, switch):
            gc.disable()
            try:
                for _ in range(3):
                    connector.send(m.Connect(A, transport=UDP))
                    provider.send(m.ConnectResponse(True, provider.expect(m.Connect).channel))
                    assert connector.expect(m.ConnectResponse).success
                    connector.send(m.Disconnect(A))
                    provider.expect(m.Disconnect)
                    connector.fence()
                assert len(switch._associations) <= 1  # the link's reader may hold the last
            finally:
                gc.enable()

    def test_a_refusal_passes(self) -> None:
        with switched() as (connector, provider, _):
            connector.send(m.Connect(A, transport=UDP))
            onward = provider.expect(m.Connect)
            provider.send(m.ConnectResponse(False, onward.channel, "no", Cause.NOT_ALLOWED))
            assert connector.expect(m.ConnectResponse) == m.ConnectResponse(False, A, "no", Cause.NOT_ALLOWED)

    def test_no_provider(self) -> None:
        with switched() as (connector, provider, _):
            provider.socket.close()
            while provider.link.alive:
                gevent.sleep(0)
            connector.send(m.Connect(A, transport=UDP))
            assert not connector.expect(m.ConnectResponse).success

    def test_a_connector_that_goes_meanwhile(self) -> None:
        with switched() as (connector, provider, _):
            connector.send(m.Connect(A, transport=UDP))
            onward = provider.expect(m.Connect)
            connector.send(m.Disconnect(A))
            connector.fence()
            provider.send(m.ConnectResponse(True, onward.channel))
            assert provider.expect(m.Disconnect).channel == onward.channel
            assert connector.fence() == []

    def test_a_stop_ends_those_that_are_open_and_those_that_are_opening(self) -> None:
        with switched() as (connector, provider, switch):
            connector.send(m.Connect(A, transport=UDP))
            first = provider.expect(m.Connect).channel
            provider.send(m.ConnectResponse(True, first))
            connector.expect(m.ConnectResponse)
            connector.send(m.Connect(B, transport=UDP))
            second = provider.expect(m.Connect).channel
            switch.stop()
            assert {provider.expect(m.Disconnect).channel for _ in range(2)} == {first, second}
            assert {connector.expect(m.Disconnect).channel for _ in range(2)} == {A, B}

    def test_too_many_and_draining(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with switched() as (connector, _, switch):
            monkeypatch.setattr(switches, "MAX_RELAYS", 0)
            connector.send(m.Connect(A, transport=UDP))
            assert "too many" in connector.expect(m.ConnectResponse).error
            monkeypatch.undo()
            switch.drain(0)
            connector.send(m.Connect(A, transport=UDP))
            assert "stopping" in connector.expect(m.ConnectResponse).error


@contextmanager
def switched() -> Iterator[tuple[Peer, Peer, Switch]]:
    """A connector and a provider, both played by hand, and the switch between them."""
    with Peer("ours", client=False) as provider:
        switch = Switch(lambda: provider.link)
        with Peer("ours", client=True, acceptor=switch) as connector:
            yield connector, provider, switch
            while connector.link.channels or provider.link.channels:
                gevent.sleep(0)
            switch.stop()


class TestOutbound:
    @both_kinds
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_datagrams_leave_and_answers_come(self, kind: str, host: str) -> None:
        with going_out(kind) as (peer, _), udp_socket(host, sockets=socket) as target:
            port = target.getsockname()[1]
            for size in (0, 1, 1400, 60_000):
                peer.send(out(bytes(size), host, port))
                got, source = target.recvfrom(65_536)
                assert len(got) == size
                target.sendto(got, source)
                assert peer.expect(m.Data) == back(bytes(size), host, port)

    def test_a_name(self) -> None:
        with going_out() as (peer, _), udp_socket(sockets=socket) as target:
            port = target.getsockname()[1]
            peer.send(out(b"to a name", "localhost", port), out(b"again", "localhost", port))
            assert target.recv(100) == b"to a name"
            got, source = target.recvfrom(100)
            target.sendto(got, source)
            assert peer.expect(m.Data) == back(b"again", "127.0.0.1", port)

    def test_what_comes_with_the_request_is_sent(self) -> None:
        resolver = Resolver()
        acceptor = Outbound(Direct(resolver))
        with Peer("foreign", client=True, acceptor=acceptor) as peer, udp_socket(sockets=socket) as target:
            port = target.getsockname()[1]
            peer.send(m.Connect(A, transport=UDP), out(b"fire", port=port), m.Disconnect(A))
            assert target.recv(100) == b"fire"
        acceptor.stop()
        resolver.close()

    def test_no_socket_is_a_refusal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise DialError(Cause.GENERAL, "no UDP socket")

        monkeypatch.setattr(Direct, "open_datagrams", full)
        acceptor = Outbound(Direct(Resolver()))
        with Peer("ours", client=True, acceptor=acceptor) as peer:
            peer.send(m.Connect(A, transport=UDP))
            assert peer.expect(m.ConnectResponse) == m.ConnectResponse(
                False, A, "no UDP socket", Cause.GENERAL
            )
            assert peer.link.channels == 0

    def test_a_way_out_that_ends_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with going_out() as (peer, acceptor):
            (greenlet,) = acceptor._associations
            greenlet.kill(DialError(Cause.GENERAL, "the proxy has closed"))
            assert peer.expect(m.Disconnect) == m.Disconnect(A, "the proxy has closed")

    def test_a_stop_is_told(self) -> None:
        with going_out() as (peer, acceptor):
            acceptor.stop()
            assert peer.expect(m.Disconnect) == m.Disconnect(A, "the association was stopped")

    def test_too_many_and_draining(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with going_out() as (peer, acceptor):
            monkeypatch.setattr(outbounds, "MAX_RELAYS", 1)
            peer.send(m.Connect(B, transport=UDP))
            assert "too many" in peer.expect(m.ConnectResponse).error
            monkeypatch.undo()
            acceptor.drain(0)
            peer.send(m.Connect(B, transport=UDP))
            assert "stopping" in peer.expect(m.ConnectResponse).error

    def test_a_flood_of_answers_holds_up_no_stream(self) -> None:
        """More than the link takes is dropped, by us or by the system before."""
        with going_out() as (peer, _), udp_socket(sockets=socket) as target:
            peer.send(out(b"x", port=target.getsockname()[1]))
            source = target.recvfrom(10)[1]
            for _ in range(5000):
                target.sendto(bytes(20_000), source)
            peer.send(m.Connect(B, "127.0.0.1", 1))
            while not isinstance(message := peer.next(), m.ConnectResponse):
                assert isinstance(message, m.Data)
            assert message.channel == B


@contextmanager
def going_out(kind: str = "ours") -> Iterator[tuple[Peer, Outbound]]:
    """A peer with the association A, whose datagrams leave this machine."""
    resolver = Resolver()
    acceptor = Outbound(Direct(resolver))
    try:
        with Peer(kind, client=True, acceptor=acceptor) as peer:
            peer.send(m.Connect(A, transport=UDP))
            assert peer.expect(m.ConnectResponse) == m.ConnectResponse(True, A)
            yield peer, acceptor
            peer.send(m.Disconnect(A))
            peer.fence()
            assert peer.link.channels == 0
    finally:
        acceptor.stop()
        resolver.close()
