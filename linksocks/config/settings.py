"""The settings: each one declared once, as data.

The flags and help texts of the commands, the LINKSOCKS_* variables, the keys of the INI file and what the errors say
about them are all read from this table. To add a setting, add a line to one of the files in `table`: each has a
topic.

Invariants, all tested: names and short forms are unique within a command; a default is text that the kind parses;
every flag, short form and variable of PROTOCOL section 6.1 is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Final

from linksocks.config.setting import Setting
from linksocks.config.table import applications, connection, direct, limits, modes, process, tokens


@dataclass(frozen=True)
class Command:
    name: str
    summary: str
    reverse: bool | None = None
    """Which way round it runs, where --reverse does not say so."""


@dataclass(frozen=True)
class Section:
    """A kind of section of the INI file; a command has one of its name."""

    name: str
    summary: str
    names: str
    """Whether it can be [NAME:SOMETHING]: `never`, `maybe`, or `always`."""


COMMANDS: Final = (
    Command("server", "Accepts links from clients, and dials their targets or lets providers dial."),
    Command("client", "Opens a port for applications, and carries their connections to a server."),
    Command("provider", "Lends this machine's network to others through a server.", reverse=True),
    Command(
        "connector",
        "Opens a port for applications to the network of a provider, through a server.",
        reverse=False,
    ),
    Command("run", "Runs all that an INI file has sections for, in one process."),
)

SECTIONS: Final = (
    Section("server", "The server, where this file describes one.", "never"),
    Section("token", "A token that the server accepts; there may be any number.", "always"),
    Section("client", "A client; for more than one, write [client:NAME].", "maybe"),
    Section("provider", "A client that lends its network; likewise [provider:NAME].", "maybe"),
    Section("connector", "A client of a provider's network; likewise [connector:NAME].", "maybe"),
)

SETTINGS: Final[tuple[Setting, ...]] = tuple(
    chain.from_iterable(
        topic.SETTINGS for topic in (connection, modes, applications, tokens, limits, process, direct)
    )
)
"""In the order of the help texts."""


def command_named(name: str) -> Command:
    return next(command for command in COMMANDS if command.name == name)


def section_named(name: str) -> Section:
    return next(section for section in SECTIONS if section.name == name)


def settings_of(command: str) -> tuple[Setting, ...]:
    """What a command or a section can be told, in the order of its help text."""
    return tuple(setting for setting in SETTINGS if command in setting.commands)
