"""Access rules as programs write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from linksocks.errors import ConfigError
from linksocks.library.arguments import each, whole
from linksocks.tunnel.access import AccessRules, Rule


@dataclass
class AccessRule:
    """Allows targets: one of `addrs`, at one of `ports`; an empty list allows any.

    `addrs` holds networks ("10.0.0.0/8"), addresses, ranges of them ("10.0.0.1-99"), names ("example.org") and
    domains ("*.example.org"), "*" for any; `ports` holds numbers and ranges, both ends included.

    >>> AccessRule(["10.0.0.0/8", "*.example.org"], [22, (8000, 8999)])
    AccessRule(addrs=['10.0.0.0/8', '*.example.org'], ports=[22, (8000, 8999)])

    It is read when it is given to a Server, a Client or a token: those raise ConfigError for one that makes no sense.
    """

    addrs: Sequence[str]
    ports: Sequence[int | tuple[int, int]] = field(default_factory=list)


def access_rules(
    name: str, rules: Iterable[AccessRule] | None, *, block_private: bool = False
) -> AccessRules:
    """What one of `rules` allows, or all without any. Raises TypeError, ConfigError that name the argument."""
    allow = tuple(_rule(name, rule) for rule in each(name, rules, "a list of AccessRule"))
    return AccessRules(allow, block_private=block_private)


def _rule(name: str, rule: object) -> Rule:
    if not isinstance(rule, AccessRule):
        raise TypeError(f"{name}: expected a list of AccessRule, one is {type(rule).__name__}")
    if rule.addrs is None or rule.ports is None:
        raise TypeError(f"{name}: expected lists in an AccessRule, got None")
    addrs = tuple(each(f"{name}: addrs of an AccessRule", rule.addrs, "a list of str"))
    if not all(isinstance(addr, str) for addr in addrs):
        raise TypeError(f"{name}: addrs of an AccessRule: expected a list of str")
    ports = tuple(
        _span(name, port) for port in each(f"{name}: ports of an AccessRule", rule.ports, "a list of ports")
    )
    try:
        return Rule(() if "*" in addrs else addrs, ports)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def _span(name: str, port: object) -> tuple[int, int]:
    match port:
        case (first, last):
            return whole(name, first), whole(name, last)
        case _:
            return whole(name, port), whole(name, port)
