"""Connections of the program itself: against a peer played by hand, and through a whole tunnel."""

from __future__ import annotations

import errno
import os
import socket as stdlib_socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from linksocks.errors import Cause, DialError, NoLinkError
from linksocks.net.out.resolve import Resolver
from linksocks.tunnel.access import AccessRules, parse_rules
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.ends import callers as module
from linksocks.tunnel.ends.callers import Callers
from linksocks.tunnel.ends.passage import Passage
from linksocks.tunnel.gate import Gate
from linksocks.wire import messages as m
from tests.support.targets import EchoTarget
from tests.support.tunnels import KINDS, PATIENCE, Peer, Target, Tunnel, read_to_end, reset

both_kinds = pytest.mark.parametrize("kind", KINDS)


class Program:
    """Dials through the link of `peer`; `passage` and `callers` are what it dials with."""

    def __init__(self, pick_link: Callable[[], Link], gate: Gate | None = None) -> None:
        self.passage = Passage(pick_link, gate)
        self.callers = Callers(self.passage)

    def begin(self, timeout: float | None = None) -> gevent.Greenlet:
        return gevent.spawn(self.dial, "target", 80, timeout)

    def dial(self, host: str, port: int, timeout: float | None = None) -> socket.socket:
        sock = socket.socket(fileno=self.callers.dial(host, port, timeout))
        sock.settimeout(PATIENCE)
        return sock


@contextmanager
def calling(kind: str = "ours", *, max_window: int = 0) -> Iterator[tuple[Peer, Program]]:
    with Peer(kind, client=False, max_window=max_window) as peer:
        yield peer, Program(lambda: peer.link)


def connected(peer: Peer, program: Program) -> tuple[socket.socket, m.ChannelId]:
    """A connection of the program, and its channel."""
    dialling = program.begin()
    connect = peer.expect(m.Connect)
    assert (connect.host, connect.port) == ("target", 80)
    peer.send(m.ConnectResponse(True, connect.channel))
    return dialling.get(), connect.channel


@both_kinds
def test_bytes_go_both_ways(kind: str) -> None:
    with calling(kind) as (peer, program):
        sock, channel = connected(peer, program)
        peer.send(m.Data(channel, b"220 hello"))
        assert sock.recv(10) == b"220 hello"
        sock.sendall(b"EHLO")
        assert peer.expect_data(channel, 4) == b"EHLO"
        peer.send(m.Disconnect(channel))
        assert read_to_end(sock) == (b"", True)
        sock.close()


def test_the_descriptor_is_that_of_a_plain_blocking_connection() -> None:
    with EchoTarget() as echo, Tunnel() as tunnel:
        carrier = Program(lambda: tunnel.client).callers.dial("127.0.0.1", echo.port)
        with stdlib_socket.socket(fileno=carrier) as sock:
            assert os.get_blocking(sock.fileno())
            assert not os.get_inheritable(sock.fileno())
            assert (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_STREAM)
            assert sock.getpeername()[0] == sock.getsockname()[0] == "127.0.0.1"


def test_what_comes_before_the_sockets_are_there_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made, reached, go_on = module.connected_pair, Event(), Event()

    def slow() -> tuple[socket.socket, socket.socket]:
        reached.set()
        go_on.wait()
        return made()

    monkeypatch.setattr(module, "connected_pair", slow)
    with calling() as (peer, program):
        dialling = program.begin()
        channel = peer.expect(m.Connect).channel
        peer.send(m.ConnectResponse(True, channel), m.Data(channel, b"banner"), m.Disconnect(channel))
        reached.wait()
        peer.fence()
        go_on.set()
        sock = dialling.get()
        assert read_to_end(sock) == (b"banner", True)
        sock.close()


