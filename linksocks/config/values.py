"""Kinds of settings: what a value looks like, and how its text becomes one.

Each `Kind` is one declaration. Flags, variables and INI keys all hold text, so a value is parsed the same way
wherever it stands. A parser raises `ValueError` and nothing else; the caller knows where the text stood and
says so, with the kind's `expected`, or with the words of `ExplainedError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from linksocks.client.url import server_url
from linksocks.config.duration import duration
from linksocks.config.secret import Secret
from linksocks.errors import ConfigError
from linksocks.net.out.proxies import ProxyUrl, parse_proxy
from linksocks.tunnel.access import Rule, parse_rules
from linksocks.wire.extensions import HEADER


class ExplainedError(ValueError):
    """Its words say more than the kind's `expected` would, and nothing of the text."""


KIB = 1024
MIB = 1024 * KIB

_SCALES = {"K": KIB, "M": MIB, "G": 1024 * MIB}
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,15})?", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 section 5.6.2
_OUR_HEADERS = {
    "host": "; use --host-header",
    "user-agent": "; use --user-agent",
    "upgrade": "",
    "connection": "",
    "content-length": "",
    "transfer-encoding": "",
    HEADER.lower(): "",
}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORDS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


@dataclass(frozen=True)
class Kind:
    """One kind of value."""

    argument: str
    """Stands for the value in the help text; empty where the flag alone says it."""
    expected: str
    """Completes "expected ..." in an error."""
    parse: Callable[[str], Any]
    """Text to value; raises ValueError."""
    absent: Any = ""
    """The value of a setting that is neither given nor has a default."""
    repeats: bool = False
    """The flag may be given several times; in a variable or an INI key the values stand on lines of their own."""
    secret: bool = False
    """The text is never shown, not even in an error."""
    path: bool = False
    """The value names a file; in an INI file it is relative to that file."""


def _bounded_duration(text: str) -> float:
    seconds = duration(text)
    if seconds > 24 * 3600:
        raise ValueError("longer than a day")
    return seconds


