"""A slow consumer behind our end, and a peer without flow control that sends faster than it reads.

Without credits on the wire our end holds up the whole link, PATIENCE at most, and then closes the one channel: with a
reset, never with a clean end before the last byte. PATIENCE is one second here, so that eight pairs take a minute.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count

import gevent
import pytest

from tests.interop.peer import Peer
from tests.support.flows import ENDLESS, RESET, WHOLE, Flow, Memory, rates
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.tunnels import Target, application
from tests.support.waits import eventually

TOKEN = "the-right-token"
MIB = 1024 * 1024
PATIENCE = 3.0
"""Seconds. A neighbour waits too where the machine is busy, and must not come near it."""
SPARE = 2.0
"""Seconds. When the slow one has used up all, a busy machine may still hold up the reader of its neighbours."""
SLOW = 400_000
"""Bytes per second: something moves within PATIENCE, so only all the waits together are too long."""

_OURS = (
    "import sys\n"
    "from linksocks.cli import main\n"
    "from linksocks.tunnel.channels import patience\n"
    f"patience.PATIENCE = {PATIENCE}; patience.SPARE = {SPARE}\n"
    "sys.exit(main())\n"
)


@dataclass
class Pair:
    """A client and a server; the one behind which the consumers are is ours."""

    ours: Process
    theirs: Process
    our_client: bool
    socks_port: int

    def flow(self, target: Target, size: int = ENDLESS, speed: int = 0) -> Flow:
        """A stream through a new connection towards our end, not started."""
        accepting = gevent.spawn(target.accept)
        app = application(self.socks_port, target.port)
        conn = accepting.get()
        producer, consumer = (conn, app) if self.our_client else (app, conn)
        return Flow(next(_keys), producer, consumer, size, speed)

    @property
    def output(self) -> str:
        return f"{self.ours.output}\n{self.theirs.output}"


_keys = count()


@pytest.fixture(scope="module", params=["their-server", "their-client"])
def pair(request: pytest.FixtureRequest, peer: Peer) -> Iterator[Pair]:
    ws_port, socks_port = free_port(), free_port()
    with ExitStack() as stack:
        if request.param == "their-server":
            theirs = stack.enter_context(peer.play("server", ws_port=ws_port, token=TOKEN))
            url = f"ws://127.0.0.1:{ws_port}"
            ours = stack.enter_context(_ours("client", "-t", TOKEN, "-u", url, "-p", str(socks_port)))
            ours.wait_port(socks_port)
        else:
            ours = stack.enter_context(
                _ours("server", "-t", TOKEN, "-H", "127.0.0.1", "-P", str(ws_port), "--grace", "0")
            )
            ours.wait_port(ws_port)
            play = peer.play("client", ws_port=ws_port, token=TOKEN, socks_port=socks_port)
            theirs = stack.enter_context(play)
        yield Pair(ours, theirs, request.param == "their-server", socks_port)
        assert "Traceback" not in ours.output, ours.output


def test_alone_and_still_reading_it_gets_every_byte(pair: Pair) -> None:
    """Our reader waits longer than PATIENCE in all, and never so long for one byte."""
    with Target() as target:
        memory = Memory(pair.ours)
        flow = pair.flow(target, size=12_000_000, speed=3_000_000).start()
        assert flow.wait() == WHOLE, pair.output
        assert memory.growth < 64 * MIB
        flow.close()


def test_it_is_closed_and_its_neighbours_go_on(pair: Pair) -> None:
    """The neighbours' rate is compared to their own before, in the same run; not a byte of theirs is lost.

    One window after that is as fast will do: those of Go peers differ fivefold, with nobody slow too. It may be late:
    what the kernel dropped of a link that was held up, TCP sends again after two seconds.
    """
    with Target() as target, ExitStack() as stack:
        memory = Memory(pair.ours)
        neighbours = [pair.flow(target) for _ in range(5)]
        for neighbour in neighbours:
            stack.callback(neighbour.start().close)
        rates(neighbours, 1)
        before = rates(neighbours, 4)
        slow = pair.flow(target, speed=SLOW).start()
        stack.callback(slow.close)
        eventually(lambda: bool(slow.outcome), pair.ours, pair.theirs, timeout=10 * PATIENCE)
        assert slow.outcome == RESET, pair.output
        eventually(lambda: rates(neighbours, 1)[0] >= statistics.median(before) / 2, pair.ours, pair.theirs)
        for neighbour in neighbours:
            neighbour.stop()
        assert [neighbour.wait() for neighbour in neighbours] == [WHOLE] * 5
        assert memory.growth < 64 * MIB


def _ours(*args: str) -> Process:
    return Process([sys.executable, "-c", _OURS, *args])
