"""Bodies: what is read as JSON, and that whatever else comes is refused in words, without what it said."""

from __future__ import annotations

import pytest

from tests.support.api import Api

FORWARD = b'{"type":"forward"}'


def error(api: Api, body: object, **headers: str) -> str:
    answer = api.ask("POST", "/api/token", body, **headers)
    assert answer.status == 400, answer
    said = answer.json
    assert said.keys() == {"success", "error"}
    assert api.get("/api/status")["tokens"] == []
    return str(said["error"])


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/x-www-form-urlencoded",
    ],
)
def test_types_that_say_json_or_are_curl_s_own(api: Api, content_type: str) -> None:
    assert api.ask("POST", "/api/token", FORWARD, Content_Type=content_type).json["success"]


def test_no_type_at_all(api: Api) -> None:
    assert api.ask("POST", "/api/token", FORWARD).json["success"]


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/xml"])
def test_another_type(api: Api, content_type: str) -> None:
    assert error(api, FORWARD, Content_Type=content_type) == "invalid request body: expected application/json"


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b'"type"',
        b"1" * 5000,
        b"[" * 60_000,
        b'{"a":' * 10_000,
        FORWARD + b"trailing",
        FORWARD + FORWARD,
        b'{"type":"forward","port":NaN}',
        b'{"type":"forward","port":' + b"9" * 5000 + b"}",
        '{"type":"grün"}'.encode("latin-1"),
        b"\xef\xbb\xbf" + FORWARD,
        b"type=forward",
        b"\0",
    ],
)
def test_no_json_object(api: Api, body: bytes | None) -> None:
    assert error(api, body) == "invalid request body: expected a JSON object in UTF-8"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("token", 5),
        ("token", ["SECRET"]),
        ("token", "SECRET" * 43),
        ("token", "ü" * 128),
        ("token", "SECRET\n"),
        ("token", "SECRET\ud800"),
        ("token", "SECRET\u202e"),
        ("token", "\0"),
        ("password", {"SECRET": 1}),
        ("port", "SECRET"),
        ("port", -1),
        ("port", 65536),
        ("port", 1.0),
        ("port", True),
        ("allow_manage_connector", 1),
        ("allow_manage_connector", "true"),
        ("type", 1),
    ],
)
def test_a_value_that_does_not_fit_is_named_and_not_shown(api: Api, key: str, value: object) -> None:
    said = error(api, {"type": "reverse", key: value})
    assert said.startswith(f"invalid request body: {key}: expected ")
    assert "SECRET" not in said


def test_a_key_that_is_misspelt(api: Api) -> None:
    """LinkSocks would open the port without a password."""
    said = error(api, {"type": "reverse", "usernam": "u", "password": "p"})
    assert said == "invalid request body: there is no such key as 'usernam'; did you mean username?"


def test_a_key_without_end(api: Api) -> None:
    assert len(error(api, {"x" * 50_000: 1})) < 200


def test_one_that_is_too_large(api: Api) -> None:
    answer = api.ask("POST", "/api/token", b" " * 65_537)
    assert answer.status == 413
    assert api.post("/api/token", type="forward")["success"]


def test_one_where_none_is_needed(api: Api) -> None:
    assert api.ask("GET", "/api/status", b"x" * 1000).status == 200