def _text(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("empty, or holds control characters")
    return text


def _credential(text: str) -> str:
    # The length is one byte on the wire: PROTOCOL section 1.2 for tokens, RFC 1929 for users and passwords.
    if len(_text(text).encode()) > 255:
        raise ValueError("longer than 255 bytes")
    return text


def _token(text: str) -> Secret:
    if text == "anonymous":  # PROTOCOL section 2.2
        raise ValueError("the name of a client without a token")
    return Secret(_credential(text))


def _secrets(text: str) -> tuple[Secret, ...]:
    return tuple(Secret(_credential(line)) for line in text.strip().split("\n"))


def _switch(text: str) -> bool:
    try:
        return _WORDS[text.lower()]
    except KeyError:
        raise ValueError("neither yes nor no") from None


def _url(text: str) -> str:
    try:
        server_url(_text(text))
    except ConfigError as error:
        raise ExplainedError(str(error)) from None
    return text


def _proxy(text: str) -> ProxyUrl:
    try:
        return parse_proxy(_text(text))
    except ConfigError as error:
        raise ExplainedError(str(error)) from None


def _host(text: str) -> str:
    """An IPv6 address may stand in brackets, as in a URL."""
    return _text(text[1:-1] if text.startswith("[") and text.endswith("]") else text)


def _header_value(text: str) -> str:
    if not _text(text).isascii() or text != text.strip():
        raise ValueError("no value of a header")
    return text


def _headers(text: str) -> tuple[tuple[str, Secret], ...]:
    return tuple(_header(line.strip()) for line in text.strip().split("\n"))


def _header(line: str) -> tuple[str, Secret]:
    name, colon, value = line.partition(":")
    if not colon or not _TOKEN.fullmatch(name):
        raise ValueError("no header")
    if name.lower() in _OUR_HEADERS or name.lower().startswith("sec-websocket-"):
        raise ExplainedError(f"the header {name} is not yours to set{_OUR_HEADERS.get(name.lower(), '')}")
    return name, Secret(_header_value(value.strip()))


def _rules(text: str) -> tuple[Rule, ...]:
    try:
        return parse_rules(text)
    except ConfigError as error:
        raise ExplainedError(str(error)) from None


def number(low: int, high: int, what: str, argument: str = "NUMBER") -> Kind:
    """A whole number within bounds, both included."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 15 and low <= int(text) <= high):
            raise ValueError("out of bounds")
        return int(text)

    return Kind(argument, what, parse)


def _rate(text: str) -> int:
    """Bytes: `65536`, `64K`, `10M` or `1G`, in powers of 1024."""
    scale = _SCALES.get(text[-1:].upper(), 1)
    digits = text[:-1] if scale > 1 else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 15):
        raise ValueError("no number")
    rate = int(digits) * scale
    if rate and not 16 * KIB <= rate < 1 << 50:
        raise ValueError("out of bounds")
    return rate


def _idle(text: str) -> float:
    seconds = _bounded_duration(text)
    if 0 < seconds < 10:
        raise ValueError("too short")
    return seconds


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        raise ValueError("no port, or an IPv6 address without brackets")
    return _host(host), number(0, 65535, "").parse(port)


def choice(*words: str) -> Kind:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError("not one of the choices")
        return text

    return Kind("WORD", " or ".join(words), parse)


def _fingerprint(text: str) -> str:
    digits = text.replace(":", "").lower()
    if not _SHA256.fullmatch(digits):
        raise ValueError("no SHA-256 in hex")
    return digits


_port = number(1, 65535, "").parse


def _ports(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    bounds = _port(first), _port(last if dash else first)
    if bounds[0] > bounds[1]:
        raise ValueError("the first is above the last")
    return bounds


HOST = Kind("HOST", "a host name or an IP address", _host)
PORT = number(0, 65535, "a port from 1 to 65535, or 0 to let the system choose", "PORT")
PORTS = Kind("FIRST-LAST", "two ports from 1 to 65535, such as 20000-20999", _ports)
BUFFER = number(4 * KIB, 64 * MIB, f"a number of bytes from {4 * KIB} to {64 * MIB}", "BYTES")
DURATION = Kind("TIME", "a duration such as 10, 1.5s, 300ms or 2m, a day at most", _bounded_duration)
IDLE = Kind("TIME", "a duration from 10s to a day, or 0 for the default", _idle, absent=None)
LIMIT = Kind("NUMBER", "a number, or 0 for no limit", number(0, 10**9, "").parse, absent=None)
RATE = Kind("BYTES", "bytes a second such as 64K or 10M, 16K at least, or 0 for no limit", _rate, absent=None)
ADDRESS = Kind("HOST:PORT", "an address such as 127.0.0.1:9100 or [::1]:9100", _address, absent=None)
SWITCH = Kind("", "one of 1/0, true/false, yes/no, on/off", _switch, absent=False)
DEBUG = Kind("", "0, 1 or 2", number(0, 2, "").parse, absent=0)
URL = Kind("URL", "a server's address such as wss://example.org or ws://127.0.0.1:8765", _url)
USER = Kind("NAME", "1 to 255 bytes", _credential)
SECRET = Kind(
    "SECRET",
    "1 to 255 bytes without control characters",
    lambda t: Secret(_credential(t)),
    Secret(""),
    secret=True,
)
SECRETS = Kind(
    "SECRET",
    "1 to 255 bytes without control characters",
    _secrets,
    absent=(),
    repeats=True,
    secret=True,
)
TOKEN = Kind(
    "SECRET",
    "1 to 255 bytes without control characters, but for the word `anonymous`",
    _token,
    Secret(""),
    secret=True,
)
PROXY = Kind("URL", "a proxy's address such as socks5h://host:1080", _proxy, absent=None, secret=True)
HEADER_VALUE = Kind("TEXT", "printable ASCII", _header_value)
HEADERS = Kind("LINE", "a header such as `Name: value`", _headers, absent=(), repeats=True, secret=True)
FINGERPRINT = Kind("SHA256", "64 hex digits, with or without colons", _fingerprint)
SECTION = Kind("NAME", "the name of a section [token:NAME], without the brackets", _text)
FILE = Kind("FILE", "the name of a file", _text, path=True)
RULES = Kind("RULE", "rules such as 10.0.0.0/8:22 or *.example.org:443", _rules, absent=(), repeats=True)
LIST = Kind("ITEM", "one or more values", lambda text: tuple(text.split()), absent=(), repeats=True)
