"""The text of a setting as somebody gave it, and the value that it means.

What is said of a bad one names it as the user gave it (the flag, the variable, or file, line and key), says what was
expected and what to do, and never shows a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum
from pathlib import Path
from typing import Any

import linksocks.config.values as v
from linksocks.config.secret import redact_url
from linksocks.config.setting import Setting
from linksocks.errors import ConfigError


class Level(IntEnum):
    """Who said it: the highest wins."""

    FILE = 1
    ENVIRONMENT = 2
    FLAG = 3


@dataclass(frozen=True)
class Given:
    """The text of a setting as somebody gave it."""

    level: Level
    where: str
    """What an error calls it: `--ws-port`, `LINKSOCKS_WEBSOCKET_PORT` or `file.ini:3: ws_port`."""
    text: str
    base: Path = Path()
    """What a relative path is relative to."""


def parse(setting: Setting, given: Given) -> Any:
    """The value. Raises ConfigError."""
    kind = setting.kind
    if not given.text.strip():
        raise ConfigError(f"{given.where}: is empty; give {kind.expected}, or leave it out")
    try:
        return kind.parse(str(given.base / given.text) if kind.path else given.text)
    except v.ExplainedError as error:
        raise ConfigError(f"{given.where}: {error}") from None
    except ValueError:
        shown = "" if kind.secret else f", not {redact_url(given.text)!r}"
        raise ConfigError(f"{given.where}: expected {kind.expected}{shown}") from None


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` where an X comes near, else nothing."""
    found = get_close_matches(word, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def reason_of(error: OSError | ValueError) -> str:
    """Without the text that could not be decoded: it may be a secret."""
    return (error.strerror or "unreadable") if isinstance(error, OSError) else "it is not UTF-8 text"
