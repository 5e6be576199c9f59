"""Where a client's URL leads, and how it says who it is (PROTOCOL section 2.1)."""

from __future__ import annotations

from operator import itemgetter
from typing import Final
from urllib.parse import SplitResult, parse_qs, parse_qsl, urlencode, urlsplit

from linksocks.errors import ConfigError
from linksocks.net.ws.redirect import SCHEMES, quoted

LOGIN_PATH: Final = "/socket"
"""The one path whose server reads the token from the query."""


def server_url(text: str) -> SplitResult:
    """The WebSocket URL that `text` means: wss:// where no scheme is given, /socket where no path is.

    Raises ConfigError.
    """
    if "://" not in text:
        text = f"wss://{text}"
    try:
        parts = urlsplit(text)
        usable = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError("expected a server's URL such as ws://127.0.0.1:8765 or wss://example.org")
    if "@" in parts.netloc:
        raise ConfigError("a server's URL holds no user name or password: the token says who you are")
    path = parts.path if parts.path not in ("", "/") else LOGIN_PATH
    return quoted(parts._replace(scheme=SCHEMES[parts.scheme], path=path))


def with_login(url: SplitResult, token_hash: str, instance: str, *, reverse: bool) -> str:
    """`url` with the login in its query where the server reads it there; any other path as it is."""
    if url.path != LOGIN_PATH:
        return url.geturl()
    login = {"instance": instance, "reverse": str(reverse).lower(), "token": token_hash}
    given = [pair for pair in parse_qsl(url.query, keep_blank_values=True) if pair[0] not in login]
    query = sorted([*given, *login.items()], key=itemgetter(0))
    return url._replace(query=urlencode(query)).geturl()


def says_login(url: str) -> bool:
    """Whether a server at `url`, to which a redirect may have led, reads the login there."""
    parts = urlsplit(url)
    return parts.path == LOGIN_PATH and "token" in parse_qs(parts.query)
