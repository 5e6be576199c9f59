"""What a file means as a plan, and how two plans differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linksocks.config import Settings, resolve, resolve_all
from linksocks.config.secret import Secret
from linksocks.config.settings import settings_of
from linksocks.errors import ConfigError
from linksocks.server.specs import Kind, TokenSpec
from linksocks.shell.plan import LOGS, Change, Plan, What, diff, in_force, plan_of
from linksocks.tunnel.access import AccessRules, parse_rules
from linksocks.tunnel.channels.limits import Limits

MADE = Secret("made")


def settings(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "test.ini"
    file.touch(0o600)
    file.write_text(text)
    return resolve_all("run", {"config": str(file)}, {})


def plan(tmp_path: Path, text: str) -> Plan:
    return plan_of(settings(tmp_path, text), MADE)


def server(**values: object) -> Plan:
    """A server with one token and these settings."""
    config = resolve("server", {}, {})
    config = replace(config, values={**config.values, **{k.replace("_", "-"): v for k, v in values.items()}})
    return Plan({"server": config}, {"token:a": TokenSpec(Kind.REVERSE, "a")})


def client(name: str = "client", **values: object) -> Plan:
    config = resolve("client", {}, {})
    config = replace(config, values={**config.values, **{k.replace("_", "-"): v for k, v in values.items()}})
    return Plan({name: config})


class TestPlan:
    def test_tokens_of_sections(self, tmp_path: Path) -> None:
        found = plan(
            tmp_path,
            "[server]\n[token:v]\ntype = connector\nreverse_token = o\ntoken = v\naccess_rule = *:80\n"
            "[token:o]\ntype = reverse\ntoken = o\nport = 7\nusername = me\npassword = p\nmax_links = 3\n"
            "[token:f]\ntoken = f\n[token:n]\ntype = autonomy\ntoken = n\n",
        )
        reverse = TokenSpec(Kind.REVERSE, "o", port=7, username="me", password="p", limits=Limits(links=3))
        rules = AccessRules(parse_rules("*:80"))
        assert found.tokens == {
            "token:o": reverse,
            "token:f": TokenSpec(Kind.FORWARD, "f"),
            "token:n": TokenSpec(Kind.AUTONOMY, "n"),
            "token:v": TokenSpec(Kind.CONNECTOR, "v", reverse_token="o", rules=rules),
        }
        assert list(found.tokens)[-1] == "token:v"  # behind the one that it leads to

    @pytest.mark.parametrize(
        ("text", "tokens"),
        [
            ("[server]\n", ["made"]),
            ("[server]\ntoken = own\n", ["own"]),
            ("[server]\n[token:a]\ntoken = a\n", ["a"]),
            ("[server]\ntoken = own\n[token:a]\ntoken = a\n", ["own", "a"]),
            ("[server]\napi_key = k\n", []),
            ("[server]\ntoken = own\nreverse = yes\nconnector_token = c\n", ["own", "c"]),
            ("[client]\n", []),
        ],
    )
    def test_whom_a_server_lets_in(self, tmp_path: Path, text: str, tokens: list[str]) -> None:
        assert [spec.token for spec in plan(tmp_path, text).tokens.values()] == tokens

    def test_reverse_is_about_the_server_s_own_token(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="--reverse: is about --token"):
            plan(tmp_path, "[server]\nreverse = yes\n[token:a]\ntoken = a\n")

    def test_the_logs_are_the_process_s(self, tmp_path: Path) -> None:
        found = plan(tmp_path, "[server]\ndebug = 1\n[client]\ndebug = 2\nlog_format = json\n")
        assert (found.debug, found.log_format) == (2, "json")


class TestDiff:
    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            (server(), server(grace=1.0), ["server: changed: grace"]),
            (server(), server(block_private=True), ["server: changed: block-private"]),
            (server(), server(ws_port=1), ["server: changes with a restart only: ws-port"]),
            (
                server(),
                server(ws_port=1, grace=1.0),
                ["server: changed: grace", "server: changes with a restart only: ws-port"],
            ),
            (
                server(),
                server(token=Secret("x"), socks_port=1, debug=2),
                [],
            ),  # said of its token and the logs
            (client(), client(grace=1.0), ["client: changed: grace"]),
            (client(), client(url="ws://h", grace=1.0), ["client: ended and begun anew: url, grace"]),
            (client(), client(token_file="elsewhere"), []),
            (client(), client(token=Secret("x")), ["client: ended and begun anew: token"]),
            (client(), client("client:b"), ["client: removed", "client:b: added"]),
            (client(), server(), ["client: removed", "server: added"]),
            (server(), client(), ["server: removed", "client: added"]),
            (client(), replace(client(), debug=1), ["logs: changed: debug"]),
        ],
        ids=str,
    )
    def test_of_roles(self, old: Plan, new: Plan, said: list[str]) -> None:
        assert [str(change) for change in diff(old, new)] == said

    @pytest.mark.parametrize(
        ("changes", "what"),
        [
            ({"port": 1}, What.CHANGED),
            ({"username": "a", "password": "b"}, What.CHANGED),
            ({"rules": AccessRules(block_private=True)}, What.CHANGED),
            ({"limits": Limits(links=1)}, What.CHANGED),
            ({"token": "b"}, What.RENEWED),
            ({"kind": Kind.FORWARD}, What.RENEWED),
            ({"kind": Kind.AUTONOMY, "rules": AccessRules(block_private=True)}, What.RENEWED),
        ],
    )
    def test_of_a_token(self, changes: dict[str, object], what: What) -> None:
        old = server()
        new = replace(old, tokens={"token:a": replace(old.tokens["token:a"], **changes)})
        assert diff(old, new) == [Change(what, "token:a", tuple(changes))]

    def test_what_goes_stands_before_what_comes(self) -> None:
        a, b = TokenSpec(Kind.FORWARD, "a"), TokenSpec(Kind.FORWARD, "b")
        c = TokenSpec(Kind.CONNECTOR, "c", reverse_token="r")
        old = Plan(server(ws_port=1).roles, {"token:a": a, "token:b": b, "token:c": c})
        new = Plan(
            {**server(ws_port=2).roles, **client().roles},
            {"token:b": replace(b, token="a"), "token:z": a, "token:c": replace(c, reverse_token="z")},
            debug=1,
        )
        assert [(change.what, change.section) for change in diff(old, new)] == [
            (What.REMOVED, "token:a"),
            (What.CHANGED, LOGS),
            (What.RENEWED, "token:b"),
            (What.ADDED, "token:z"),
            (What.RENEWED, "token:c"),
            (What.ADDED, "client"),
            (What.WAITS, "server"),
        ]


VALUES = {
    "grace": st.sampled_from([1.0, 2.0]),
    "url": st.sampled_from(["ws://a", "ws://b"]),
    "socks-port": st.sampled_from([1, 2]),
    "ws-port": st.sampled_from([1, 2]),
    "token": st.sampled_from([Secret("a"), Secret("b")]),
}


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    roles = {}
    for section in draw(st.sets(st.sampled_from(["server", "client", "client:b", "provider:c"]))):
        config = resolve(section.partition(":")[0], {}, {})
        names = {setting.name for setting in settings_of(config.command)}
        said = {name: draw(values) for name, values in VALUES.items() if name in names}
        roles[section] = replace(config, values={**config.values, **said})
    specs = st.builds(
        TokenSpec,
        st.sampled_from([Kind.FORWARD, Kind.REVERSE]),
        st.sampled_from("abc"),
        port=st.sampled_from([1, 2]),
    )
    tokens = draw(st.dictionaries(st.sampled_from(["token:a", "token:b", "token:c"]), specs))
    return Plan(roles, tokens if "server" in roles else {}, draw(st.integers(0, 2)))


@given(plans())
def test_a_plan_does_not_differ_from_itself(one: Plan) -> None:
    assert diff(one, one) == []
    assert in_force(one, one) == one


@given(plans(), plans())
def test_once_applied_only_what_waits_is_left(old: Plan, new: Plan) -> None:
    waiting = [change for change in diff(old, new) if change.what is What.WAITS]
    assert diff(in_force(old, new), new) == waiting
    assert all(change.section == "server" for change in waiting)


@given(plans(), plans())
def test_a_change_names_what_differs_and_nothing_else(old: Plan, new: Plan) -> None:
    for change in diff(old, new):
        if change.section == LOGS:
            assert old.debug != new.debug
            continue
        before = {**old.roles, **old.tokens}.get(change.section)
        after = {**new.roles, **new.tokens}.get(change.section)
        assert (before is None) == (change.what is What.ADDED)
        assert (after is None) == (change.what is What.REMOVED)
        assert bool(change.keys) == (change.what in (What.CHANGED, What.RENEWED, What.WAITS))
        assert before != after
