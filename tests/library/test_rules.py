"""Access rules, as programs write them and as tunnels keep them."""

from __future__ import annotations

from typing import Any

import pytest

from linksocks import AccessRule, Client, ConfigError, Server
from linksocks.library.rules import access_rules
from linksocks.tunnel.access import AccessRules, Rule
from tests.library.conftest import url_of
from tests.support.targets import EchoTarget

pytestmark = pytest.mark.usefixtures("clean")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (AccessRule([]), Rule()),
        (AccessRule(["*"]), Rule()),
        (
            AccessRule(["10.0.0.0/8", "*.example.org"], [22]),
            Rule(("10.0.0.0/8", "*.example.org"), ((22, 22),)),
        ),
        (AccessRule(("::1",), [(1, 9), [80, 81]]), Rule(("::1",), ((1, 9), (80, 81)))),  # type: ignore[list-item]
        (AccessRule(["10.0.0.1-9"], ["443"]), Rule(("10.0.0.1-9",), ((443, 443),))),  # type: ignore[list-item]
    ],
)
def test_what_a_rule_is(rule: AccessRule, expected: Rule) -> None:
    assert access_rules("rules", [rule]) == AccessRules((expected,))


def test_none_and_nothing_allow_all() -> None:
    assert access_rules("rules", None) == access_rules("rules", []) == AccessRules()


@pytest.mark.parametrize(
    "rule",
    [
        AccessRule(["10.0.0.0/99"]),
        AccessRule(["not a host"]),
        AccessRule([""]),
        AccessRule([], [0]),
        AccessRule([], [(9, 8)]),
        AccessRule([], [65536]),
    ],
)
def test_rules_that_make_no_sense_are_errors_at_once(rule: AccessRule) -> None:
    with pytest.raises(ConfigError, match=r"^rules: "):
        access_rules("rules", [rule])
    for make in (Server, Client):
        for name in ("entry_access_control", "dial_access_control"):
            arguments: dict[str, Any] = {name: [rule]}
            with pytest.raises(ConfigError, match=f"^{name}: "):
                make(**arguments)


@pytest.mark.parametrize("where", ["server", "token", "client"])
def test_they_hold(where: str, echo: EchoTarget) -> None:
    here, elsewhere = AccessRule(["127.0.0.1"], [echo.port]), AccessRule(["192.0.2.1"])
    for rule, allowed in ((here, True), (elsewhere, False)):
        with Server(
            ws_host="127.0.0.1", ws_port=0, dial_access_control=[rule] if where == "server" else None
        ) as server:
            token = server.add_forward_token_with_rules(None, [rule] if where == "token" else None)
            with Client(
                token,
                ws_url=url_of(server),
                socks=False,
                entry_access_control=[rule] if where == "client" else None,
            ) as client:
                assert reaches(client, echo) is allowed


def test_private_targets_may_be_blocked(echo: EchoTarget) -> None:
    with (
        Server(ws_host="127.0.0.1", ws_port=0, block_private=True) as server,
        Client(server.add_forward_token(), ws_url=url_of(server), socks=False) as client,
    ):
        assert not reaches(client, echo)


def reaches(client: Client, echo: EchoTarget) -> bool:
    try:
        client.create_connection(("127.0.0.1", echo.port), timeout=10).close()
    except PermissionError:
        return False
    return True