class TestEnds:
    @both_kinds
    def test_a_reset_of_the_channel_is_one(self, kind: str) -> None:
        with calling(kind) as (peer, program):
            sock, channel = connected(peer, program)
            peer.send(m.Disconnect(channel, "the target is gone"))
            with pytest.raises(ConnectionResetError) as caught:
                sock.recv(1)
            assert caught.value.errno == errno.ECONNRESET
            sock.close()

    @both_kinds
    def test_a_lost_link_is_a_reset(self, kind: str) -> None:
        with calling(kind) as (peer, program):
            sock, channel = connected(peer, program)
            peer.send(m.Data(channel, b"half of it"))
            assert sock.recv(10) == b"half of it"
            peer.socket.close()
            assert read_to_end(sock) == (b"", False)
            sock.close()

    def test_each_direction_ends_by_itself(self) -> None:
        with calling() as (peer, program):
            sock, channel = connected(peer, program)
            sock.shutdown(socket.SHUT_WR)
            assert peer.expect(m.EndOfStream).channel == channel
            peer.send(m.Data(channel, b"answer"), m.EndOfStream(channel))
            assert read_to_end(sock) == (b"answer", True)
            sock.close()

    @both_kinds
    def test_a_reset_of_the_holder_breaks_the_channel(self, kind: str) -> None:
        with calling(kind) as (peer, program):
            sock, channel = connected(peer, program)
            reset(sock)
            broken = peer.expect(m.Disconnect)
            assert broken.channel == channel
            assert broken.error not in ("", "EOF")

    def test_a_slow_holder_slows_its_own_target_and_nobody_else(self) -> None:
        with Target() as target, Tunnel() as tunnel:
            program = Program(lambda: tunnel.client)
            slow, theirs = joined(program, target)
            flood = gevent.spawn(theirs.sendall, bytes(64 * 1024 * 1024))
            for _ in range(3):
                quick, other = joined(program, target)
                other.sendall(b"x" * 100_000)
                other.close()
                assert read_to_end(quick) == (b"x" * 100_000, True)
                quick.close()
            assert not flood.ready()
            reset(slow)
            with pytest.raises(OSError, match=r"reset|pipe"):
                flood.get(timeout=PATIENCE)
            theirs.close()


def joined(program: Program, target: Target) -> tuple[socket.socket, socket.socket]:
    """A connection of the program, and what the target has of it."""
    waiting = gevent.spawn(target.accept)
    return program.dial("127.0.0.1", target.port), waiting.get()


