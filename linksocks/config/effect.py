"""Which settings do something, by how a command runs: the others are refused, so that nothing is silently ignored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from linksocks.config.settings import command_named

_FOR_APPLICATIONS: Final = frozenset(
    {
        "socks-host",
        "socks-port",
        "socks-username",
        "socks-password",
        "socks-password-file",
        "socks-no-wait",
        "socks-nowait",
        "port-pool",
        "fast-open",
    }
)
"""What is of use to the side with the port for applications."""

_FOR_TARGETS: Final = frozenset({"upstream-proxy", "upstream-proxy-file"})
"""What is of use to a server only where it dials."""

_FOR_CONNECTORS: Final = frozenset(
    {"connector-token", "connector-token-file", "connector-autonomy", "connector-wait-provider"}
)
"""What is of use where there are providers."""

_FOR_ANY_TOKEN: Final = frozenset(
    {
        "socks-host",
        "socks-nowait",
        "port-pool",
        "fast-open",
        "connector-wait-provider",
        "upstream-proxy",
        "upstream-proxy-file",
    }
)
"""What is of use to a server with tokens of any kind."""

_LEAVE: Final = "leave this out"
_LEAVE_ONE: Final = "leave one of them out"


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a command runs."""

    command: str
    reverse: bool
    """The other end of its links opens the port for applications, or, at a server, the server does."""
    autonomy: bool = False
    """A server whose providers let connectors in themselves: it opens no port."""
    connectors: bool = False
    """A server with a token for connectors."""
    any_token: bool = False
    """A server whose tokens may be of any kind: sections declare them, or the API makes them."""


def no_effect(way: Way, name: str) -> str:
    """Why a setting does nothing, and what to do; empty where it does something."""
    if way.any_token and name in _FOR_ANY_TOKEN:
        return ""
    fixed = command_named(way.command).reverse is not None
    needed = _needed(way.command, name)
    if fixed and (name == "reverse" or needed is (not way.reverse)):
        return f"on a {way.command}; leave it out"
    if needed is (not way.reverse):
        return f"without --reverse; add that or {_LEAVE}" if needed else f"with --reverse; {_LEAVE_ONE}"
    if way.command == "server" and way.autonomy and name in _FOR_APPLICATIONS:
        return f"with --connector-autonomy, which opens no port; {_LEAVE_ONE}"
    if name == "connector-wait-provider" and not (way.autonomy or way.connectors):
        return f"without --connector-token or --connector-autonomy; add one of them or {_LEAVE}"
    return ""


def _needed(command: str, name: str) -> bool | None:
    """Whether a setting needs --reverse (True) or must not have it (False); None: it does not mind."""
    if name in _FOR_CONNECTORS:
        return True
    if name in _FOR_APPLICATIONS:
        return command == "server"
    return False if name in _FOR_TARGETS and command == "server" else None
