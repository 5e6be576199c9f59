"""The description of the API: OpenAPI 3.1, as data.

`tests/server/api/test_document.py` holds it against the application, both ways: the pages that there are, and with
schemathesis what they answer.
"""

from __future__ import annotations

from typing import Any, Final

from linksocks.version import __version__

_Json = dict[str, Any]


def _object(required: _Json, optional: _Json | None = None) -> _Json:
    """An object with these keys and no others."""
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: _Json) -> _Json:
    return {"type": "array", "items": items}


def _reply(description: str, *schemas: _Json) -> _Json:
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _body(schema: _Json, *, required: bool = True) -> _Json:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _operation(name: str, summary: str, replies: _Json, **more: Any) -> _Json:
    """What every page answers besides: to whom has no key, and to whom has guessed too often."""
    for status, why in (("401", "no API key, or a wrong one"), ("429", "too many wrong keys")):
        replies[status] = _reply(why, _FAILURE)
    return {"operationId": name, "summary": summary, "responses": replies, **more}


def _parameter(name: str, description: str) -> list[_Json]:
    schema = {"type": "string", "minLength": 1}
    return [{"name": name, "in": "path", "required": True, "description": description, "schema": schema}]


_TEXT: Final[_Json] = {"type": ["string", "null"], "maxLength": 255, "description": "printable"}
_FLAG: Final[_Json] = {"type": "boolean"}
_MAYBE: Final[_Json] = {"type": ["boolean", "null"]}
_NAME: Final[_Json] = {"type": "string", "maxLength": 255}
_COUNT: Final[_Json] = {"type": "integer", "minimum": 0}
_WORD: Final[_Json] = {"type": "string", "minLength": 1}
_TIME: Final[_Json] = {"type": "string", "format": "date-time"}
_OPEN_PORT: Final[_Json] = {"type": "integer", "minimum": -1, "maximum": 65535}
_DONE: Final[_Json] = {"const": True}

_FAILURE: Final = _object({"success": {"const": False}, "error": _WORD})
_BAD_BODY: Final = _reply("the body is not what it should be; `error` says where", _FAILURE)
_TOO_LARGE: Final[_Json] = {
    "description": "the body is larger than 64 KiB",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}
_UNWRITTEN: Final = _reply("the state file can't be written; nothing was done", _FAILURE)
_BODY_REPLIES: Final = {"400": _BAD_BODY, "413": _TOO_LARGE, "503": _UNWRITTEN}

_ENVELOPE_FAILURE: Final = _object({"success": {"const": False}, "error": _WORD, "data": {"type": "null"}})


def _envelope(data: _Json) -> _Json:
    return _object({"success": _DONE, "error": {"type": "null"}, "data": data})


_PORT_TERMS: Final = {
    "port": {
        "type": ["integer", "null"],
        "minimum": 0,
        "maximum": 65535,
        "description": "for applications; 0 takes one of the pool",
    },
    "username": _TEXT,
    "password": _TEXT,
    "allow_manage_connector": _MAYBE,
}

_PORT_RANGE: Final[_Json] = {"type": "integer"}
_RULE: Final = _object(
    {},
    {
        "addrs": {"type": ["array", "null"], "items": {"type": "string"}},
        "ports": {
            "type": ["array", "null"],
            "items": {
                "anyOf": [
                    _PORT_RANGE,
                    {"type": "array", "items": _PORT_RANGE, "minItems": 2, "maxItems": 2},
                ]
            },
        },
    },
)
_RULES: Final[_Json] = {"type": ["array", "null"], "items": _RULE}
_SHOWN_RULES: Final[_Json] = {
    "type": ["array", "null"],
    "items": _object({"Addrs": _list(_WORD), "Ports": {"type": "array"}}),
}

_TOKEN_ITEM: Final = _object(
    {"token": _WORD, "type": {"enum": ["reverse", "forward"]}, "clients_count": _COUNT},
    {"port": _OPEN_PORT, "connector_tokens": _list(_WORD)},
)

