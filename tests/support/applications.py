"""Applications before the port that serves them: by hand, and the real curl.

All run in the hub of the test, which goes on while curl does.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gevent import socket

from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.ends.inbound import Inbound
from linksocks.tunnel.ends.passage import Passage
from tests.support.processes import ran
from tests.support.tunnels import PATIENCE, Peer

NO_LOGIN = ("", "")


@contextmanager
def listening(
    pick_link: Callable[[], Link], login: tuple[str, str] = NO_LOGIN, *, fast_open: bool = False
) -> Iterator[Inbound]:
    """An Inbound of its own for what `pick_link` gives."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    inbound = Inbound(listener, Passage(pick_link), *login, fast_open=fast_open)
    inbound.start()
    try:
        yield inbound
    finally:
        inbound.stop()


@contextmanager
def serving(
    kind: str = "ours", login: tuple[str, str] = NO_LOGIN, *, fast_open: bool = False, max_window: int = 0
) -> Iterator[tuple[Peer, Inbound]]:
    """An Inbound whose other end the test plays by hand."""
    with (
        Peer(kind, client=False, max_window=max_window) as peer,
        listening(lambda: peer.link, login, fast_open=fast_open) as inbound,
    ):
        yield peer, inbound


def knock(inbound: Inbound, *said: bytes) -> socket.socket:
    """An application that says this much of its own."""
    app = socket.create_connection(("127.0.0.1", inbound.port), PATIENCE)
    for part in said:
        app.sendall(part)
    return app


def curl(*args: str) -> subprocess.CompletedProcess:
    """The real curl, with no proxy but those in `args`."""
    return ran(["curl", "-sS", "-m", str(PATIENCE), "--noproxy", "", *args])
