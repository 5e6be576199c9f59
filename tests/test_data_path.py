"""The data path between two processes of the command line: slow consumers, the ends of streams, several links.

A connection is a pair here, the application's socket and the target's, both in this process and its gevent hub, so
that one test can be everybody who has a part in it: producer, consumer, neighbour and clock.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count

import gevent
import pytest
from gevent import socket

from tests.support.cable import Cable, Wire
from tests.support.flows import RESET, WHOLE, Baseline, Flow, Memory, descriptors, rates
from tests.support.ports import free_port
from tests.support.processes import Process, linksocks
from tests.support.tunnels import Target, application, read_to_end, reset
from tests.support.waits import eventually

TOKEN = "a-token-of-the-tests"
MIB = 1024 * 1024

both_ways = pytest.mark.parametrize("way", ["download", "upload"])
both_ends = pytest.mark.parametrize("first", ["target", "application"])


@dataclass
class Ends:
    """A server and a client, and a target behind them."""

    server: Process
    client: Process
    socks_port: int
    target: Target

    @property
    def processes(self) -> tuple[Process, Process]:
        return self.server, self.client

    def join(self, receive_buffer: int = 0) -> tuple[socket.socket, socket.socket]:
        """An application, and its connection as the target sees it."""
        accepting = gevent.spawn(self.target.accept)
        app = application(self.socks_port, self.target.port, receive_buffer=receive_buffer)
        return app, accepting.get()

    def join_as(self, first: str) -> tuple[socket.socket, socket.socket]:
        """The two ends of a connection, the one that is to act first before the other."""
        app, conn = self.join()
        return (app, conn) if first == "application" else (conn, app)

    def flow(self, way: str, size: int, speed: int = 0) -> Flow:
        """A stream through a new connection, not started."""
        producer, consumer = self.join_as("application" if way == "upload" else "target")
        return Flow(next(_keys), producer, consumer, size, speed)


_keys = count()

_FOREIGN = (
    "import sys\n"
    "from linksocks.cli import main\n"
    "from linksocks.client import session\n"
    "from linksocks.tunnel.channels import patience\n"
    "from linksocks.wire.extensions import Extensions\n"
    "session.offered = lambda _: Extensions()\n"
    "patience.PATIENCE = 1.0\n"
    "sys.exit(main())\n"
)
"""Our client, as little patient, and as if it spoke to a foreign server."""


@contextmanager
def started(links: int = 1, cable: bool = False) -> Iterator[tuple[Ends, Cable | None]]:
    """All of it, logged in on all links; with `cable` they go through one."""
    with ExitStack() as stack:
        ws_port, socks_port = free_port(), free_port()
        server = stack.enter_context(linksocks("server", "-t", TOKEN, "-H", "127.0.0.1", "-P", str(ws_port)))
        server.wait_port(ws_port)
        between = stack.enter_context(Cable(ws_port)) if cable else None
        url = f"ws://127.0.0.1:{between.port if between else ws_port}"
        client = stack.enter_context(
            linksocks("client", "-t", TOKEN, "-u", url, "-p", str(socks_port), "-T", str(links))
        )
        ends = Ends(server, client, socks_port, stack.enter_context(Target()))
        eventually(lambda: logins(ends) == links, *ends.processes)
        client_port_opens(ends)
        yield ends, between
        for process in ends.processes:
            assert "Traceback" not in process.output, process.output


def logins(ends: Ends) -> int:
    """How many links the client has made: it says so right before it uses one, the server says so earlier."""
    return sum("logged in at" in line for line in ends.client.err)


def client_port_opens(ends: Ends) -> None:
    eventually(lambda: any("applications' port" in line for line in ends.client.err), *ends.processes)


@pytest.fixture(scope="module")
def ends() -> Iterator[Ends]:
    """One pair for all tests that do it no harm."""
    with started() as (ends, _):
        yield ends


@both_ways
def test_a_slow_consumer_gets_every_byte_and_holds_up_nobody(way: str) -> None:
    """The neighbours' rate with a slow consumer is compared to their own without one, before and after it, in the
    same run: how fast this machine is today, and who else uses it, is in both."""
    size, slow_speed, slow_windows = 200_000_000, 100_000, 28
    with started() as (ends, _), ExitStack() as stack:
        memory = [Memory(process) for process in ends.processes]
        neighbours = []
        for _ in range(20):
            neighbours.append(ends.flow(way, 1 << 40).start())
            stack.callback(neighbours[-1].close)
        rates(neighbours, 2)  # their windows have grown
        without = rates(neighbours, 6)
        slow = ends.flow(way, size, slow_speed).start()
        stack.callback(slow.close)
        rates(neighbours, 2)  # the slow one's buffers are full
        before = [neighbour.received for neighbour in neighbours]
        beside = rates(neighbours, slow_windows)
        assert 0 < slow.received < size // 10
        assert min(now.received - then for now, then in zip(neighbours, before, strict=True)) > MIB
        slow.speed = 0
        without += rates(neighbours, 4)
        for neighbour in neighbours:
            neighbour.stop()
        assert slow.wait(40) == WHOLE
        assert slow.received == size
        assert [neighbour.wait() for neighbour in neighbours] == [WHOLE] * 20
        assert _usual(beside) >= _usual(without) / 2
        for each in memory:
            assert each.growth < 64 * MIB


def test_without_flow_control_a_slow_consumer_may_take_its_time() -> None:
    """It reads 1.5 MB/s all the time, and PATIENCE is a second. What the kernel's buffer holds counts as taken, and
    without relay.STEP that is 4 MB of which the kernel tells by thirds: a second would look like a stop."""
    ws_port, socks_port = free_port(), free_port()
    url = f"ws://127.0.0.1:{ws_port}"
    with (
        linksocks("server", "-t", TOKEN, "-H", "127.0.0.1", "-P", str(ws_port)) as server,
        Process(
            [sys.executable, "-c", _FOREIGN, "client", "-t", TOKEN, "-u", url, "-p", str(socks_port)]
        ) as client,
        Target() as target,
    ):
        server.wait_port(ws_port)
        client.wait_port(socks_port)
        flow = Ends(server, client, socks_port, target).flow("download", 8_000_000, 1_500_000).start()
        assert flow.wait() == WHOLE, client.output
        flow.close()


class TestEnds:
    @both_ends
    def test_an_end_is_seen_at_once(self, ends: Ends, first: str) -> None:
        """A tenth of a second is no measure of speed: it is what no timer on the way would keep."""
        delays = []
        for _ in range(20):
            one, other = ends.join_as(first)
            one.sendall(b"last words")
            since = time.monotonic()
            one.close()
            assert read_to_end(other) == (b"last words", True)
            delays.append(time.monotonic() - since)
            other.close()
        assert statistics.median(delays) < 0.1

    @both_ends
    def test_the_answer_comes_after_the_end_of_the_request(self, ends: Ends, first: str) -> None:
        """`printf request | nc -N`, and the same from the target: each direction ends by itself."""
        asking, answering = ends.join_as(first)
        asking.sendall(b"request")
        asking.shutdown(socket.SHUT_WR)
        assert read_to_end(answering) == (b"request", True)
        for _ in range(3):
            gevent.sleep(0.1)  # an answer takes its time
            answering.sendall(b"answer " * 10_000)
        answering.close()
        assert read_to_end(asking) == (b"answer " * 30_000, True)
        asking.close()

    @both_ends
    def test_a_reset_is_a_reset(self, ends: Ends, first: str) -> None:
        one, other = ends.join_as(first)
        one.sendall(b"x")
        assert other.recv(1) == b"x"
        reset(one)
        with pytest.raises(ConnectionResetError):
            other.recv(1)
        other.close()

    def test_the_three_thousandth_connection_is_as_quick_as_the_first(self, ends: Ends) -> None:
        """Each is closed by the target, and made when the one before it has ended. Others use this machine too, for
        seconds on end: of the later laps one is to be quick."""
        idle = Baseline(*ends.processes)

        def lap() -> float:
            since = time.monotonic()
            for _ in range(500):
                app, conn = ends.join()
                conn.close()
                assert app.recv(1) == b""
                app.close()
            return time.monotonic() - since

        first = lap()
        for _ in range(4):
            lap()
        assert any(lap() < 4 * first for _ in range(4))
        idle.wait()

    def test_five_hundred_are_closed_at_once(self, ends: Ends) -> None:
        idle = Baseline(*ends.processes)
        pairs = [ends.join() for _ in range(500)]
        for process in ends.processes:
            assert descriptors(process) >= 500
        for _, conn in pairs:
            conn.close()
        for app, _ in pairs:
            assert app.recv(1) == b""
            app.close()
        idle.wait()


class TestSeveralLinks:
    def test_a_stream_stays_in_order(self) -> None:
        with started(links=4) as (ends, _), ExitStack() as stack:
            flows = [ends.flow("download" if number % 2 else "upload", 50_000_000) for number in range(8)]
            for flow in flows:
                stack.callback(flow.start().close)
            assert [flow.wait(40) for flow in flows] == [WHOLE] * 8

    def test_a_lost_link_ends_its_channels_and_no_other(self) -> None:
        """Forty channels are ten on each of four links; the ten after a cut are on the link that was made anew."""
        with started(links=4, cable=True) as (ends, cable), ExitStack() as stack:
            assert cable is not None
            flows: list[Flow] = []

            def open_flows(number: int) -> None:
                for _ in range(number):
                    # What a buffer holds is read before the reset is seen.
                    app, conn = ends.join(receive_buffer=4096)
                    flows.append(Flow(next(_keys), conn, app, speed=200_000).start())
                    stack.callback(flows[-1].close)

            def cut(wire: Wire) -> None:
                ended = _outcomes(flows).count(RESET)
                wire.cut()
                eventually(lambda: _outcomes(flows).count(RESET) >= ended + 10, *ends.processes)
                received = [flow.received for flow in flows]
                eventually(lambda: _all_moved(flows, received), *ends.processes)
                assert _outcomes(flows).count(RESET) == ended + 10

            first, *others = list(cable.wires)
            open_flows(40)
            cut(first)
            eventually(lambda: logins(ends) == 5, *ends.processes)
            open_flows(10)
            for wire in others:
                cut(wire)
            assert _outcomes(flows) == [RESET] * 40 + [""] * 10


def _usual(found: list[float]) -> float:
    """What is reached in a quarter of the windows: others use this machine too, for seconds on end."""
    return statistics.quantiles(found, n=4)[2]


def _outcomes(flows: list[Flow]) -> list[str]:
    return [flow.outcome for flow in flows]


def _all_moved(flows: list[Flow], since: list[int]) -> bool:
    """Whether all that have not ended received something."""
    return all(flow.outcome or flow.received > then for flow, then in zip(flows, since, strict=True))
