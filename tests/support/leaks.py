"""What a test must not leave behind: open descriptors and live greenlets.

`nothing_left()` compares both before and after a block, for tests whose hub runs in their own thread;
`descriptors_closed()` the descriptors alone, for those without a hub. What ends by itself gets a moment to do so;
what is still there then fails the test and is named.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent

SETTLING = 5.0
"""Seconds for what has been told to end; nearly all tests need one turn of the hub."""


@contextmanager
def nothing_left() -> Iterator[None]:
    """The block leaves the descriptors and greenlets of this process as they were."""
    gevent.sleep(0)  # the hub opens descriptors of its own
    fds, greenlets = open_fds(), live_greenlets()
    yield
    deadline = time.monotonic() + SETTLING
    while True:
        left = opened_since(fds)
        left += [f"greenlet {greenlet!r}" for greenlet in live_greenlets() - greenlets]
        if not left:
            return
        assert time.monotonic() < deadline, _named(left)
        gevent.sleep(0.01)  # the pace of the polling, not what is waited for


@contextmanager
def descriptors_closed() -> Iterator[None]:
    """The block leaves the descriptors of this process as they were."""
    fds = open_fds()
    yield
    deadline = time.monotonic() + SETTLING
    while left := opened_since(fds):
        assert time.monotonic() < deadline, _named(left)
        time.sleep(0.01)  # the pace of the polling, not what is waited for


def opened_since(fds: dict[int, str]) -> list[str]:
    """What is open and was not, or was something else."""
    return [f"descriptor {fd}: {what}" for fd, what in open_fds().items() if fds.get(fd) != what]


def _named(left: list[str]) -> str:
    """For people. A socket's ports say whose it is, and its state who has not ended."""
    sockets = {}
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/self/net/{kind}").read_text().splitlines()[1:]:
            _, local, remote, state, *rest = line.split()
            ports = [int(end.rpartition(":")[2], 16) for end in (local, remote)]
            sockets[f"socket:[{rest[5]}]"] = f"{kind} from {ports[0]} to {ports[1]}, state {state}"
    return "\n".join(["left behind:", *(f"{each} {sockets.get(each.split()[-1], '')}" for each in left)])


def open_fds() -> dict[int, str]:
    """Each open descriptor of this process, and what it is."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the one that listed the directory
            continue
    return found


def all_of(kind: type) -> set[Any]:
    """The live objects of this very type; an earlier test's may be among them, held by its error's frames."""
    gc.collect()
    return {thing for thing in gc.get_objects() if type(thing) is kind}


def live_greenlets() -> set[gevent.Greenlet]:
    """All greenlets that are running or will be, whether somebody still holds them or not."""
    # By type(): isinstance asks a weak proxy for its class, which fails once its object is gone.
    found = {thing for thing in gc.get_objects() if issubclass(type(thing), gevent.Greenlet)}
    return {greenlet for greenlet in found if not greenlet.ready() and greenlet is not gevent.getcurrent()}
