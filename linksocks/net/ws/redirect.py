"""Redirects of the opening handshake (PROTOCOL section 2.1): where we follow, and what the next server gets.

A Location is taken as it is, relative or not: the login stays in the query only where the redirecting server has put
it there. What a link is worth is the token, so the rules are about who may learn it:

- Never from wss:// to ws://: everybody on the way could read it.
- To another host only if the Location carries our login: the server that we asked has handed it on itself. Who has
  the hash of a token has its access, so the plain token tells such a host nothing that opens more; it goes there
  where the path is not /socket, or the server does not read the query. Without the login in the Location nobody has
  vouched for that host, and the user has to name it.
- Another port, and wss:// instead of ws://, of the host that was asked is no other host.

What the user added for the server that was asked (headers, which may hold secrets, and names) stays with its host.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, parse_qs, quote, urljoin, urlsplit

from linksocks.errors import LinkError

STATUSES: Final = frozenset({301, 302, 303, 307, 308})

MAX_REDIRECTS: Final = 5

SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
"""What the scheme of a URL means to a WebSocket client."""

_KEPT: Final = "/%:@!$&'()*+,;=?"
"""Characters that stay as written in a path or query; a space, say, would end the request's path."""

_SHOWN: Final = 80


def follow(asked: SplitResult, at: SplitResult, location: str) -> SplitResult:
    """Where the server at `at` sends a client that had `asked` for a URL with its login. Raises LinkError."""
    try:
        to = urlsplit(urljoin(at.geturl(), location))
        usable = to.scheme in SCHEMES and bool(to.hostname) and to.port != 0 and "@" not in to.netloc
    except ValueError:
        usable = False
    if not location or not usable:
        raise _refused(at, location, "expected the URL of a LinkSocks server")
    to = quoted(to._replace(scheme=SCHEMES[to.scheme]))
    if at.scheme == "wss" and to.scheme == "ws":
        raise _refused(at, location, "that has no TLS, and the token would be readable on the way")
    if to.hostname != asked.hostname and not _login(to) & _login(asked):
        raise _refused(at, location, "another host, without our login: if you trust it, give its URL")
    return to


def same_server(one: SplitResult, other: SplitResult) -> bool:
    """Whether what the user adds for one is for the other too: on another port of a host may be somebody else."""
    (host, port), (other_host, other_port) = address_of(one), address_of(other)
    return host == other_host and (port == other_port or {port, other_port} == {80, 443})


def address_of(url: SplitResult) -> tuple[str, int]:
    """Where `url` leads."""
    return url.hostname or "", url.port or (443 if url.scheme == "wss" else 80)


def quoted(url: SplitResult) -> SplitResult:
    """`url` as a request can hold it, without a fragment."""
    return url._replace(path=quote(url.path, _KEPT), query=quote(url.query, _KEPT), fragment="")


def without_query(url: SplitResult) -> str:
    """`url` for people: the query may hold the token's hash."""
    return url._replace(query="").geturl()


def _login(url: SplitResult) -> set[str]:
    return set(parse_qs(url.query).get("token", []))


def _refused(at: SplitResult, location: str, reason: str) -> LinkError:
    shown = repr(location.partition("?")[0][:_SHOWN]) if location else "nowhere"
    return LinkError(f"HTTP: {without_query(at)} redirects to {shown}: {reason}")
