"""The data path behind providers: the ends of streams, what stays behind, and consumers that stand still.

As in test_data_path a connection is a pair here, the application's socket and the target's, both in this process and
its gevent hub. What autonomy has of its own is who may come in: its data path is that of agent mode.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from typing import Self

import gevent
import pytest
from gevent import socket

from tests.support import socks
from tests.support.chains import Chain, Ends, stopped
from tests.support.flows import WHOLE, Baseline, Flow, Memory
from tests.support.tunnels import Target, read_to_end, reset
from tests.support.waits import eventually

MIB = 1024 * 1024

both_ends = pytest.mark.parametrize("first", ["target", "application"])

_keys = count()


@pytest.fixture(scope="module", params=["reverse", "agent"])
def chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    """One of each mode for all tests that do it no harm."""
    with Chain(request.param) as chain:
        yield chain


@pytest.fixture
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


def join_as(chain: Chain, target: Target, first: str) -> Ends:
    """The two ends of a connection, the one that is to act first before the other."""
    app, conn = chain.join(target)
    return (app, conn) if first == "application" else (conn, app)


@both_ends
class TestEnds:
    def test_an_end_is_seen_at_once(self, chain: Chain, target: Target, first: str) -> None:
        """A tenth of a second is no measure of speed: it is what no timer on the way would keep."""
        delays = []
        for _ in range(20):
            one, other = join_as(chain, target, first)
            one.sendall(b"last words")
            since = time.monotonic()
            one.close()
            assert read_to_end(other) == (b"last words", True)
            delays.append(time.monotonic() - since)
            other.close()
        assert statistics.median(delays) < 0.1

    def test_the_answer_comes_after_the_end_of_the_request(
        self, chain: Chain, target: Target, first: str
    ) -> None:
        asking, answering = join_as(chain, target, first)
        asking.sendall(b"request")
        asking.shutdown(socket.SHUT_WR)
        assert read_to_end(answering) == (b"request", True)
        for _ in range(3):
            gevent.sleep(0.1)  # an answer takes its time
            answering.sendall(b"answer " * 10_000)
        answering.close()
        assert read_to_end(asking) == (b"answer " * 30_000, True)
        asking.close()

    def test_a_reset_is_a_reset(self, chain: Chain, target: Target, first: str) -> None:
        one, other = join_as(chain, target, first)
        one.sendall(b"x")
        assert other.recv(1) == b"x"
        reset(one)
        with pytest.raises(ConnectionResetError):
            other.recv(1)
        other.close()

    def test_a_hundred_that_are_closed_at_once_end_at_once(
        self, chain: Chain, target: Target, first: str
    ) -> None:
        pairs = [join_as(chain, target, first) for _ in range(100)]
        since = time.monotonic()
        for one, _ in pairs:
            one.close()
        for _, other in pairs:
            assert other.recv(1) == b""
            other.close()
        assert time.monotonic() - since < 4


@pytest.mark.parametrize(("size", "most"), [(20_000, 0.04), (300_000, 0.2)])
def test_an_answer_is_not_kept_for_more_to_come(chain: Chain, target: Target, size: int, most: float) -> None:
    """Of many rounds the quick ones count: no load makes a timer on the way shorter than it is."""
    rounds = []
    app, conn = chain.join(target)
    for _ in range(40):
        since = time.monotonic()
        app.sendall(b"request")
        assert conn.recv(7) == b"request"
        answering = gevent.spawn(conn.sendall, bytes(size))
        socks.read_exactly(app, size)
        rounds.append(time.monotonic() - since)
        answering.get()
    app.close()
    conn.close()
    assert statistics.quantiles(rounds[20:], n=4)[0] < most


def test_a_thousand_connections_leave_nothing(chain: Chain, target: Target) -> None:
    """A third is ended in good order, a third is reset, a third is closed with something unread; from both sides."""
    idle = Baseline(*chain.processes)

    def visit(number: int) -> None:
        one, other = join_as(chain, target, "application" if number % 2 else "target")
        one.sendall(b"%6d" % number)
        assert other.recv(6) == b"%6d" % number
        match number % 3:
            case 0:
                one.close()
                assert other.recv(1) == b""
            case 1:
                reset(one)
                assert read_to_end(other) == (b"", False)
            case 2:
                other.sendall(bytes(100_000))
                one.close()
        other.close()

    # One after the other, so that each finds its own at the target; some that are open stay beside them.
    beside = [chain.join(target) for _ in range(20)]
    for number in range(1000):
        visit(number)
    for app, conn in beside:
        app.close()
        assert conn.recv(1) == b""
        conn.close()
    idle.wait()


@pytest.fixture(scope="module")
def switched() -> Iterator[Chain]:
    """One provider and two connectors."""
    with Chain("agent") as chain:
        chain.add_connector()
        yield chain


def test_each_connector_gets_its_own_bytes(switched: Chain, target: Target) -> None:
    """From their first second on, and many at once: every block bears the key of its stream."""
    newest = switched.add_connector()
    with ExitStack() as stack:
        flows = [
            Flow(next(_keys), *_join(switched, target, way, port), 2_000_000)
            for port in (switched.socks_port, newest)
            for way in ("download", "upload") * 5
        ]
        for flow in flows:
            stack.callback(flow.start().close)
        assert [flow.wait() for flow in flows] == [WHOLE] * 20


class TestStandstill:
    """One connector has many connections that do not move, with gigabytes behind each."""

    number, most = 10, 10 * MIB + 24 * MIB  # a window for each, and what a process needs to work

    @pytest.fixture
    def memory(self, switched: Chain) -> list[Memory]:
        return [Memory(process) for process in switched.processes]

    @pytest.mark.parametrize("way", ["download", "upload"])
    def test_connections_that_nobody_reads(
        self, switched: Chain, target: Target, memory: list[Memory], way: str
    ) -> None:
        with ExitStack() as stack:
            pouring = [
                stack.enter_context(_Pouring(*_join(switched, target, way))) for _ in range(self.number)
            ]
            eventually(lambda: not any([each.moves() for each in pouring]), *switched.processes)  # noqa: C419
            self._all_others_work(switched, target, with_its_own=True)
            assert all(each.growth < self.most for each in memory)

    def test_a_connector_that_does_not_run(
        self, switched: Chain, target: Target, memory: list[Memory]
    ) -> None:
        """Nothing is taken from its link. It goes on where it was."""
        frozen = switched.connectors[0]
        with ExitStack() as stack:
            flows = [
                Flow(next(_keys), *_join(switched, target, "download")).start() for _ in range(self.number)
            ]
            for flow in flows:
                stack.callback(flow.close)
            eventually(lambda: all(flow.received > MIB for flow in flows), *switched.processes)
            with stopped(frozen):
                self._all_others_work(switched, target)
            before = [flow.received for flow in flows]
            eventually(
                lambda: all(flow.received > then for flow, then in zip(flows, before, strict=True)),
                *switched.processes,
            )
            for flow in flows:
                flow.stop()
            assert [flow.wait() for flow in flows] == [WHOLE] * self.number
            assert all(each.growth < self.most for each in memory)

    @staticmethod
    def _all_others_work(chain: Chain, target: Target, *, with_its_own: bool = False) -> None:
        """Another connector of the same provider, and the server's own port; and this connector's."""
        ports = [chain.port_of(chain.connectors[1]), chain.server_s_port()]
        if with_its_own:
            ports.append(chain.socks_port)
        for port in ports:
            for way in ("download", "upload"):
                flow = Flow(next(_keys), *_join(chain, target, way, port), 5_000_000).start()
                assert flow.wait() == WHOLE
                flow.close()


class _Pouring:
    """A connection into which all goes that it takes, and from which nobody reads."""

    def __init__(self, producer: socket.socket, consumer: socket.socket) -> None:
        producer.settimeout(None)
        self._ends = producer, consumer
        self._poured = 0
        self._seen = -1, 0.0  # how much `moves` saw first, and when

    def __enter__(self) -> Self:
        self._greenlet = gevent.spawn(self._pour)
        return self

    def __exit__(self, *exc: object) -> None:
        self._greenlet.kill()
        for sock in self._ends:
            reset(sock)

    def moves(self) -> bool:
        """Whether anything was taken lately, as far as this was asked all the time."""
        if self._seen[0] != self._poured:
            self._seen = self._poured, time.monotonic()
        return time.monotonic() - self._seen[1] < 0.5

    def _pour(self) -> None:
        while True:
            self._poured += self._ends[0].send(bytes(64 * 1024))


def _join(chain: Chain, target: Target, way: str, socks_port: int = 0) -> Ends:
    """Producer and consumer of a new connection."""
    app, conn = chain.join(target, socks_port=socks_port)
    return (app, conn) if way == "upload" else (conn, app)
