"""What is about the server as a process: its settings read again, and the description of this API."""

from __future__ import annotations

from flask import Blueprint, Response

from linksocks.errors import LinkSocksError
from linksocks.server.api.answers import answer, failure
from linksocks.server.api.controls import Controls
from linksocks.server.api.document import DOCUMENT


def add_pages(api: Blueprint, controls: Controls) -> None:
    """/api/reload and /api/openapi.json."""

    @api.post("/api/reload")
    def reload() -> Response:
        if controls.reload is None:
            return failure(409, "there is nothing to read again: the server was started without a file")
        try:
            return answer(success=True, changed=list(controls.reload()))
        except LinkSocksError as error:
            return failure(409, str(error))

    @api.get("/api/openapi.json")
    def describe() -> Response:
        return answer(**DOCUMENT)
