"""Secrets, and how they stay out of what people read.

A token, a password or an API key travels as a `Secret` from where it is configured to where it is used. Its
text form is `***`, so a log line, a traceback or a debugger that prints it prints nothing of it; only
`reveal()` gives the value. Two are compared where settings are, never where a peer could time it. What travels
in an address is masked by `redact_url`.
"""

from __future__ import annotations

import re

MASK = "***"

# `token=` holds the hash that PROTOCOL section 2.1 logs in with: who has the hash has the access.
_IN_QUERY = re.compile(r"(?i)(?<=[?&])(token|password|api[_-]key)=[^&#\s\"'<>]*")
_IN_AUTHORITY = re.compile(r"(?<=://)[^/?#\s\"'<>]*@")


class Secret:
    """A text that does not show itself. An empty one is false: it stands for "none given"."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return MASK

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not pickled: the copy would show it")


def redact_url(text: str) -> str:
    """The text with every URL credential masked: secret query values, and `user:password@`."""
    return _IN_AUTHORITY.sub(f"{MASK}@", _IN_QUERY.sub(rf"\1={MASK}", text))
