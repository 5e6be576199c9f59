"""Where a setting gets its value from: a flag, the environment, the INI file or the default, in that order.

`resolve` gives the values of one command, or raises a ConfigError with one line for each thing that is wrong.
A line names the setting as the user gave it (the flag, the variable, or file, line and key), says what was
expected and what to do, and never shows a secret.

Invariants: the whole INI file is checked, whatever command reads it; of flags and variables only those that
win are, and of variables only those that have an effect. A secret and the file that holds it are one setting
with two spellings, so the higher level wins, and both at one level are an error. An empty variable counts as
not set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum
from pathlib import Path
from typing import Any

import linksocks.config.values as v
from linksocks.config import ini
from linksocks.config.secret import redact_url
from linksocks.config.settings import COMMANDS, Setting, command_named, has_effect, settings_of
from linksocks.errors import ConfigError

_LONGEST_LINE = 4096


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


@dataclass(frozen=True)
class Config:
    """The values of one command, by the name of the setting."""

    command: str
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def resolve(command: str, flags: Mapping[str, str], environ: Mapping[str, str]) -> Config:
    """The values for `command`; `flags` holds the text of the given ones by the name of their setting."""
    problems: list[str] = []
    said = _from_environment(command, environ)
    said |= {name: Given(Level.FLAG, f"--{name}", text) for name, text in flags.items()}
    said = _from_file(command, said.get("config"), problems) | said
    reverse = _reverse(command, said, problems)
    _drop_idle(command, reverse, said, problems)
    _read_secrets(command, said, problems)
    values = {setting.name: _value(command, setting, said, problems) for setting in settings_of(command)}
    for setting in settings_of(command):
        if setting.needs and setting.name in said and setting.needs not in said:
            where = said[setting.name].where
            problems.append(f"{where}: has no effect without --{setting.needs}; give both or none")
    if problems:
        raise ConfigError("\n".join(problems))
    return Config(command, values | {"reverse": reverse})


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` where an X comes near, else nothing."""
    found = get_close_matches(word, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _from_environment(command: str, environ: Mapping[str, str]) -> dict[str, Given]:
    return {
        setting.name: Given(Level.ENVIRONMENT, setting.variable, environ[setting.variable])
        for setting in settings_of(command)
        if environ.get(setting.variable)
    }


def _from_file(command: str, config: Given | None, problems: list[str]) -> dict[str, Given]:
    """The good entries of the command's section; what is wrong in any section becomes a problem."""
    if config is None:
        return {}
    try:
        lines = Path(config.text).read_text("utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        problems.append(f"{config.where}: can't read {config.text!r}: {_reason(error)}")
        return {}
    entries, wrong = ini.read(lines)
    said: dict[str, Given] = {}
    found = [(line, f"{config.text}:{line}: {reason}") for line, reason in wrong]
    seen: dict[tuple[str, str], int] = {}
    for entry in entries:
        where = f"{config.text}:{entry.line}: {entry.key}"
        given = Given(Level.FILE, where, entry.value, Path(config.text).parent)
        name = entry.key.lower().replace("_", "-")
        first = seen.setdefault((entry.section, name), entry.line)
        if first != entry.line:
            found.append((entry.line, f"{where}: is already on line {first}; leave one of them out"))
        elif problem := _entry_problem(entry.section, name, given):
            found.append((entry.line, problem))
        elif entry.section == command:
            said[name] = given
    problems += [problem for _, problem in sorted(found)]
    return said


def _entry_problem(section: str, name: str, given: Given) -> str:
    """What is wrong with an entry of the INI file; empty when nothing is."""
    sections = [command.name for command in COMMANDS]
    if not section:
        return f"{given.where}: stands above the first section; put it below [server] or [client]"
    if section not in sections:
        return f"{given.where}: no command has the section [{section}]{nearest(section, sections)}"
    known = {setting.name: setting for setting in settings_of(section) if setting.in_file}
    if name not in known:
        return f"{given.where}: [{section}] has no such setting{nearest(name, known)}"
    try:
        _parse(known[name], given)
    except ConfigError as error:
        return str(error)
    return ""


def _read_secrets(command: str, said: dict[str, Given], problems: list[str]) -> None:
    """A secret's text is that of the file that holds it, unless it was said plainly at a higher level."""
    for setting in settings_of(command):
        file, plain = said.get(setting.name), said.get(setting.holds)
        if not setting.holds or file is None:
            continue
        if plain is not None and plain.level > file.level:
            del said[setting.name]
        elif plain is not None and plain.level == file.level:
            problems.append(f"{file.where}: is given together with {plain.where}; leave one of them out")
        elif command not in setting.later:
            path = file.base / file.text
            try:
                said[setting.holds] = Given(
                    file.level, f"{file.where}: the first line of {str(path)!r}", _line(path)
                )
            except (OSError, ValueError) as error:
                problems.append(f"{file.where}: can't read {str(path)!r}: {_reason(error)}")


def _reverse(command: str, said: dict[str, Given], problems: list[str]) -> bool:
    """Which way round the command runs. What was said of that is taken out of `said`."""
    setting = next(setting for setting in settings_of(command) if setting.name == "reverse")
    given, fixed = said.pop("reverse", None), command_named(command).reverse
    if given is None or (fixed is not None and given.level is Level.ENVIRONMENT):
        return bool(fixed)
    value = bool(_value(command, setting, {"reverse": given}, problems))
    if fixed is not None and value is not fixed:
        problems.append(f"{given.where}: has no effect on a {command}; leave it out")
    return value


def _drop_idle(command: str, reverse: bool, said: dict[str, Given], problems: list[str]) -> None:
    """What would have no effect is taken out of `said`. A variable may be meant for another command of the same
    environment, a flag or a key is a mistake."""
    why = f"on a {command}; leave it out"
    if command_named(command).reverse is None:
        why = (
            "with --reverse; leave one of them out"
            if reverse
            else "without --reverse; add that or leave this out"
        )
    for name in [name for name in said if not has_effect(command, name, reverse=reverse)]:
        given = said.pop(name)
        if given.level is not Level.ENVIRONMENT:
            problems.append(f"{given.where}: has no effect {why}")


def _line(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline(_LONGEST_LINE).rstrip("\r\n")


def _value(command: str, setting: Setting, said: Mapping[str, Given], problems: list[str]) -> Any:
    given = said.get(setting.name)
    if given is None:
        return setting.default_value
    try:
        value = _parse(setting, given)
    except ConfigError as error:
        problems.append(str(error))
        return setting.default_value
    if command in setting.later and value != setting.default_value:
        only = f" or at {setting.default}" if setting.default else ""
        problems.append(f"{given.where}: is not available yet; leave it out{only}")
    return value


def _parse(setting: Setting, given: Given) -> Any:
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


def _reason(error: OSError | ValueError) -> str:
    """Without the text that could not be decoded: it may be a secret."""
    return (error.strerror or "unreadable") if isinstance(error, OSError) else "it is not UTF-8 text"
