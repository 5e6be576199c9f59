"""Access rules through the API: read and replaced as LinkSocks has them, and in force at once."""

from __future__ import annotations

import pytest

from linksocks.server.role import ServerRole
from linksocks.tunnel.access import AccessRules, parse_rule
from linksocks.wire import messages as m
from tests.support.api import Api
from tests.support.roles import by_hand
from tests.support.tunnels import Target

PATH = "/api/config/access"
RULE = {"addrs": ["10.0.0.0/8"], "ports": [22, [90, 150]]}
DONE = {"success": True}


def test_none(api: Api) -> None:
    assert api.ask("GET", PATH).text == '{"entry":null,"dial":null}\n'


def test_they_are_shown_as_go_writes_them(api: Api) -> None:
    assert api.ask("PUT", PATH, {"entry": [RULE]}).text == '{"success":true}\n'
    assert api.ask("GET", PATH).text == (
        '{"entry":[{"Addrs":["10.0.0.0/8"],"Ports":[22,[90,150]]}],"dial":null}\n'
    )


def test_a_side_that_is_absent_stays_and_an_empty_one_is_cleared(api: Api) -> None:
    api.ask("PUT", PATH, {"entry": [RULE], "dial": [{"Addrs": ["example.org"]}]})
    assert api.ask("PUT", PATH, {"entry": []}).json == DONE
    dial = [{"Addrs": ["example.org"], "Ports": []}]
    assert api.get(PATH) == {"entry": None, "dial": dial}
    assert api.ask("PUT", PATH, {"entry": None, "dial": None}).json == DONE
    assert api.get(PATH) == {"entry": None, "dial": dial}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"dial": [{"addrs": ["x y"]}]}, "'x y' is no network"),
        ({"dial": [{"ports": [0]}]}, "0-0 is no range of ports"),
        ({"dial": [{"ports": [[150, 90]]}]}, "150-90 is no range of ports"),
        ({"dial": [{"ports": ["22"]}]}, "invalid request body: dial: expected a list of rules"),
        ({"dial": [{"ports": [[1, 2, 3]]}]}, "invalid request body: dial: expected a list of rules"),
        ({"dial": [{"ports": [True]}]}, "invalid request body: dial: expected a list of rules"),
        ({"dial": [{"addrs": "10.0.0.0/8"}]}, "invalid request body: dial: expected a list of rules"),
        ({"dial": [{"address": []}]}, "invalid request body: dial: expected a list of rules"),
        ({"dial": RULE}, "invalid request body: dial: expected a list of rules"),
        ({"dail": []}, "invalid request body: there is no such key as 'dail'; did you mean dial?"),
    ],
)
def test_a_bad_one_changes_nothing(api: Api, body: dict[str, object], why: str) -> None:
    api.ask("PUT", PATH, {"entry": [RULE]})
    before = api.get(PATH)
    answer = api.ask("PUT", PATH, {"entry": []} | body)
    assert answer.status == 400
    assert answer.json["error"].startswith(why)
    assert api.get(PATH) == before


def test_what_linksocks_does_not_know_stays(api: Api, server: ServerRole) -> None:
    server.dial_rules = AccessRules(deny=(parse_rule("10.0.0.0/8:*"),), block_private=True)
    api.ask("PUT", PATH, {"dial": [RULE]})
    assert server.dial_rules.deny
    assert server.dial_rules.block_private
    assert server.dial_rules.allow


def reply(server: ServerRole, token: str, port: int) -> bool:
    """Whether a client that has `token` gets a connection to `port`."""
    with by_hand(server, token) as hand:
        hand.send(m.Connect(b"c" * 16, "127.0.0.1", port))
        return hand.expect(m.ConnectResponse).success


def test_they_are_in_force_at_once(api: Api, server: ServerRole) -> None:
    api.post("/api/token", type="forward", token="f")
    with Target() as target:
        assert reply(server, "f", target.port)
        api.ask("PUT", PATH, {"dial": [{"addrs": ["192.0.2.1"]}]})
        assert not reply(server, "f", target.port)
        api.ask("PUT", PATH, {"dial": []})
        assert reply(server, "f", target.port)


def test_those_of_a_token(api: Api, server: ServerRole) -> None:
    with Target() as target:
        api.post("/api/token", type="forward", token="yes", rules=[{"ports": [target.port]}])
        api.post("/api/token", type="forward", token="no", rules=[{"addrs": ["192.0.2.1"], "ports": None}])
        assert reply(server, "yes", target.port)
        assert not reply(server, "no", target.port)


def test_a_bad_one_of_a_token(api: Api) -> None:
    """A failure as LinkSocks has it: 200."""
    answer = api.post("/api/token", type="forward", rules=[{"addrs": ["x y"]}])
    assert answer["success"] is False
    assert "'x y'" in answer["error"]
    assert api.get("/api/status")["tokens"] == []
