"""A program that uses a server's API over HTTP, in the test's own hub."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from gevent import socket

KEY = "a-key-of-the-tests"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self) -> Any:
        """The body, as it should be: JSON with a newline at its end."""
        assert self.headers["Content-Type"] == "application/json"
        assert self.text.endswith("}\n")
        return json.loads(self.text)


class Api:
    """The API of the server at `port`; each request has a connection of its own."""

    def __init__(self, port: int, key: str | None = KEY, *, host: str = "127.0.0.1") -> None:
        self.address = host, port
        self._headers = {} if key is None else {"X-API-Key": key}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """`body` is sent as it is where it is bytes, else as JSON."""
        connection = http.client.HTTPConnection(*self.address)
        connection.sock = socket.create_connection(self.address, timeout=15)
        try:
            raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            said = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, raw, self._headers | said)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON of a page that is there."""
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.json

    def post(self, path: str, **body: Any) -> Any:
        """The JSON of what could be done."""
        answer = self.ask("POST", path, body)
        assert answer.status == 200, answer
        return answer.json
