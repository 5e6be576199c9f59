"""The endpoints of rusocks: its envelope and its status codes."""

from __future__ import annotations

import pytest

from linksocks.server.role import ServerRole
from tests.support.api import Api


def done(data: object) -> dict[str, object]:
    return {"success": True, "error": None, "data": data}


def failed(error: str) -> dict[str, object]:
    return {"success": False, "error": error, "data": None}


def test_a_reverse_token_as_the_seed_made_it(api: Api) -> None:
    answer = api.post("/api/tokens", reverse=True)
    assert list(answer) == ["success", "error", "data"]
    assert list(answer["data"]) == ["token", "port"]
    assert len(answer["data"]["token"]) == 32
    assert answer["data"]["port"] in range(20000, 30000)


def test_a_forward_token(api: Api) -> None:
    assert api.post("/api/tokens", reverse=False, token="f") == done({"token": "f"})


def test_providers_that_manage_their_connectors(api: Api) -> None:
    answer = api.post("/api/tokens", reverse=True, token="m", allow_manage_connector=True)
    assert answer == done({"token": "m", "port": -1})


def test_connector_tokens(api: Api) -> None:
    api.post("/api/tokens", reverse=True, token="r")
    answer = api.post("/api/connectors", reverse_token="r", connector_token="c")
    assert answer == done({"connector_token": "c"})
    assert len(api.post("/api/connectors", reverse_token="r")["data"]["connector_token"]) == 32
    assert api.ask("DELETE", "/api/connectors/c").json == done(None)
    assert api.ask("DELETE", "/api/connectors/c").status == 404
    api.post("/api/connectors", reverse_token="r", connector_token="/c")
    assert api.ask("DELETE", "/api/connectors//c").json == done(None)


def test_the_list_shows_labels_only(api: Api) -> None:
    port = api.post("/api/tokens", reverse=True, token="secret-r")["data"]["port"]
    api.post("/api/tokens", reverse=False, token="secret-f")
    api.post("/api/connectors", reverse_token="secret-r", connector_token="secret-c")
    answer = api.ask("GET", "/api/tokens")
    assert "secret" not in answer.text
    items = answer.json["data"]
    assert all(item.pop("token").startswith("sha256:") for item in items)
    assert items == [
        {"type": "reverse", "clients_count": 0, "port": port},
        {"type": "forward", "clients_count": 0},
        {"type": "connector", "clients_count": 0},
    ]


def test_a_label_names_a_token_wherever_its_text_does(api: Api) -> None:
    api.post("/api/tokens", reverse=True, token="r")
    [item] = api.get("/api/tokens")["data"]
    api.post("/api/connectors", reverse_token=item["token"], connector_token="c")
    assert api.get("/api/status")["tokens"][0]["connector_tokens"] == ["c"]
    assert api.ask("DELETE", f"/api/tokens/{item['token']}").json == done(None)
    assert api.get("/api/tokens") == done([])


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/api/tokens", {"reverse": False, "token": "r"}, "token already exists"),
        ("/api/connectors", {"reverse_token": "x"}, "reverse token does not exist"),
        ("/api/connectors", {"reverse_token": "f"}, "reverse token does not exist"),
        (
            "/api/connectors",
            {"reverse_token": "m"},
            "the providers of this reverse token manage their connectors themselves",
        ),
        ("/api/connectors", {"reverse_token": "r", "connector_token": "r"}, "connector token already exists"),
    ],
)
def test_what_can_not_be(api: Api, path: str, body: dict[str, object], error: str) -> None:
    api.post("/api/tokens", reverse=True, token="r")
    api.post("/api/tokens", reverse=True, token="m", allow_manage_connector=True)
    api.post("/api/tokens", reverse=False, token="f")
    answer = api.ask("POST", path, body)
    assert (answer.status, answer.json) == (400, failed(error))


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("/api/tokens", {}, "reverse is missing; expected true or false"),
        ("/api/tokens", {"reverse": 1}, "reverse: expected true or false"),
        ("/api/tokens", {"reverse": False, "port": 1}, "port has no effect on a forward token"),
        ("/api/tokens", {"reverse": True, "type": "forward"}, "there is no such key as 'type'"),
        (
            "/api/connectors",
            {},
            "reverse_token is missing; expected a string of 255 bytes at most without control characters",
        ),
    ],
)
def test_a_bad_body(api: Api, path: str, body: dict[str, object], why: str) -> None:
    answer = api.ask("POST", path, body)
    assert (answer.status, answer.json["error"]) == (400, f"invalid request body: {why}")


def test_removing_what_is_not_there(api: Api, server: ServerRole) -> None:
    api.post("/api/tokens", reverse=True, token="r")
    api.post("/api/connectors", reverse_token="r", connector_token="c")
    for path in ("/api/tokens/x", "/api/tokens/x%0A", "/api/connectors/x"):
        answer = api.ask("DELETE", path)
        assert (answer.status, answer.json) == (404, failed("there is no such token"))
    for path in ("/api/tokens/c", "/api/connectors/r"):
        answer = api.ask("DELETE", path)
        assert (answer.status, answer.json) == (404, failed("there is no such token here"))
    assert len(list(server.controls.tokens)) == 2
