"""The load, a process for each measurement: `python -m bench.load KIND OPTIONS`, OPTIONS a JSON object.

It plays the applications, plain sockets and epoll, and says its result on stdout as a JSON object:
``{"error": TEXT}`` when anything went wrong, else the measured numbers by name. Options of every kind: `target`
(HOST, PORT), `proxy` (the same, or null for a direct connection) and `pids`, the contender's processes by role.

`bulk` says ``{"warm": true}`` before it begins to measure and goes on until its stdin closes, so that other loads
can run in the meantime. The others take their time from `seconds`.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from select import EPOLLIN, EPOLLOUT
from typing import Any, Final

from bench.crowd import Address, Crowd, Stalled, Talk, dial, new_socket, receive_into
from bench.origin import REQUEST, request
from bench.pattern import CHUNK, PATTERN, PERIOD, matches

WARM: Final = 0.4
"""Seconds before a measurement, for windows to grow and code paths to warm up."""

SAMPLES: Final = 3
"""Round trips that are waited for, however long they take; the deadline of the process bounds it."""

OPENING: Final = 32
"""Idle channels that are being opened at a time."""

Result = dict[str, float]


@dataclass(frozen=True)
class Way:
    """How an application reaches the target, and the processes that it passes."""

    target: Address
    proxy: Address | None
    pids: dict[str, int]

    def begin(self, crowd: Crowd, talk: Callable[[socket.socket], Talk]) -> None:
        """Start a conversation over a new connection: `talk` goes on when it is there."""
        sock = new_socket()
        crowd.start(sock, self._talk(sock, talk))

    def _talk(self, sock: socket.socket, talk: Callable[[socket.socket], Talk]) -> Talk:
        with sock:
            yield from dial(sock, self.target, self.proxy)
            yield from talk(sock)

    def cpu(self) -> float:
        """Seconds of CPU, user and system, that the contender's processes have used."""
        return sum(_cpu(pid) for pid in self.pids.values())

    def resident(self) -> dict[str, float]:
        """KiB of resident memory, by role."""
        return {role: _resident(pid) for role, pid in self.pids.items()}


# -- bulk


@dataclass
class _Streams:
    """Bulk streams in one direction. They begin together: some contenders take no new connection beside bulk."""

    wanted: int
    open: int = 0
    received: int = 0
    running: bool = True
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(CHUNK)))

    def down(self, sock: socket.socket) -> Talk:
        yield from self._all_open()
        sock.send(b"D")
        buffer, offset = self.buffer, 0
        while True:
            yield EPOLLIN
            got = sock.recv_into(buffer)
            if not got:
                raise ConnectionError(f"downward stream: ended after {offset} bytes")
            if not matches(buffer[:got], offset):
                raise ConnectionError(f"downward stream: wrong bytes between {offset} and {offset + got}")
            offset += got
            self.received += got

    def up(self, sock: socket.socket) -> Talk:
        yield from self._all_open()
        sock.send(b"U")
        offset = 0
        while True:
            yield EPOLLOUT
            offset = (offset + sock.send(PATTERN[offset : offset + CHUNK])) % PERIOD

    def _all_open(self) -> Talk:
        self.open += 1
        while self.open < self.wanted:
            yield EPOLLOUT  # is always ready: a busy wait, as long as it takes to connect the others

    def read(self) -> tuple[float, int]:
        """The time and how many bytes have arrived here by then."""
        return time.monotonic(), self.received

    def stop(self) -> Talk:
        yield EPOLLIN
        self.running = False
        os.close(sys.stdin.fileno())  # its own close() leaves it to epoll


def bulk(way: Way, streams: int, direction: str) -> Result:
    """Streams in one `direction`, until stdin closes and a byte has come: their rate, and the CPU that they cost."""
    crowd, load = Crowd(), _Streams(streams)
    talk, read = (load.down, load.read) if direction == "down" else (load.up, origin_meter(way.target))
    for _ in range(streams):
        way.begin(crowd, talk)
    while load.open < streams:
        crowd.poll()
    _poll_for(crowd, WARM)
    _say(warm=True)
    before, cpu_before = read(), way.cpu()
    crowd.start(sys.stdin, load.stop())
    while load.running:
        crowd.poll()
    while (after := read())[1] == before[1]:  # one byte is waited for, however long it takes, as SAMPLES
        crowd.poll()
    size, cpu = after[1] - before[1], way.cpu() - cpu_before
    result = {"MiB/s": size / 2**20 / (after[0] - before[0])}
    if way.pids:
        result["CPU s/GiB"] = cpu / (size / 2**30)
    return result