class TestRefusals:
    """The leak check of all tests here says that nothing is left of a dial that failed."""

    @both_kinds
    def test_the_target_is_not_there(self, kind: str) -> None:
        with calling(kind) as (peer, program):
            dialling = program.begin()
            channel = peer.expect(m.Connect).channel
            peer.send(m.ConnectResponse(False, channel, "connection refused"))
            with pytest.raises(DialError) as caught:
                dialling.get()
            assert caught.value.cause is Cause.REFUSED
            peer.fence()

    @both_kinds
    def test_no_answer_in_time(self, kind: str) -> None:
        with calling(kind) as (peer, program):
            dialling = program.begin(timeout=0.05)
            channel = peer.expect(m.Connect).channel
            with pytest.raises(DialError, match=r"target:80 was not reached in 0\.05 s") as caught:
                dialling.get()
            assert caught.value.cause is Cause.TIMED_OUT
            assert peer.expect(m.Disconnect).channel == channel
            peer.send(m.ConnectResponse(True, channel), m.Data(channel, b"too late"))
            peer.fence()

    def test_the_time_is_for_the_link_too(self) -> None:
        program = Program(lambda: gevent.sleep(3600))
        with pytest.raises(DialError, match="was not reached"):
            program.dial("target", 80, 0.05)

    def test_the_usual_time(self) -> None:
        with calling() as (peer, program):
            program.passage.answer_timeout = 0.05
            dialling = program.begin()
            channel = peer.expect(m.Connect).channel
            with pytest.raises(DialError, match=r"no answer to the connect request in 0\.05 s"):
                dialling.get()
            assert peer.expect(m.Disconnect).channel == channel

    def test_the_link_is_lost_meanwhile(self) -> None:
        with calling() as (peer, program):
            dialling = program.begin()
            peer.expect(m.Connect)
            peer.socket.close()
            with pytest.raises(DialError):
                dialling.get()

    def test_there_is_no_link(self) -> None:
        def none() -> Link:
            raise DialError(Cause.NETWORK_UNREACHABLE, "no link")

        with pytest.raises(NoLinkError, match="no link"):
            Program(none).dial("target", 80)

    def test_the_rules_do_not_allow_it(self) -> None:
        resolver = Resolver()
        with Peer("ours", client=False) as peer:
            program = Program(lambda: peer.link, Gate(resolver, AccessRules(parse_rules("10.0.0.0/8:*"))))
            with pytest.raises(DialError) as caught:
                program.dial("127.0.0.1", 80)
            assert caught.value.cause is Cause.NOT_ALLOWED
            assert peer.fence() == []
        resolver.close()

    @both_kinds
    def test_no_descriptor_is_left(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def none() -> tuple[socket.socket, socket.socket]:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(module, "connected_pair", none)
        with calling(kind) as (peer, program):
            dialling = program.begin()
            channel = peer.expect(m.Connect).channel
            peer.send(m.ConnectResponse(True, channel))
            with pytest.raises(DialError, match="Too many open files"):
                dialling.get()
            assert peer.expect(m.Disconnect).channel == channel


class TestKilled:
    @both_kinds
    @pytest.mark.parametrize(
        "how",
        [gevent.GreenletExit(), KeyboardInterrupt(), gevent.Timeout(1)],
        ids=lambda how: type(how).__name__,
    )
    def test_while_it_waits_for_the_answer(self, kind: str, how: BaseException) -> None:
        with calling(kind) as (peer, program):
            dialling = gevent.spawn(how_it_ends, program)
            channel = peer.expect(m.Connect).channel
            dialling.kill(how)
            assert dialling.get() is how
            broken = peer.expect(m.Disconnect)
            assert broken.channel == channel
            assert broken.error not in ("", "EOF")

    def test_while_it_waits_for_a_link(self) -> None:
        dialling = gevent.spawn(how_it_ends, Program(lambda: gevent.sleep(3600)))
        gevent.idle()
        dialling.kill()

    def test_while_the_sockets_are_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reached = Event()

        def slow() -> tuple[socket.socket, socket.socket]:
            reached.set()
            gevent.sleep(3600)
            raise AssertionError("not killed")

        monkeypatch.setattr(module, "connected_pair", slow)
        with calling() as (peer, program):
            dialling = gevent.spawn(how_it_ends, program)
            channel = peer.expect(m.Connect).channel
            peer.send(m.ConnectResponse(True, channel))
            reached.wait()
            dialling.kill()
            assert peer.expect(m.Disconnect).channel == channel


def how_it_ends(program: Program) -> BaseException:
    """A greenlet that dies of it would be printed."""
    try:
        program.callers.dial("target", 80)
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("it was not killed")


class TestStop:
    @both_kinds
    def test_it_resets_both_sides(self, kind: str) -> None:
        with calling(kind) as (peer, program):
            sock, channel = connected(peer, program)
            program.passage.stop()
            assert read_to_end(sock) == (b"", False)
            assert peer.expect(m.Disconnect).channel == channel
            sock.close()

    def test_before_the_relay_has_begun(self) -> None:
        with EchoTarget() as echo, Tunnel() as tunnel:
            program = Program(lambda: tunnel.client)
            sock = socket.socket(fileno=program.callers.dial("127.0.0.1", echo.port))
            program.passage.stop()
            assert read_to_end(sock) == (b"", False)
            sock.close()

    def test_nobody_dials_after_it_began(self) -> None:
        with calling() as (peer, program):
            program.passage.drain(0)
            with pytest.raises(NoLinkError, match="stopping"):
                program.dial("target", 80)
            assert peer.fence() == []


def test_many_at_once() -> None:
    with EchoTarget() as echo, Tunnel() as tunnel:
        program = Program(lambda: tunnel.client)

        def visit(number: int) -> None:
            word = b"%d" % number * 1000
            for _ in range(4):
                with program.dial("127.0.0.1", echo.port) as sock:
                    sock.sendall(word)
                    sock.shutdown(socket.SHUT_WR)
                    assert read_to_end(sock) == (word, True)

        gevent.joinall([gevent.spawn(visit, number) for number in range(50)], raise_error=True)
