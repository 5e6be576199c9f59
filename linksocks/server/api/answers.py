"""Answers of the API: JSON as LinkSocks 1.10.3 writes it, without spaces and with a newline at its end."""

from __future__ import annotations

import json
from typing import Any, Final

from flask import Response

STATUS_OF_UNWRITTEN: Final = 503
"""The state file could not be written, so nothing was done: the same request may succeed later."""


def answer(status: int = 200, /, **said: Any) -> Response:
    """An answer with these keys, in this order."""
    body = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return Response(f"{body}\n".encode(), status, content_type="application/json")


def failure(status: int, error: str) -> Response:
    """The answer to what could not be done."""
    return answer(status, success=False, error=error)
