"""Who is measured, and how each is started: fresh processes for every measurement, all on loopback.

A contender is a SOCKS5 port and the processes behind it. Peers are played by the drivers of the interop tests.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.interop.peer import PEERS, Peer
from tests.support.processes import Process, free_port, linksocks

TOKEN = "bench"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Running:
    """A contender that is up."""

    proxy: tuple[str, int] | None  # its SOCKS5 port; None: there is no proxy
    processes: Mapping[str, Process]  # by role


@contextmanager
def direct() -> Iterator[Running]:
    """No proxy: what the load alone reaches."""
    yield Running(None, {})


@contextmanager
def relay() -> Iterator[Running]:
    with ExitStack() as up:

        def hop(*args: str) -> Process:
            return up.enter_context(Process([sys.executable, "-m", "bench.relay", *args]))

        def port(process: Process) -> int:
            return int(process.wait_line(r"listening on port (\d+)")[1])

        server = hop("exit", "0")
        client = hop("entry", "0", str(port(server)))
        yield Running((LOOPBACK, port(client)), {"client": client, "server": server})


@contextmanager
def ours(**env: str) -> Iterator[Running]:
    """Our two commands, with the defaults that users get."""
    with ExitStack() as up:
        server = up.enter_context(linksocks("server", "-H", LOOPBACK, "-P", "0", "-t", TOKEN, env=env))
        ws_port = server.wait_line(r"listening on [\d.]+:(\d+)")[1]
        url = f"ws://{LOOPBACK}:{ws_port}"
        client = up.enter_context(linksocks("client", "-u", url, "-p", "0", "-t", TOKEN, env=env))
        socks_port = int(client.wait_line(r"SOCKS5 on [\d.]+:(\d+)")[1])
        yield Running((LOOPBACK, socks_port), {"client": client, "server": server})


@contextmanager
def peer(them: Peer) -> Iterator[Running]:
    """Both ends by the peer itself."""
    ws_port, socks_port = free_port(), free_port()
    with (
        them.play("server", ws_port=ws_port, token=TOKEN) as server,
        them.play("client", ws_port=ws_port, token=TOKEN, socks_port=socks_port) as client,
    ):
        client.wait_port(socks_port)
        yield Running((LOOPBACK, socks_port), {"client": client, "server": server})


Start = Callable[[], AbstractContextManager[Running]]

CONTENDERS: Final[dict[str, Start]] = {
    "direct": direct,
    "relay": relay,
    "ours": ours,
    **{str(them): partial(peer, them) for them in PEERS if them.version != "1.9.0"},
}
"""By name, in the order of the report."""