def origin_meter(target: Address) -> Callable[[], tuple[float, int]]:
    """Reads the same at the origin; the clock is the machine's."""
    sock = socket.create_connection(target, timeout=10)
    sock.send(b"?")
    lines = sock.makefile("rb")

    def read() -> tuple[float, int]:
        sock.send(b".")
        state = json.loads(lines.readline())
        if state["error"]:
            raise ConnectionError(state["error"])
        return state["time"], state["bytes"]

    return read


# -- requests and connections


def rounds(way: Way, connections: int, size: int, seconds: float, pause: float = 0) -> Result:
    """Requests with answers of `size` bytes, on each connection one after another.

    A `pause`, in seconds, before each request stops everything else here: it is for a single connection.
    """
    crowd = Crowd()
    times: list[float] = []

    def talk(sock: socket.socket) -> Talk:
        while True:
            if pause:  # sleep(0) takes some 60 us: timer slack
                time.sleep(pause)
            start = time.perf_counter()
            yield from _ask(sock, size)
            times.append(time.perf_counter() - start)

    for _ in range(connections):
        way.begin(crowd, talk)
    while len(times) < connections:
        crowd.poll()
    _poll_for(crowd, WARM)
    times.clear()
    start = time.monotonic()
    while time.monotonic() < start + seconds or len(times) < SAMPLES:
        crowd.poll()
    return {"/s": len(times) / (time.monotonic() - start), **_percentiles(times)}


def connects(way: Way, at_once: int, seconds: float, pause: float = 0) -> Result:
    """New connections, each for one small request: an early SOCKS reply is no answer yet. `pause` as above."""
    crowd = Crowd()
    times: list[float] = []

    def talk(sock: socket.socket, start: float) -> Talk:
        yield from _ask(sock, REQUEST)
        times.append(time.perf_counter() - start)

    start = time.monotonic()
    while time.monotonic() < start + seconds or not times:
        while crowd.size < at_once:
            if pause:
                time.sleep(pause)
            way.begin(crowd, partial(talk, start=time.perf_counter()))
        crowd.poll()
    rate = len(times) / (time.monotonic() - start)
    _finish(crowd, len(times))
    return {"/s": rate, **_percentiles(times)}


def _finish(crowd: Crowd, answered: int) -> None:
    """The last answers: the slowest connections are among these, and those that hang."""
    try:
        while crowd.size:
            crowd.poll()
    except Stalled:
        raise ConnectionError(f"{crowd.size} new connections got no answer, {answered} did") from None


def idle(way: Way, channels: int) -> Result:
    """What an open connection costs each process after one small request, in KiB of resident memory."""
    crowd, count = Crowd(), 0

    def talk(sock: socket.socket) -> Talk:
        nonlocal count
        yield from _ask(sock, REQUEST)
        count += 1
        yield EPOLLIN
        raise ConnectionError(f"one of {count} idle connections was closed")

    def open_until(wanted: int) -> dict[str, float]:
        while count < wanted:
            while crowd.size < min(count + OPENING, wanted):
                way.begin(crowd, talk)
            crowd.poll()
        return way.resident()

    before, after = open_until(1), open_until(1 + channels)
    return {f"{role} KiB": (after[role] - before[role]) / channels for role in before}


def _ask(sock: socket.socket, size: int) -> Talk:
    answer = memoryview(bytearray(size))
    sock.send(request(size))
    yield from receive_into(sock, answer)
    if not matches(answer, 0):
        raise ConnectionError("wrong bytes in an answer")


# -- helpers


def _poll_for(crowd: Crowd, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        crowd.poll()


def _percentiles(times: list[float]) -> Result:
    ordered = sorted(times)
    return {f"p{n} ms": 1000 * ordered[len(ordered) * n // 100] for n in (50, 99)}


def _cpu(pid: int) -> float:
    # proc(5): after the name in parentheses, the 12th and 13th fields are utime and stime, in ticks.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


KINDS: Final[dict[str, Callable[..., Result]]] = {
    "bulk": bulk,
    "rounds": rounds,
    "connects": connects,
    "idle": idle,
}


def main(kind: str, options: dict[str, Any]) -> None:
    target, proxy, pids = options.pop("target"), options.pop("proxy"), options.pop("pids")
    way = Way(tuple(target), tuple(proxy) if proxy else None, pids)
    try:
        result: dict[str, Any] = KINDS[kind](way, **options)
    except Exception as error:  # noqa: BLE001 - whatever it is, the report names it
        result = {"error": f"{type(error).__name__}: {error}"}
    _say(**result)
    sys.stdout.flush()
    os._exit(0)  # not the ordered end of ten thousand connections


def _say(**line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
