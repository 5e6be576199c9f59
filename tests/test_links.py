"""What links carry, seen from a cable between the processes."""

from __future__ import annotations

from contextlib import ExitStack

import gevent

from tests.support import socks
from tests.support.cable import Cable
from tests.support.chains import Chain
from tests.support.flows import Flow
from tests.support.tunnels import Target
from tests.support.waits import eventually

SILENCE = 1.0

PACE = (
    "from linksocks.net.ws import heartbeat\n"
    f"heartbeat.SILENCE = {SILENCE}; heartbeat.PING_INTERVAL = {SILENCE / 2}"
)


def test_a_link_that_is_slower_than_what_it_carries_stays() -> None:
    """300 kB/s each way, and megabytes before each pong: any byte is a sign of life."""
    with Cable(rate=300_000) as cable, Chain("agent", pace=PACE, cable=cable) as chain, Target() as target:
        wires = list(cable.wires)
        with ExitStack() as stack:
            pairs = [chain.join(target) for _ in range(8)]
            flows = [Flow(key, *(pair if key % 2 else reversed(pair))) for key, pair in enumerate(pairs)]
            for flow in flows:
                stack.callback(flow.start().close)
            for _ in range(4):
                received = sum(flow.received for flow in flows)
                gevent.sleep(SILENCE)  # how long it lasts is the point
                assert sum(flow.received for flow in flows) > received
            assert [flow.outcome for flow in flows] == [""] * 8
        assert cable.wires == wires
        for process in chain.processes:
            chain.kill(process)  # what waits for the cable would take its time


def test_nothing_is_compressed() -> None:
    """Zeros are as long on the wire as anything: no core is spent on what is compressed or encrypted already."""
    size = 4_000_000
    with Cable() as cable, Chain("agent", cable=cable) as chain, Target() as target:
        app, conn = chain.join(target)
        sending = gevent.spawn(conn.sendall, bytes(size))
        assert socks.read_exactly(app, size) == bytes(size)
        sending.get()
        eventually(lambda: all(wire.carried > size for wire in cable.wires), *chain.processes)
        app.close()
        conn.close()
