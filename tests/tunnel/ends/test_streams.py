"""Fifty streams through one tunnel at once, each with its own random course: nothing lost, doubled or out of order.

Each direction of each stream has a key stream of its own, so that a byte of another stream or place is a wrong byte.
Sizes, pauses and ends come from a seed, which is in the name of the test.
"""

from __future__ import annotations

import random

import gevent
import pytest
from gevent import socket

from tests.support.tunnels import KINDS, Target, Tunnel, reset

STREAMS = 50

WHOLE, TARGET_RESETS, APPLICATION_RESETS = "whole", "target resets", "application resets"


class End:
    """One end of a stream: sends `data` in random pieces, and reads at random what the other end sends."""

    def __init__(self, sock: socket.socket, data: bytes, rng: random.Random) -> None:
        self.sock = sock
        self.data = data
        self.got = b""
        self.whole: bool | None = None  # whether the other end's stream ended in good order, once it ended
        self._rng = rng

    def send(self) -> None:
        rest = memoryview(self.data)
        while rest:
            size = self._rng.randint(1, 1 << self._rng.randint(0, 18))
            self.sock.sendall(rest[:size])
            rest = rest[size:]
            self._pause()

    def read(self, enough: int = 1 << 30) -> None:
        """Until the end, or until there is `enough`."""
        try:
            while len(self.got) < enough:
                chunk = self.sock.recv(self._rng.randint(1, 1 << self._rng.randint(0, 17)))
                if not chunk:
                    self.whole = True
                    return
                self.got += chunk
                self._pause()
        except ConnectionResetError:
            self.whole = False

    def _pause(self) -> None:
        if self._rng.random() < 0.1:
            gevent.sleep(self._rng.uniform(0, 0.002))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_streams_are_exact(kind: str, seed: int) -> None:
    rng = random.Random(f"{kind} {seed}")
    with Target() as target, Tunnel(kind, max_window=128 * 1024) as tunnel:
        courses = []
        for _ in range(STREAMS):
            ends = [
                End(sock, rng.randbytes(int(10 ** rng.uniform(0, 6))), random.Random(rng.random()))
                for sock in tunnel.join(target)
            ]
            course = rng.choice([WHOLE, WHOLE, TARGET_RESETS, APPLICATION_RESETS])
            courses.append(gevent.spawn(_run, kind, course, *ends))
        gevent.joinall(courses, raise_error=True)


def _run(kind: str, course: str, app: End, conn: End) -> None:
    if course == WHOLE:
        _run_whole(kind, app, conn)
    elif course == TARGET_RESETS:
        _run_broken(conn, app)
    else:
        _run_broken(app, conn)
    app.sock.close()
    conn.sock.close()


def _run_whole(kind: str, app: End, conn: End) -> None:
    """Each end sends all and then half-closes; where that is the end of both, the target waits for its request."""
    reading = [gevent.spawn(app.read), gevent.spawn(conn.read)]
    answering = gevent.spawn(conn.send)
    if kind == "ours":
        answering.link(lambda _: conn.sock.shutdown(socket.SHUT_WR))
    app.send()
    app.sock.shutdown(socket.SHUT_WR)
    if kind == "foreign":
        answering.get()
        while len(conn.got) < len(app.data):
            gevent.sleep(0.001)
        conn.sock.shutdown(socket.SHUT_WR)
    gevent.joinall(reading, raise_error=True)
    assert (app.got == conn.data, app.whole) == (True, True)
    # Without half-close the target's end is that of the channel: that its request was whole, nobody can tell it.
    assert (conn.got == app.data, conn.whole) == (True, kind == "ours")


def _run_broken(resetting: End, other: End) -> None:
    """One end resets after some bytes; the other has a part of its stream, and knows that it is no more."""
    sending, doomed = (gevent.spawn(_all_went, end) for end in (other, resetting))
    reading = gevent.spawn(other.read)
    resetting.read(enough=len(other.data) // 2)
    doomed.kill()
    reset(resetting.sock)
    gevent.joinall([sending, reading], raise_error=True)
    # The kernel tells of a reset once: who reads may get an end of stream after who sends got the error.
    assert not (other.whole and sending.value)
    assert resetting.data.startswith(other.got)
    assert other.data.startswith(resetting.got)


def _all_went(end: End) -> bool:
    try:
        end.send()
    except OSError:
        return False
    return True
