"""The endpoints of LinkSocks: what 1.10.3 was seen to answer, byte for byte, and where we differ on purpose."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest

from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.version import __version__
from tests.support.api import Api
from tests.support.ports import free_port
from tests.support.roles import by_hand


def body(api: Api, method: str, path: str, said: object = None) -> str:
    answer = api.ask(method, path, said)
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "application/json"
    return answer.text


class TestStatus:
    def test_of_an_empty_server(self, api: Api) -> None:
        expected = f'{{"version":"v{__version__}","tokens":[],"direct":{{"enabled":false}}}}\n'
        assert body(api, "GET", "/api/status") == expected

    def test_the_items(self, api: Api) -> None:
        api.post("/api/token", type="forward", token="f")
        port = api.post("/api/token", type="reverse", token="r")["port"]
        api.post("/api/token", type="reverse", token="m", allow_manage_connector=True)
        for token in ("c", "d"):
            api.post("/api/token", type="connector", token=token, reverse_token="r")
        assert body(api, "GET", "/api/status") == (
            f'{{"version":"v{__version__}","tokens":['
            f'{{"token":"r","type":"reverse","clients_count":0,"port":{port},"connector_tokens":["c","d"]}},'
            '{"token":"m","type":"reverse","clients_count":0,"port":-1},'
            '{"token":"f","type":"forward","clients_count":0}'
            '],"direct":{"enabled":false}}\n'
        )

    def test_clients_are_counted_by_their_token_and_not_by_their_links(
        self, api: Api, server: ServerRole
    ) -> None:
        for token in ("a", "b"):
            api.post("/api/token", type="forward", token=token)
        with (
            by_hand(server, "a", instance=b"1" * 16),
            by_hand(server, "a", instance=b"1" * 16),
            by_hand(server, "a", instance=b"2" * 16),
        ):
            counts = {item["token"]: item["clients_count"] for item in api.get("/api/status")["tokens"]}
        assert counts == {"a": 2, "b": 0}


class TestMakingTokens:
    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ({"type": "forward"}, r'\{"success":true,"token":"[0-9a-f]{32}"\}\n'),
            ({"type": "forward", "token": "a"}, r'\{"success":true,"token":"a"\}\n'),
            ({"type": "forward", "token": "grün"}, r'\{"success":true,"token":"grün"\}\n'),
            ({"type": "reverse"}, r'\{"success":true,"token":"[0-9a-f]{32}","port":2\d{4}\}\n'),
            ({"TYPE": "reverse", "Port": None}, r'\{"success":true,"token":"[0-9a-f]{32}","port":2\d{4}\}\n'),
            (
                {"type": "reverse", "token": "r", "port": 0, "username": "u", "password": "p"},
                r'\{"success":true,"token":"r","port":2\d{4}\}\n',
            ),
            (
                {"type": "reverse", "token": "m", "allow_manage_connector": True},
                r'\{"success":true,"token":"m","port":-1\}\n',
            ),
        ],
    )
    def test_each_kind(self, api: Api, said: dict[str, object], expected: str) -> None:
        answer = api.ask("POST", "/api/token", said)
        assert answer.status == 200
        assert re.fullmatch(expected, answer.text)

    def test_on_a_port_of_one_s_own(self, api: Api) -> None:
        port = free_port()
        assert api.post("/api/token", type="reverse", port=port)["port"] == port

    def test_a_connector_token(self, api: Api) -> None:
        api.post("/api/token", type="reverse", token="r")
        said = {"type": "connector", "token": "c", "reverse_token": "r"}
        assert body(api, "POST", "/api/token", said) == '{"success":true,"token":"c"}\n'

    @pytest.mark.parametrize(
        ("said", "error"),
        [
            ({"type": "forward", "token": "r"}, "token already exists"),
            ({"type": "connector", "token": "c"}, "reverse_token is required for connector token"),
            ({"type": "connector", "token": "c", "reverse_token": "x"}, "reverse token does not exist"),
            ({"type": "connector", "token": "c", "reverse_token": "f"}, "reverse token does not exist"),
            ({"type": "connector", "token": "f", "reverse_token": "r"}, "connector token already exists"),
            (
                {"type": "forward", "token": "anonymous"},
                "a token can't be empty or 'anonymous', which is reserved",
            ),
        ],
    )
    def test_failures_are_200_as_there(self, api: Api, said: dict[str, object], error: str) -> None:
        api.post("/api/token", type="forward", token="f")
        api.post("/api/token", type="reverse", token="r")
        assert json.loads(body(api, "POST", "/api/token", said)) == {"success": False, "error": error}

    def test_a_port_that_is_in_use(self, api: Api, server: ServerRole) -> None:
        answer = api.post("/api/token", type="reverse", port=server.port)
        assert answer["success"] is False
        assert f":{server.port}: the port is in use" in answer["error"]

    @pytest.mark.parametrize("said", [{"type": "x"}, {"type": ""}, {}, {"type": None}])
    def test_a_type_that_there_is_not(self, api: Api, said: dict[str, object]) -> None:
        answer = api.ask("POST", "/api/token", said)
        assert answer.status == 400
        assert answer.json["error"] == "invalid token type: expected forward, reverse or connector"

    @pytest.mark.parametrize(
        ("said", "why"),
        [
            ({"type": "forward", "port": 9000}, "port has no effect on a forward token"),
            ({"type": "forward", "password": "p"}, "password has no effect on a forward token"),
            ({"type": "reverse", "reverse_token": "r"}, "reverse_token has no effect on a reverse token"),
            ({"type": "reverse", "username": "u"}, "username and password go together"),
            (
                {"type": "reverse", "allow_manage_connector": True, "port": 1},
                "port has no effect on a token with allow_manage_connector",
            ),
            (
                {"type": "connector", "reverse_token": "r", "port": 1},
                "port has no effect on a connector token",
            ),
        ],
    )
    def test_what_would_have_no_effect(self, api: Api, said: dict[str, object], why: str) -> None:
        answer = api.ask("POST", "/api/token", said)
        assert answer.status == 400
        assert answer.json == {"success": False, "error": f"invalid request body: {why}"}
        assert api.get("/api/status")["tokens"] == []

    def test_the_zero_values_of_other_kinds_are_no_mistake(self, api: Api) -> None:
        zeros = {"port": 0, "username": "", "password": "", "allow_manage_connector": False}
        assert api.post("/api/token", type="forward", token="", reverse_token="", **zeros)["success"]


class TestRemovingTokens:
    @pytest.mark.parametrize(
        "name", ["a", "a/b", "a//b", "/a", "//a/", "/", "a b", "grün", "?&%", "sha256:x", "../x"]
    )
    def test_by_path(self, api: Api, name: str) -> None:
        api.post("/api/token", type="forward", token=name)
        assert json.loads(body(api, "DELETE", f"/api/token/{quote(name)}")) == {
            "success": True,
            "token": name,
        }
        assert api.get("/api/status")["tokens"] == []

    def test_by_body(self, api: Api) -> None:
        api.post("/api/token", type="forward", token="a")
        assert body(api, "DELETE", "/api/token", {"token": "a"}) == '{"success":true,"token":"a"}\n'
        assert api.get("/api/status")["tokens"] == []

    def test_by_label(self, api: Api) -> None:
        api.post("/api/token", type="forward", token="a")
        [item] = api.get("/api/tokens")["data"]
        api.ask("DELETE", f"/api/token/{item['token']}")
        assert api.get("/api/status")["tokens"] == []

    def test_one_that_the_settings_declare(self, api: Api, server: ServerRole) -> None:
        server.add(TokenSpec(Kind.FORWARD, "a"))
        body(api, "DELETE", "/api/token/a")
        assert api.get("/api/status")["tokens"] == []

    @pytest.mark.parametrize("said", [None, {}, {"token": ""}])
    def test_none_specified(self, api: Api, said: object) -> None:
        expected = '{"success":false,"error":"token not specified"}\n'
        assert body(api, "DELETE", "/api/token", said) == expected
        assert body(api, "DELETE", "/api/token/", said) == expected

    def test_one_that_is_not_there(self, api: Api) -> None:
        """LinkSocks says that it has removed it."""
        for answer in (
            api.ask("DELETE", "/api/token/unknown"),
            api.ask("DELETE", "/api/token", {"token": "unknown"}),
        ):
            assert answer.status == 404
            assert answer.json == {"success": False, "error": "there is no such token"}

    def test_connector_tokens_go_with_theirs(self, api: Api) -> None:
        api.post("/api/token", type="reverse", token="r")
        api.post("/api/token", type="connector", token="c", reverse_token="r")
        body(api, "DELETE", "/api/token/r")
        assert api.ask("DELETE", "/api/token/c").status == 404


class TestMethods:
    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("POST", "/api/status", {"GET", "HEAD", "OPTIONS"}),
            ("GET", "/api/token", {"POST", "DELETE", "OPTIONS"}),
            ("PUT", "/api/token", {"POST", "DELETE", "OPTIONS"}),
            ("GET", "/api/token/a", {"DELETE", "OPTIONS"}),
        ],
    )
    def test_one_that_a_page_does_not_have(self, api: Api, method: str, path: str, allow: set[str]) -> None:
        answer = api.ask(method, path)
        assert answer.status == 405
        assert answer.json == {"success": False, "error": "method not allowed"}
        assert set(answer.headers["Allow"].split(", ")) == allow

    def test_head_and_options(self, api: Api) -> None:
        head = api.ask("HEAD", "/api/status")
        assert (head.status, head.text) == (200, "")
        assert head.headers["Content-Type"] == "application/json"
        options = api.ask("OPTIONS", "/api/token")
        assert (options.status, options.text) == (200, "")
        assert set(options.headers["Allow"].split(", ")) == {"POST", "DELETE", "OPTIONS"}

    @pytest.mark.parametrize("path", ["/api/", "/api/nothing", "/api/statusx", "/api/status/x"])
    def test_a_page_that_is_not_there(self, api: Api, path: str) -> None:
        answer = api.ask("GET", path)
        assert answer.status == 404
        assert answer.json == {"success": False, "error": "not found"}

    def test_the_banner(self, api: Api) -> None:
        answer = api.ask("GET", "/")
        assert answer.text == f"LinkSocks v{__version__} is running. API endpoints available at /api/*\n"
        assert api.ask("GET", "/nothing").text == "Not Found\n"