_CLIENT: Final = {
    "id": _WORD,
    "role": {"enum": ["forward client", "provider", "connector"]},
    "token": _WORD | {"description": "the label of its token"},
    "instance": {"type": "string", "format": "uuid"},
    "since": _TIME,
    "sent": _COUNT,
    "received": _COUNT,
    "channels_count": _COUNT,
    "links": _list(_object({"address": _WORD, "since": _TIME})),
}

_CHANNEL: Final = _object(
    {
        "id": {"type": "string", "format": "uuid"},
        "transport": {"enum": ["tcp", "udp"]},
        "target": {"type": ["string", "null"]},
        "age": {"type": "number", "minimum": 0, "description": "seconds"},
        "sent": _COUNT,
        "received": _COUNT,
    }
)

_REMOVED_TOKEN: Final = _object({"success": _DONE, "token": _WORD})
_REMOVED: Final = _reply("removed", _REMOVED_TOKEN)
_NO_TOKEN: Final = _reply("there is no such token", _FAILURE)
_NO_CLIENT: Final = _reply("there is no such client", _FAILURE)
_TOKEN_NAME: Final = _parameter("name", "the token, or its label")

_LINKSOCKS: Final[_Json] = {
    "/api/status": {
        "get": _operation(
            "status",
            "The version, and all tokens but connector tokens, which stand with their reverse token.",
            {
                "200": _reply(
                    "the server's state",
                    _object(
                        {
                            "version": _WORD,
                            "tokens": _list(_TOKEN_ITEM),
                            "direct": _object({"enabled": _FLAG}),
                        }
                    ),
                )
            },
        )
    },
    "/api/token": {
        "post": _operation(
            "make_token",
            "Makes a token, of a text that is given or made up. 200 with `success` false says why it can't be.",
            {
                "200": _reply(
                    "the token, and the port of a reverse one (-1 where providers manage their connectors)",
                    _object({"success": _DONE, "token": _WORD}, {"port": _OPEN_PORT}),
                    _FAILURE,
                ),
                **_BODY_REPLIES,
            },
            requestBody=_body(
                _object(
                    {"type": {"enum": ["forward", "reverse", "connector"]}},
                    {"token": _TEXT, **_PORT_TERMS, "reverse_token": _TEXT, "rules": _RULES},
                )
            ),
        ),
        "delete": _operation(
            "remove_token_in_body",
            "Removes a token and whom it let in; a reverse token with its connector tokens.",
            {
                "200": _reply("removed, or `token not specified`", _REMOVED_TOKEN, _FAILURE),
                "404": _NO_TOKEN,
                **_BODY_REPLIES,
            },
            requestBody=_body(_object({}, {"token": _TEXT}), required=False),
        ),
    },
    "/api/token/{name}": {
        "delete": _operation(
            "remove_token",
            "Removes a token and whom it let in; a reverse token with its connector tokens.",
            {"200": _REMOVED, "404": _NO_TOKEN, "413": _TOO_LARGE, "503": _UNWRITTEN},
            parameters=_TOKEN_NAME,
        )
    },
}

_ENVELOPE_NO_TOKEN: Final = _reply("there is no such token", _ENVELOPE_FAILURE)
_ENVELOPE_UNWRITTEN: Final = _reply("the state file can't be written; nothing was done", _ENVELOPE_FAILURE)
_ENVELOPE_REMOVAL: Final = {
    "200": _reply("removed", _envelope({"type": "null"})),
    "404": _ENVELOPE_NO_TOKEN,
    "413": _TOO_LARGE,
    "503": _ENVELOPE_UNWRITTEN,
}
_ENVELOPE_MAKING: Final = {
    "400": _reply("it can't be, or the body is not what it should be", _ENVELOPE_FAILURE, _FAILURE),
    "413": _TOO_LARGE,
    "503": _ENVELOPE_UNWRITTEN,
}

