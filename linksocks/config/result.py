"""What comes out of all that a user has said: values, and where each one comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from linksocks.config.effect import Way
from linksocks.config.given import Given


@dataclass(frozen=True)
class Config:
    """The values of one command or section, by the name of the setting."""

    command: str
    values: Mapping[str, Any]
    said: Mapping[str, Given] = field(default_factory=dict, compare=False, repr=False)
    """Where the values come from; one that is not here is the default."""
    way: Way | None = field(default=None, compare=False)
    """How the command runs; a token has none."""

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


@dataclass(frozen=True)
class Settings:
    """All that a process was told."""

    roles: Mapping[str, Config]
    """By their sections: `server`, `client`, `client:NAME` and so on."""
    tokens: Mapping[str, Config]
    """Of the server, by the names of their sections."""
    warnings: tuple[str, ...] = ()
    file: str = ""
    """The INI file, where one was read."""
