"""What one setting is: a line of the table.

A setting whose feature a later version brings is `later` for the commands that have to wait: it is known, and refused
unless it asks for no more than the default, so that nothing is silently ignored. Its default is what happens today.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import linksocks.config.values as v

SERVER = ("server",)
CLIENTS = ("client", "provider", "connector")
ALL = SERVER + CLIENTS
RUN = ("run",)
TOKEN = ("token",)


@dataclass(frozen=True)
class Setting:
    name: str
    """The long flag without its dashes; the INI key too, with dashes or underscores."""
    commands: tuple[str, ...]
    """And sections, those that are no command: they have neither flags nor variables."""
    kind: v.Kind
    help: str
    short: str = ""
    default: str = ""
    """As a user would write it; empty where the kind's `absent` is the default."""
    environment: str = ""
    """The variable, where PROTOCOL section 6.1 gives it a name that does not follow from ours."""
    later: tuple[str, ...] = ()
    """The commands for which a later version brings the feature."""
    holds: str = ""
    """The secret that is the first line of the file which this setting names."""
    needs: str = ""
    """The setting without which this one must not stand, on pain of less protection than was meant."""
    in_file: bool = True
    """False for what can't stand in the INI file."""
    types: tuple[str, ...] = ()
    """The types of tokens that it is about, where it is not about all."""

    @property
    def flag(self) -> str:
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        return self.environment or "LINKSOCKS_" + self.name.upper().replace("-", "_")

    @property
    def default_value(self) -> Any:
        return self.kind.parse(self.default) if self.default else self.kind.absent
