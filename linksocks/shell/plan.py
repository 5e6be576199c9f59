"""What a process is to run, as a value, and the changes that lead from one plan to another.

What differs is dealt with by where it stands:

========================= =====================================================================================
a [token:NAME]            that token alone, whose links stay unless it is another token now; the same for the token
                          that [server] declares by itself
a client's settings       that client alone begins anew
`grace`, the logs         taken while the process runs; of a server its access rules, too
the rest of [server]      stays as it is until a restart
========================= =====================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any, Final

from linksocks.config import Config, Settings
from linksocks.config.secret import Secret
from linksocks.config.settings import settings_of
from linksocks.server.specs import Kind, TokenSpec
from linksocks.shell.tokens import SERVER, tokens

LOGS: Final = "logs"
"""Stands for a section in a change of `debug` and `log-format`, which are the process's."""

_LOGS: Final = ("debug", "log-format")

_SERVER_ALIVE: Final = frozenset({"grace", "access-rule", "deny-rule", "block-private"})
_CLIENT_ALIVE: Final = frozenset({"grace"})
_TOKEN_ALIVE: Final = frozenset({"port", "username", "password", "rules", "limits"})
"""What each takes while it is at work."""

_OF_TOKENS: Final = frozenset(
    {
        "token",
        "reverse",
        "connector-token",
        "connector-autonomy",
        "socks-port",
        "socks-username",
        "socks-password",
    }
)
"""Settings of a server that are about its own token: that differs then, too."""


@dataclass(frozen=True)
class Plan:
    """What a process runs: roles by their sections, and a server's tokens by theirs."""

    roles: Mapping[str, Config]
    tokens: Mapping[str, TokenSpec] = field(default_factory=dict)
    debug: int = 0
    log_format: str = "text"


class What(Enum):
    """What becomes of a section."""

    REMOVED = "removed"
    CHANGED = "changed"
    RENEWED = "ended and begun anew"
    ADDED = "added"
    WAITS = "changes with a restart only"


@dataclass(frozen=True)
class Change:
    """One section that differs, and by which keys where it is in both plans."""

    what: What
    section: str
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.keys:
            return f"{self.section}: {self.what.value}"
        return f"{self.section}: {self.what.value}: {', '.join(self.keys)}"


def plan_of(settings: Settings, made: Secret) -> Plan:
    """The plan for what a process was told; `made` is the token that a server makes up. Raises ConfigError."""
    server = settings.roles.get(SERVER)
    roles = settings.roles.values()
    formats = [config["log-format"] for config in roles if "log-format" in config.said]
    return Plan(
        settings.roles,
        tokens(server, settings.tokens, made) if server is not None else {},
        max((config["debug"] for config in roles), default=0),
        formats[0] if formats else "text",
    )


def diff(old: Plan, new: Plan) -> list[Change]:
    """What differs, in an order in which it can be done.

    What goes stands before what comes, as it may leave room for that; connector tokens behind those that they lead
    to, and clients behind the tokens that they may have.
    """

    def order(change: Change) -> tuple[bool, bool, int, str]:
        spec = new.tokens.get(change.section)
        if spec is not None:
            place = 3 if spec.kind is Kind.CONNECTOR else 2
        else:
            place = {LOGS: 0, SERVER: 1}.get(change.section, 4)
        return change.what is not What.REMOVED, change.what is What.WAITS, place, change.section

    return sorted((*_logs(old, new), *_tokens(old, new), *_roles(old, new)), key=order)


def in_force(old: Plan, new: Plan) -> Plan:
    """`new`, but for what waits for a restart."""
    waiting = {c.section: c.keys for c in diff(old, new) if c.what is What.WAITS}
    roles = dict(new.roles)
    for section, keys in waiting.items():
        kept = {key: old.roles[section][key] for key in keys}
        roles[section] = replace(roles[section], values={**roles[section].values, **kept})
    return replace(new, roles=roles)


def _logs(old: Plan, new: Plan) -> Iterator[Change]:
    pairs = {"debug": (old.debug, new.debug), "log-format": (old.log_format, new.log_format)}
    keys = tuple(key for key, (before, after) in pairs.items() if before != after)
    if keys:
        yield Change(What.CHANGED, LOGS, keys)


def _tokens(old: Plan, new: Plan) -> Iterator[Change]:
    """Where the server comes or goes, its tokens do with it."""
    if SERVER not in old.roles or SERVER not in new.roles:
        return
    yield from _came_and_went(old.tokens, new.tokens)
    for section in old.tokens.keys() & new.tokens.keys():
        if keys := _fields(old.tokens[section], new.tokens[section]):
            yield Change(What.CHANGED if _TOKEN_ALIVE.issuperset(keys) else What.RENEWED, section, keys)


def _roles(old: Plan, new: Plan) -> Iterator[Change]:
    yield from _came_and_went(old.roles, new.roles)
    for section in old.roles.keys() & new.roles.keys():
        if keys := _keys(old.roles[section], new.roles[section]):
            yield from _server(keys) if section == SERVER else _client(section, keys)


def _server(keys: tuple[str, ...]) -> Iterator[Change]:
    alive = tuple(key for key in keys if key in _SERVER_ALIVE)
    if alive:
        yield Change(What.CHANGED, SERVER, alive)
    if len(alive) < len(keys):
        yield Change(What.WAITS, SERVER, tuple(key for key in keys if key not in alive))


def _client(section: str, keys: tuple[str, ...]) -> Iterator[Change]:
    yield Change(What.CHANGED if _CLIENT_ALIVE.issuperset(keys) else What.RENEWED, section, keys)


def _came_and_went(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    yield from (Change(What.REMOVED, section) for section in old if section not in new)
    yield from (Change(What.ADDED, section) for section in new if section not in old)


def _fields(old: TokenSpec, new: TokenSpec) -> tuple[str, ...]:
    return tuple(f.name for f in fields(TokenSpec) if getattr(old, f.name) != getattr(new, f.name))


def _keys(old: Config, new: Config) -> tuple[str, ...]:
    """What differs in the settings of a role, and is not said elsewhere."""
    elsewhere = {*_LOGS, "config", *(_OF_TOKENS if new.command == SERVER else ())}
    names = [s.name for s in settings_of(new.command) if not s.holds and s.name not in elsewhere]
    return tuple(name for name in dict.fromkeys(names) if old[name] != new[name])
