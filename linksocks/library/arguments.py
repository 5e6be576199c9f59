"""Arguments of the library, checked and in the shape that the roles take.

None is everywhere "not given". A text means what it means in a setting of the commands (linksocks.config), whose
kinds read it. What is wrong is a ConfigError that begins with the argument's name and never shows a secret; what has
the wrong type is a TypeError.
"""

from __future__ import annotations

import logging
import operator
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, SupportsIndex, TypeAlias, TypeVar

import linksocks.config.values as v
from linksocks.config.settings import SETTINGS
from linksocks.errors import ConfigError
from linksocks.library.durations import Duration, seconds
from linksocks.net.out.proxies import ProxyUrl, parse_proxy
from linksocks.net.tls.trust import TlsClient, Trust
from linksocks.server.ports import POOL, checked

Path: TypeAlias = str | os.PathLike[str]
Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
PortPool: TypeAlias = range | tuple[int, int] | str | Iterable[int]

_T = TypeVar("_T")

LEAST_BUFFER: Final = 64 * v.KIB
"""Bytes. Programs give 4096, meaning the reads of another implementation; here that would be all that may be on its
way, and a connection would go at 4 KiB a round trip."""

_LAST_PORT: Final = 65535
_PORT: Final = v.number(1, _LAST_PORT, f"a port from 1 to {_LAST_PORT}")
_BUFFER: Final = v.number(1, 64 * v.MIB, f"a number of bytes up to {64 * v.MIB}")


def usual(name: str) -> Any:
    """What the setting of that name is where nobody says otherwise (linksocks.config)."""
    return next(setting.default_value for setting in SETTINGS if setting.name == name)


def text(name: str, value: str | None, kind: v.Kind) -> Any:
    """What a text stands for; an empty one is as good as none."""
    if value is None or value == "":
        return kind.absent
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a str, got {type(value).__name__}")
    try:
        return kind.parse(value)
    except v.ExplainedError as error:
        raise ConfigError(f"{name}: {error}") from None
    except ValueError:
        got = "" if kind.secret else f", got {value[:100]!r}"
        raise ConfigError(f"{name}: expected {kind.expected}{got}") from None


def secret(name: str, value: str | None, kind: v.Kind = v.SECRET) -> str:
    """The same of a token or a password, which no error shows."""
    found: str = text(name, value, kind).reveal()
    return found


def required(name: str, value: str) -> str:
    """A token that is meant, which must be one."""
    found = secret(name, value)
    if not found:
        raise ConfigError(f"{name}: expected a token, got nothing")
    return found


def each(name: str, value: Iterable[_T] | None, expected: str) -> Iterable[_T]:
    """What there is in a list; a text is none, nor is a mapping. `expected` is what it is a list of, for people."""
    if value is None:
        return ()
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise TypeError(f"{name}: expected {expected}, got {type(value).__name__}")
    return value


def api_keys(first: str | None, others: Iterable[str] | None) -> list[str]:
    """All of them."""
    more = each("api_keys", others, "a list of str (a single one is api_key)")
    found = [secret("api_key", first), *(secret("api_keys", key) for key in more)]
    return list(dict.fromkeys(filter(None, found)))


def path(name: str, value: Path | None) -> str:
    """The name of a file."""
    try:
        given = None if value is None else os.fspath(value)
    except TypeError:
        raise TypeError(f"{name}: expected the name of a file, got {type(value).__name__}") from None
    found: str = text(name, given, v.FILE)
    return found