_RUSOCKS: Final[_Json] = {
    "/api/tokens": {
        "get": _operation(
            "list_tokens",
            "All tokens, by their labels.",
            {
                "200": _reply(
                    "the tokens",
                    _envelope(
                        _list(
                            _object(
                                {
                                    "token": _WORD,
                                    "type": {"enum": ["forward", "reverse", "connector"]},
                                    "clients_count": _COUNT,
                                },
                                {"port": _OPEN_PORT},
                            )
                        )
                    ),
                )
            },
        ),
        "post": _operation(
            "make_token_of_rusocks",
            "Makes a forward or a reverse token.",
            {
                "200": _reply("the token", _envelope(_object({"token": _WORD}, {"port": _OPEN_PORT}))),
                **_ENVELOPE_MAKING,
            },
            requestBody=_body(_object({"reverse": _FLAG}, {"token": _TEXT, **_PORT_TERMS})),
        ),
    },
    "/api/tokens/{name}": {
        "delete": _operation(
            "remove_token_of_rusocks",
            "Removes a forward or a reverse token.",
            dict(_ENVELOPE_REMOVAL),
            parameters=_TOKEN_NAME,
        )
    },
    "/api/connectors": {
        "post": _operation(
            "make_connector",
            "Makes a connector token for the providers of a reverse token.",
            {
                "200": _reply("the connector token", _envelope(_object({"connector_token": _WORD}))),
                **_ENVELOPE_MAKING,
            },
            requestBody=_body(_object({"reverse_token": _NAME}, {"connector_token": _TEXT})),
        )
    },
    "/api/connectors/{name}": {
        "delete": _operation(
            "remove_connector",
            "Removes a connector token.",
            dict(_ENVELOPE_REMOVAL),
            parameters=_TOKEN_NAME,
        )
    },
}

_OURS: Final[_Json] = {
    "/api/clients": {
        "get": _operation(
            "list_clients",
            "Who is connected. `sent` and `received` are bytes of payload, from the server's view.",
            {"200": _reply("the clients", _object({"success": _DONE, "clients": _list(_object(_CLIENT))}))},
        )
    },
    "/api/clients/{name}": {
        "get": _operation(
            "show_client",
            "One client with its channels, 1,000 at most.",
            {
                "200": _reply(
                    "the client",
                    _object({"success": _DONE, "client": _object(_CLIENT | {"channels": _list(_CHANNEL)})}),
                ),
                "404": _NO_CLIENT,
            },
            parameters=_parameter("name", "its id"),
        ),
        "delete": _operation(
            "disconnect_client",
            "Closes its links with code 1008. It may come back: remove its token to keep it out.",
            {
                "200": _reply("told to leave", _object({"success": _DONE, "client": _WORD})),
                "404": _NO_CLIENT,
                "413": _TOO_LARGE,
            },
            parameters=_parameter("name", "its id"),
        ),
    },
    "/api/config/access": {
        "get": _operation(
            "show_access",
            "The access rules of the whole server; null where there are none.",
            {"200": _reply("the rules", _object({"entry": _SHOWN_RULES, "dial": _SHOWN_RULES}))},
        ),
        "put": _operation(
            "replace_access",
            "Replaces the rules of one side or both, until the server ends.",
            {
                "200": _reply("replaced", _object({"success": _DONE})),
                "400": _BAD_BODY,
                "413": _TOO_LARGE,
            },
            requestBody=_body(_object({}, {"entry": _RULES, "dial": _RULES})),
        ),
    },
    "/api/reload": {
        "post": _operation(
            "reload",
            "Reads the settings again and applies what has changed.",
            {
                "200": _reply("what has changed", _object({"success": _DONE, "changed": _list(_WORD)})),
                "409": _reply("the settings are wrong, or there is no file; nothing was done", _FAILURE),
                "413": _TOO_LARGE,
            },
        )
    },
    "/api/openapi.json": {
        "get": _operation("describe", "This description.", {"200": _reply("it", {"type": "object"})})
    },
}

DOCUMENT: Final[_Json] = {
    "openapi": "3.1.0",
    "info": {"title": "linksocks", "version": __version__},
    "security": [{"key": []}],
    "paths": {**_LINKSOCKS, **_RUSOCKS, **_OURS},
    "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}},
}
