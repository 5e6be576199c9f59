"""What a request asks for: its JSON object, held against a table of the keys that may be in it.

As in LinkSocks 1.10.3 a key may be in any case, an absent or null one means the zero value, and the body of `curl -d`
is JSON too, whatever type curl gives it. Stricter than there: a key that nobody knows is refused, since the rest
would be done without it, an open port without the password that was misspelt, say; nothing may follow the object;
numbers have bounds. What is wrong is a BadRequest whose description says so and shows no value: it may be a secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from flask import request
from werkzeug.exceptions import BadRequest

_TYPES: Final = frozenset({"", "application/json", "application/x-www-form-urlencoded"})
"""Media types of bodies; the last is curl's default, and none of ours has a form."""


class Kind(NamedTuple):
    """A type of value: what it is in words, whether a value is one, and what an absent one means."""

    expected: str
    fits: Callable[[Any], bool]
    zero: Any


def _is_text(value: Any) -> bool:
    # Lone surrogates, which JSON can say and nothing can write, are not printable.
    return type(value) is str and value.isprintable() and len(value.encode()) <= 255


TEXT: Final = Kind("a string of 255 bytes at most without control characters", _is_text, "")
FLAG: Final = Kind("true or false", lambda value: type(value) is bool, False)
PORT: Final = Kind("a number from 0 to 65535", lambda value: type(value) is int and 0 <= value <= 65535, 0)


def read(kinds: Mapping[str, Kind], *, required: str = "") -> dict[str, Any]:
    """The values of all keys of `kinds`. Raises BadRequest."""
    said = _object()
    for name in said:
        if name not in kinds:
            near = get_close_matches(name, kinds, n=1)
            raise invalid(
                f"there is no such key as {name[:40]!r}" + (f"; did you mean {near[0]}?" if near else "")
            )
    for name, value in said.items():
        if value is not None and not kinds[name].fits(value):
            raise invalid(f"{name}: expected {kinds[name].expected}")
    if required and said.get(required) is None:
        raise invalid(f"{required} is missing; expected {kinds[required].expected}")
    return {name: kind.zero if said.get(name) is None else said[name] for name, kind in kinds.items()}


def invalid(why: str) -> BadRequest:
    """Words of LinkSocks, and more of them."""
    return BadRequest(f"invalid request body: {why}")


def _object() -> dict[str, Any]:
    if request.mimetype not in _TYPES:
        raise invalid("expected application/json")
    try:
        said = json.loads(
            request.get_data().decode(), parse_constant=_refuse, object_pairs_hook=_in_lower_case
        )
    except (ValueError, RecursionError):
        said = None
    if type(said) is not dict:
        raise invalid("expected a JSON object in UTF-8")
    return said


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _in_lower_case(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name.lower(): value for name, value in pairs}
