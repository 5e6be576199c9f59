"""Addresses of upstream proxies: how a user writes them, and which one the environment names for a server.

========================  ======================================================================
`socks5://host[:1080]`    names of targets are looked up here
`socks5h://host[:1080]`   the proxy looks them up
`http://host[:8080]`      CONNECT; the proxy looks them up
========================  ======================================================================

User and password stand before the host, percent-encoded. No text here ever shows them, nor an address that could not
be read, as it may hold them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from linksocks.errors import ConfigError

DEFAULT_PORTS: Final = {"socks5": 1080, "socks5h": 1080, "http": 8080}
"""By scheme, all that there are (PROTOCOL section 6.1)."""

_EXPECTED: Final = (
    "expected a proxy's address such as socks5h://host:1080 or http://host:8080, "
    "with USER:PASSWORD@ before the host if it asks"
)

_VARIABLES: Final = {"ws": ("http_proxy", "all_proxy"), "wss": ("https_proxy", "all_proxy")}
"""Which variables count for a server, by its URL's scheme; each in small letters, then in capitals."""


@dataclass(frozen=True, slots=True)
class ProxyUrl:
    """A proxy. `username` and `password` are empty where none are given."""

    scheme: str
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


def parse_proxy(text: str) -> ProxyUrl:
    """The proxy that `text` means. Raises ConfigError."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(_EXPECTED) from error
    if parts.scheme == "https":
        raise ConfigError("TLS to the proxy itself (https://) is not supported: give http:// or socks5h://")
    if parts.scheme not in DEFAULT_PORTS or not host or port == 0 or not _is_text(host):
        raise ConfigError(_EXPECTED)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        # A "/", "?" or "#" in a password ends the host's part here.
        raise ConfigError(f"{_EXPECTED}; write / ? # @ in a password as %2F %3F %23 %40")
    login = [_credential(_decoded(part)) for part in (parts.username or "", parts.password or "")]
    if parts.scheme == "http" and ":" in login[0]:  # where the password of Basic begins (RFC 7617)
        raise ConfigError("no user of an http:// proxy has a colon: the password would begin behind it")
    return ProxyUrl(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], *login)


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError as error:
        raise ConfigError("the proxy's user or password is not UTF-8 once %XX is decoded") from error


def _credential(text: str) -> str:
    if len(text.encode()) > 255:  # RFC 1929 has one byte for a length
        raise ConfigError("the proxy's user or password is longer than 255 bytes")
    return text


def _is_text(host: str) -> bool:
    return host.isprintable() and not any(char.isspace() for char in host)


# The environment


def environment_proxy(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> ProxyUrl | None:
    """The environment's proxy for a server (`scheme` ws or wss), or None. Raises ConfigError that names the variable.

    As curl and urllib do it: small letters go before capitals, https_proxy (wss) or http_proxy (ws) before all_proxy,
    empty ones do not count, an address without a scheme is an HTTP proxy, and no_proxy lists exceptions. As Go does
    it: a server on this machine is never looked for behind a proxy.
    """
    if _is_loopback(host) or _is_exempt(host, port, _variable("no_proxy", environ)[1]):
        return None
    for name in _VARIABLES[scheme]:
        spelt, text = _variable(name, environ)
        if text:
            try:
                return parse_proxy(text if "://" in text else f"http://{text}")
            except ConfigError as error:
                raise ConfigError(f"{spelt}: {error}; or ignore it with --no-env-proxy") from error
    return None


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The name as it is spelt in the environment, and the value."""
    spelt = name if environ.get(name) else name.upper()
    return spelt, environ.get(spelt, "").strip()


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower().rstrip(".") == "localhost"


def _is_exempt(host: str, port: int, exceptions: str) -> bool:
    """Whether `no_proxy` lists the host: entries are divided by commas or blanks, `*` is every host."""
    entries = exceptions.replace(",", " ").lower().split()
    return any(entry == "*" or _matches(entry, host.lower().rstrip("."), port) for entry in entries)


def _matches(entry: str, host: str, port: int) -> bool:
    """An entry is an address, a network, or a domain that stands for all names below it; it may end in `:port`."""
    with suppress(ValueError):
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
        with suppress(ValueError):
            return ipaddress.ip_address(host) in network
        return False
    entry, colon, only = entry.rpartition(":") if entry.rpartition(":")[2].isdigit() else (entry, "", "")
    if colon:
        return int(only) == port and _matches(entry, host, port)
    domain = entry.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))
