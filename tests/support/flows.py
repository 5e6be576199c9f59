"""Long streams between two sockets, in greenlets, and the memory that they cost a process between.

Every block of a stream bears the stream's key and its own number, so a byte that is lost, doubled or out of order is
found at its place, and a stream of any length needs no memory and no second pass.
"""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import gevent
from gevent import socket

from tests.support.processes import PATIENCE, Process
from tests.support.waits import eventually

_BLOCK: Final = 64 * 1024
_NOISE: Final = random.Random("the noise of all streams").randbytes(_BLOCK - 8)
_PACE: Final = 0.1
"""Seconds between two reads of a slow consumer."""

ENDLESS: Final = 1 << 40

WHOLE, ENDED, RESET = "whole", "ended", "reset"
"""What became of a stream: every byte came; a clean end came early; it was reset."""


def block(key: int, number: int) -> bytes:
    """A piece of a stream."""
    return struct.pack("!II", key, number) + _NOISE


class Flow:
    """A stream of `size` bytes that `producer` sends and `consumer` reads and checks, once `start` was called.

    `speed` is how many bytes per second the consumer reads, 0 for all that comes.
    """

    def __init__(
        self,
        key: int,
        producer: socket.socket,
        consumer: socket.socket,
        size: int = ENDLESS,
        speed: int = 0,
    ) -> None:
        self.key = key
        self.size = size
        self.speed = speed
        self.received = 0
        self.outcome = ""
        self._offered = 0  # passed to the producer's socket, or being passed
        self._ends = producer, consumer
        self._greenlets: list[gevent.Greenlet[[], None]] = []

    def start(self) -> Flow:
        for sock in self._ends:
            sock.settimeout(None)
        self._greenlets = [gevent.spawn(self._produce), gevent.spawn(self._consume)]
        return self

    def stop(self) -> None:
        """Nothing is sent beyond what is on its way."""
        self.size = min(self.size, self._offered)
        if self.received == self.size:
            self.outcome = self.outcome or WHOLE

    def wait(self, timeout: float = PATIENCE) -> str:
        """The outcome; a wrong byte is an AssertionError."""
        eventually(lambda: bool(self.outcome) or self._greenlets[1].ready(), timeout=timeout)
        if not self.outcome:
            self._greenlets[1].get()
        return self.outcome

    def close(self) -> None:
        gevent.killall(self._greenlets)
        for sock in self._ends:
            sock.close()

    def _produce(self) -> None:
        producer = self._ends[0]
        try:
            while self._offered < self.size:
                piece = block(self.key, self._offered // _BLOCK)[: self.size - self._offered]
                self._offered += len(piece)
                producer.sendall(piece)
                gevent.sleep(0)
        except OSError:  # the consumer's side tells what came of it
            pass

    def _consume(self) -> None:
        consumer = self._ends[1]
        try:
            while self.received < self.size:
                gevent.sleep(_PACE if self.speed else 0)
                data = consumer.recv(max(1, int(self.speed * _PACE)) if self.speed else _BLOCK)
                if not data:
                    self.outcome = ENDED
                    return
                self._check(memoryview(data))
            self.outcome = WHOLE
        except ConnectionResetError:
            self.outcome = RESET

    def _check(self, data: memoryview) -> None:
        while data:
            number, place = divmod(self.received, _BLOCK)
            expected = block(self.key, number)[place : place + len(data)]
            assert data[: len(expected)] == expected, f"stream {self.key} is wrong near byte {self.received}"
            self.received += len(expected)
            data = data[len(expected) :]


def rates(flows: Iterable[Flow], windows: int, span: float = 0.25) -> list[float]:
    """Bytes per second that all `flows` together receive, in each of `windows` spans of time."""
    flows, found = list(flows), []
    for _ in range(windows):
        before, since = sum(flow.received for flow in flows), time.monotonic()
        gevent.sleep(span)
        found.append((sum(flow.received for flow in flows) - before) / (time.monotonic() - since))
    return found


class Memory:
    """How much more resident memory a process has had, at any time since this was made."""

    def __init__(self, process: Process) -> None:
        self._proc = Path(f"/proc/{process.pid}")
        (self._proc / "clear_refs").write_text("5")  # proc(5): the peak begins anew
        self._before = self._peak()

    @property
    def growth(self) -> int:
        """In bytes, at its peak."""
        return self._peak() - self._before

    def _peak(self) -> int:
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the kernel does not tell the peak of resident memory")


class Baseline:
    """How many descriptors each of `processes` had open when this was made."""

    def __init__(self, *processes: Process) -> None:
        self._before = {process: descriptors(process) for process in processes}

    def wait(self) -> None:
        """Until none has more."""
        eventually(lambda: all(descriptors(each) <= old for each, old in self._before.items()), *self._before)


def descriptors(process: Process) -> int:
    """How many a process has open."""
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
