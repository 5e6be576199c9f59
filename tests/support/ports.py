"""Ports for programs that can't bind port 0 and say which one they got. From the standard library alone."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path
from typing import Final

_DEFAULT_POOLS_END: Final = 10_241
"""Servers, ours and the peers', give out the ports below to reverse tokens."""

_given: Final[set[int]] = set()
_random: Final = random.SystemRandom()
"""Hypothesis seeds the common one alike in each process that runs tests."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago, and another one each time.

    Not one that the kernel would choose: it gives those to outgoing connections too, and one of some dozens was taken
    before its program had bound it. By chance, as other processes look for theirs at the same time.
    """
    candidates = _own_ports()
    while True:
        port = _random.choice(candidates)
        if port not in _given and _is_free(host, port):
            _given.add(port)
            return port


def _own_ports() -> range:
    """Each worker of pytest-xdist has its own: the tests of two would else take one another's now and then."""
    low, _high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return range(_DEFAULT_POOLS_END, max(int(low), 32_768))[worker::workers]


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
