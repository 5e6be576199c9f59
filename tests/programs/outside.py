"""What the programs here need besides linksocks: a website, an application behind SOCKS5, free ports, patience.

A program runs with PyPI's linksocks, in an environment that has nothing else, or with ours: so the applications are
hand-made from the standard library and from what in `tests.support` needs nothing else.

The root of the repository is the *last* entry of the module path: it brings `tests.support`, and never the package
`linksocks` where another is installed.
"""

from __future__ import annotations

import contextlib
import http.client
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from tests.support.associations import Association
from tests.support.ports import free_port
from tests.support.socks import SocksRefused, connect
from tests.support.targets import EchoTarget, refusing_port, seeded_bytes
from tests.support.targets import HttpTarget as Website

__all__ = [
    "Association",
    "EchoTarget",
    "SocksRefused",
    "Website",
    "connect",
    "echo",
    "fetch",
    "free_port",
    "refused",
    "refusing_port",
    "until",
]

Login = tuple[str, str]


def fetch(
    site: Website,
    socks_port: int,
    *,
    login: Login | None = None,
    size: int = 20_000,
    proxy_host: str = "127.0.0.1",
) -> int:
    """Get a page of `size` bytes of `site` through the proxy, compare each byte, and return how many."""
    web = http.client.HTTPConnection(site.host, site.port)
    # The proxy's own connection in the place of the one that HTTPConnection would make.
    web.sock = connect(socks_port, site.host, site.port, proxy_host=proxy_host, login=login, timeout=10)
    with contextlib.closing(web):
        web.request("GET", f"/bytes/{size}?seed={size}")
        page = web.getresponse().read()
    assert page == seeded_bytes(size, size), f"{len(page)} bytes of {size}, or wrong ones"
    return size


def refused(site: Website, socks_port: int, *, login: Login | None = None) -> bool:
    """Whether the proxy does not let an application through to `site`: by its answer, or as nobody is there."""
    try:
        fetch(site, socks_port, login=login)
    except (SocksRefused, OSError, http.client.HTTPException):
        return True
    return False


@contextlib.contextmanager
def echo(target: EchoTarget, socks_port: int) -> Iterator[Callable[[bytes], bytes]]:
    """A connection to `target` that stays: say something, and get the answer."""
    with connect(socks_port, target.host, target.port, timeout=10) as conn:

        def ask(text: bytes) -> bytes:
            conn.sendall(text)
            answer = b""
            while len(answer) < len(text) and (more := conn.recv(65_536)):
                answer += more
            return answer

        yield ask


def until(condition: Callable[[], bool], patience: float = 5.0) -> None:
    """Return when `condition` holds: what a peer hears of comes a moment later than the call that made it."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)  # the pace of the polling, not what is waited for