def whole(name: str, value: object) -> int:
    """A whole number; digits in a text will do, as from an environment variable."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 15:
        return int(value)
    if isinstance(value, (bool, type)) or not isinstance(value, SupportsIndex):  # a class has that method too
        raise TypeError(f"{name}: expected a whole number, got {type(value).__name__}")
    return operator.index(value)


def number(name: str, value: SupportsIndex | None, kind: v.Kind, default: int) -> int:
    """A whole number in the bounds of `kind`."""
    if value is None:
        return default
    found: int = text(name, str(whole(name, value)), kind)
    return found


def duration(name: str, value: Duration | None) -> float | None:
    """Seconds; 0 is as good as None."""
    return None if value is None else seconds(value, name) or None


def flag(name: str, value: bool | None, *, default: bool = False) -> bool:
    """Yes or no; 1 and 0 will do."""
    if value is None:
        return default
    if not isinstance(value, int) or value not in (0, 1):
        raise TypeError(f"{name}: expected True or False, got {type(value).__name__}")
    return bool(value)


def logger(value: logging.Logger | None) -> logging.Logger | None:
    """A logger of the program."""
    if value is not None and not isinstance(value, logging.Logger):
        raise TypeError(f"logger: expected a logging.Logger, got {type(value).__name__}")
    return value


def buffer_size(value: int | None) -> int:
    """Bytes that one channel may hold; LEAST_BUFFER at least, whatever is given."""
    return max(LEAST_BUFFER, number("buffer_size", value, _BUFFER, v.MIB))


def port_pool(value: PortPool | None) -> tuple[int, ...]:
    """The ports that may be chosen from; a pair as tuple and "FIRST-LAST" are both ends of a range."""
    found: Iterable[int] = POOL
    if isinstance(value, str):
        first, last = text("port_pool", value, v.PORTS) or (POOL[0], POOL[-1])
        found = range(first, last + 1)
    elif isinstance(value, tuple):
        if len(value) != 2:
            raise TypeError("port_pool: expected a list of ports, or both ends of a range as (first, last)")
        found = range(whole("port_pool", value[0]), whole("port_pool", value[1]) + 1)
    elif value is not None:
        some = each("port_pool", value, "a range or a list of ports")
        found = (whole("port_pool", port) for port in some)
    return checked(found, "port_pool")


def login(user_name: str, user: str | None, password_name: str, password: str | None) -> tuple[str, str]:
    """What applications must give: both or nothing, as one alone would protect less than was meant."""
    found = text(user_name, user, v.USER), secret(password_name, password)
    if bool(found[0]) != bool(found[1]):
        missing = password_name if found[0] else user_name
        raise ConfigError(f"{missing}: expected with the other one of {user_name} and {password_name}")
    return found


def upstream(address: str | None, username: str | None, password: str | None) -> ProxyUrl | None:
    """The proxy: a URL, or HOST:PORT of a SOCKS5 one that looks up the names itself."""
    if address is not None and not isinstance(address, str):
        raise TypeError(f"upstream_proxy: expected a str, got {type(address).__name__}")
    if not address:
        if username or password:
            raise ConfigError("upstream_username, upstream_password: have no effect without upstream_proxy")
        return None
    user, word = text("upstream_username", username, v.USER), secret("upstream_password", password)
    try:
        proxy = parse_proxy(address if "://" in address else f"socks5h://{address}")
    except ConfigError as error:
        raise ConfigError(f"upstream_proxy: {error}") from None
    if not (user or word):
        return proxy
    if proxy.username or proxy.password:
        raise ConfigError("upstream_proxy: holds a login, and there is an upstream_username or _password too")
    if proxy.scheme == "http" and ":" in user:
        raise ConfigError("upstream_username: that of an http:// proxy has no colon")
    return replace(proxy, username=user, password=word)


def headers(value: Headers | None) -> list[tuple[str, str]]:
    """Headers for the handshake; their values may be secret."""
    expected = "a mapping of str to str, or pairs"
    found = []
    for pair in value.items() if isinstance(value, Mapping) else each("headers", value, expected):
        match pair:
            case (str(key), str(word)):
                ((parsed, held),) = text("headers", f"{key}: {word}", _HEADER)
                found.append((parsed, held.reveal()))
            case _:
                raise TypeError(f"headers: expected {expected}")
    return found


def _one_header(line: str) -> Any:
    if "\n" in line or "\r" in line:
        raise ValueError("more than one line")
    return v.HEADERS.parse(line)


_HEADER: Final = replace(v.HEADERS, parse=_one_header)


def trust(
    url: str,
    *,
    ca_file: Path | None,
    insecure: bool | None,
    tls_pin: str | None,
    tls_client_cert: Path | None,
    tls_client_key: Path | None,
    tls_server_name: str | None,
) -> Trust:
    """What a wss:// server must show, in files that can be read."""
    found = Trust(
        ca_file=path("ca_file", ca_file),
        insecure=flag("insecure", insecure),
        pin=text("tls_pin", tls_pin, v.FINGERPRINT),
        client_cert=path("tls_client_cert", tls_client_cert),
        client_key=path("tls_client_key", tls_client_key),
    )
    said = {
        "ca_file": found.ca_file,
        "insecure": found.insecure,
        "tls_pin": found.pin,
        "tls_client_cert": found.client_cert,
        "tls_client_key": found.client_key,
        "tls_server_name": tls_server_name,
    }
    names = [name for name, value in said.items() if value]
    if names and url.startswith(("ws://", "http://")):
        raise ConfigError(f"{names[0]}: has no effect on a ws:// URL, which means no TLS; give a wss:// URL")
    if found.insecure and (found.ca_file or found.pin):
        raise ConfigError("insecure: checks nothing, so ca_file and tls_pin have no effect; leave one out")
    pair("tls_client_cert", found.client_cert, "tls_client_key", found.client_key)
    if found.ca_file or found.client_cert:
        TlsClient(found)  # reads them, now that somebody can be told
    return found


def pair(one_name: str, one: str, other_name: str, other: str) -> None:
    """Both or none. Raises ConfigError."""
    if bool(one) != bool(other):
        raise ConfigError(
            f"{other_name if one else one_name}: is needed with {one_name if one else other_name}"
        )


def address(value: tuple[str, int]) -> tuple[str, int]:
    """A target's host and port, as socket.create_connection takes them."""
    match value:
        case (str(host), port):
            return _target(host), int(text("port", str(whole("port", port)), _PORT))
        case _:
            raise TypeError("address: expected a host and a port, as (host, port)")


def _target(host: str) -> str:
    if not host or len(host.encode(errors="replace")) > 255 or not host.isprintable():
        raise ConfigError(f"host: expected a name or an address, got {host[:100]!r}")
    return host
