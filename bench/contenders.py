"""Who is measured, and how each is started: fresh processes for every measurement, all on loopback.

A contender is a SOCKS5 port and the processes behind it. Its roles are `client`, which takes the applications, and
`server`, which dials the targets. Peers with a Python API are played by the drivers of the interop tests.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.interop.peer import PEERS, Peer
from tests.support.ports import free_port
from tests.support.processes import Process, linksocks

LOOPBACK: Final = "127.0.0.1"

_TOKEN: Final = "bench"


@dataclass(frozen=True)
class Running:
    """A contender that is up."""

    proxy: tuple[str, int] | None  # its SOCKS5 port; None: there is no proxy
    processes: Mapping[str, Process]  # by role


Start = Callable[[], AbstractContextManager[Running]]


@dataclass(frozen=True)
class Contender:
    start: Start
    peer: Peer | None = None  # what scripts/peers has to make for it

    @property
    def missing(self) -> str | None:
        """Why it can't be started here, if so."""
        if self.peer is None or self.peer.made:
            return None
        return self.peer.why_skipped or "not made yet: scripts/peers --bench"


@contextmanager
def direct() -> Iterator[Running]:
    """No proxy: what the load alone reaches."""
    yield Running(None, {})


@contextmanager
def relay() -> Iterator[Running]:
    """The reference, see bench/relay.py."""
    argv, said = [sys.executable, "-m", "bench.relay"], r"listening on port (\d+)"
    with (
        Process([*argv, "exit", "0"]) as server,
        Process([*argv, "entry", "0", server.wait_line(said)[1]]) as client,
    ):
        yield Running((LOOPBACK, int(client.wait_line(said)[1])), {"client": client, "server": server})


@contextmanager
def ours(**env: str) -> Iterator[Running]:
    """Our two commands, with the defaults that users get."""
    with linksocks("server", "-H", LOOPBACK, "-P", "0", "-t", _TOKEN, env=env) as server:
        url = "ws://" + server.wait_line(r"listening on (\S+)")[1]
        with linksocks("client", "-u", url, "-p", "0", "-t", _TOKEN, env=env) as client:
            port = int(client.wait_line(r"applications' port \S+:(\d+) is open")[1])
            yield Running((LOOPBACK, port), {"client": client, "server": server})


@contextmanager
def driven(peer: Peer) -> Iterator[Running]:
    """A peer at both ends, by its Python API."""
    ws_port, socks_port = free_port(), free_port()
    with (
        peer.play("server", ws_port=ws_port, token=_TOKEN) as server,
        peer.play("client", ws_port=ws_port, token=_TOKEN, socks_port=socks_port) as client,
    ):
        yield _when_open(server, client, socks_port)


@contextmanager
def chisel(program: Path) -> Iterator[Running]:
    port, socks_port = free_port(), free_port()
    with Process([str(program), "server", "--host", LOOPBACK, "--port", str(port), "--socks5"]) as server:
        server.wait_port(port)
        remote = f"{LOOPBACK}:{socks_port}:socks"
        with Process([str(program), "client", f"http://{LOOPBACK}:{port}", remote]) as client:
            yield _when_open(server, client, socks_port)


@contextmanager
def wstunnel(program: Path) -> Iterator[Running]:
    port, socks_port = free_port(), free_port()
    url = f"ws://{LOOPBACK}:{port}"
    with Process([str(program), "--log-lvl", "WARN", "server", url]) as server:
        server.wait_port(port)
        local = f"socks5://{LOOPBACK}:{socks_port}"
        with Process([str(program), "--log-lvl", "WARN", "client", "-L", local, url]) as client:
            yield _when_open(server, client, socks_port)


def _when_open(server: Process, client: Process, socks_port: int) -> Running:
    client.wait_port(socks_port)
    return Running((LOOPBACK, socks_port), {"client": client, "server": server})


def _program(start: Callable[[Path], AbstractContextManager[Running]], peer: Peer) -> Contender:
    return Contender(partial(start, peer.program(peer.name)), peer)


CONTENDERS: Final[dict[str, Contender]] = {
    "direct": Contender(direct),
    "relay": Contender(relay),
    "ours": Contender(ours),
    **{str(peer): Contender(partial(driven, peer), peer) for peer in PEERS if peer.version != "1.9.0"},
    "chisel": _program(chisel, Peer("chisel", "latest")),
    "wstunnel": _program(wstunnel, Peer("wstunnel", "latest")),
}
"""By name, in the order of the report. LinkSocks 1.9.0 has the data path of 1.10.1."""


def other_copy(folder: str) -> Contender:
    """Ours from another working copy: what a change did, in one run. -P keeps this one out of its path."""
    path = os.path.abspath(folder)
    return Contender(partial(ours, PYTHONPATH=path, PYTHONSAFEPATH="1"))
