"""Access rules (PROTOCOL section 8): /api/config/access, and the rules in the bodies of others.

What is read and replaced are the allow rules of the whole server, `dial` where it dials itself and `entry` at its own
ports; deny rules and the like stay as the settings have them, which LinkSocks does not know. Nothing of it is kept:
after a restart the settings count again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from flask import Blueprint, Response
from werkzeug.exceptions import BadRequest

from linksocks.errors import ConfigError
from linksocks.server.api.answers import answer
from linksocks.server.api.bodies import Kind, read
from linksocks.server.api.controls import Controls
from linksocks.tunnel.access import AccessRules, Rule


def add_pages(api: Blueprint, controls: Controls) -> None:
    """/api/config/access."""

    @api.get("/api/config/access")
    def show_access() -> Response:
        return answer(entry=_shown(controls.access.entry_rules), dial=_shown(controls.access.dial_rules))

    @api.put("/api/config/access")
    def replace_access() -> Response:
        body = read({"entry": _OR_NOT, "dial": _OR_NOT})
        server = controls.access
        try:
            entry = _replaced(server.entry_rules, body["entry"])
            dial = _replaced(server.dial_rules, body["dial"])
        except ConfigError as error:
            raise BadRequest(str(error)) from error
        server.entry_rules, server.dial_rules = entry, dial  # both or none
        return answer(success=True)


def parsed(rules: list[dict[str, Any]]) -> AccessRules:
    """What fits RULES. Raises ConfigError."""
    return AccessRules(tuple(_rule(rule) for rule in rules))


def _rule(said: dict[str, Any]) -> Rule:
    ports = ((port, port) if type(port) is int else (port[0], port[1]) for port in said.get("ports") or ())
    return Rule(tuple(said.get("addrs") or ()), tuple(ports))


def _replaced(rules: AccessRules, said: list[dict[str, Any]] | None) -> AccessRules:
    return rules if said is None else replace(rules, allow=parsed(said).allow)


def _shown(rules: AccessRules) -> list[dict[str, Any]] | None:
    """As Go writes its own structures, and null for none."""
    return [
        {
            "Addrs": list(rule.hosts),
            "Ports": [low if low == high else [low, high] for low, high in rule.ports],
        }
        for rule in rules.allow
    ] or None


def _is_list(value: Any, fits: Any) -> bool:
    """Whether it is a list of what fits, or null."""
    return value is None or (type(value) is list and all(fits(item) for item in value))


def _is_port(value: Any) -> bool:
    if type(value) is list:
        return len(value) == 2 and all(type(end) is int for end in value)
    return type(value) is int


def _is_rule(value: Any) -> bool:
    return (
        type(value) is dict
        and value.keys() <= {"addrs", "ports"}
        and _is_list(value.get("addrs"), lambda host: type(host) is str and host.isprintable())
        and _is_list(value.get("ports"), _is_port)
    )


RULES: Final = Kind(
    'a list of rules such as {"addrs": ["10.0.0.0/8"], "ports": [22, [90, 150]]}',
    lambda value: _is_list(value, _is_rule),
    [],
)

_OR_NOT: Final = RULES._replace(zero=None)
"""Absent is another thing than none."""
