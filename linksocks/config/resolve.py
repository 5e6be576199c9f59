"""Where a setting gets its value from: a flag, the environment, the INI file or the default, in that order.

`resolve` gives the values of one command, `resolve_all` those of all that it runs, or a ConfigError with one line for
each thing that is wrong.

Invariants: the whole INI file is checked, whatever command reads it; of flags and variables only those that
win are, and of variables only those that have an effect. A secret and the file that holds it are one setting
with two spellings, so the higher level wins, and both at one level are an error. An empty variable counts as
not set. What `linksocks run` is told by a flag or a variable holds for all sections.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from linksocks.config.effect import Way, no_effect
from linksocks.config.file import Section, read_file, warn_if_readable
from linksocks.config.given import Given, Level, nearest, parse, reason_of
from linksocks.config.result import Config, Settings
from linksocks.config.setting import RUN, TOKEN, Setting
from linksocks.config.settings import COMMANDS, command_named, settings_of
from linksocks.config.tokens import drop_strangers, token_problems
from linksocks.errors import ConfigError

_LONGEST_LINE: Final = 4096
_PREFIX: Final = "LINKSOCKS_"
_MODE: Final = "LINKSOCKS_MODE"


def resolve(command: str, flags: Mapping[str, str], environ: Mapping[str, str]) -> Config:
    """The values for `command`; `flags` holds the text of the given ones by the name of their setting."""
    return resolve_all(command, flags, environ).roles[command]


def resolve_all(command: str, flags: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """The same for all that `command` runs."""
    problems: list[str] = []
    warnings = _unknown_variables(environ)
    above = _from_environment(command, environ)
    above |= {name: Given(Level.FLAG, f"--{name}", text) for name, text in flags.items()}
    sections = read_file(above["config"], problems, warnings) if "config" in above else []
    chosen = _chosen(command, sections, above, problems)
    told = [section for section in sections if section.kind in TOKEN]
    serving = any(section.kind == "server" for section in chosen)
    if told and command in RUN and not serving:
        problems.append(f"{told[0].where}: there is no [server] that could accept it")
    tokens = {s.name: _config(s.kind, s, s.said, problems, warnings) for s in told}
    roles = {}
    for section in chosen:
        said = section.said | {name: given for name, given in above.items() if name != "config"}
        if command not in RUN:
            said = section.said | above
        roles[section.label] = _config(section.kind, section, said, problems, warnings, any_token=bool(told))
    problems += token_problems(tokens, roles.get("server"))
    if problems:
        raise ConfigError("\n".join(problems))
    file = above["config"].text if "config" in above else ""
    return Settings(roles, tokens if serving else {}, tuple(warnings), file)


def _chosen(
    command: str, sections: list[Section], above: Mapping[str, Given], problems: list[str]
) -> list[Section]:
    """The sections of what is to run."""
    if command not in RUN:
        own = [section for section in sections if section.label == command]
        named = [section for section in sections if section.kind == command and section.name]
        if named and not own:
            problems.append(f"{named[0].where}: {command} runs [{command}] only; linksocks run runs this one")
        return own or [Section(command)]
    chosen = [section for section in sections if section.kind not in TOKEN]
    if "config" not in above:
        problems.append("run needs --config FILE: it runs all that the file has sections for")
    elif not chosen and not problems:
        problems.append(f"{above['config'].text}: has nothing to run; give it a section such as [server]")
    return chosen


def _config(
    command: str,
    section: Section,
    said: dict[str, Given],
    problems: list[str],
    warnings: list[str],
    *,
    any_token: bool = False,
) -> Config:
    """The values of one section, with what was `said` of it here and above."""
    said = dict(said)
    way = None
    if command in TOKEN:
        drop_strangers(section, said, problems)
    else:
        way = _way(command, said, problems, any_token=any_token)
        _drop_idle(way, said, problems)
    _read_secrets(command, said, problems, warnings)
    values = {setting.name: _value(command, setting, said, problems) for setting in settings_of(command)}
    for setting in settings_of(command):
        if setting.needs and setting.name in said and setting.needs not in said:
            given = said[setting.name]
            other = setting.needs if command in TOKEN else f"--{setting.needs}"
            problems.append(f"{given.where}: has no effect without {other}; give both or none")
    return Config(command, values | ({} if way is None else {"reverse": way.reverse}), said, way)


def _from_environment(command: str, environ: Mapping[str, str]) -> dict[str, Given]:
    return {
        setting.name: Given(Level.ENVIRONMENT, setting.variable, environ[setting.variable])
        for setting in settings_of(command)
        if environ.get(setting.variable)
    }


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = {setting.variable for command in COMMANDS for setting in settings_of(command.name)} | {_MODE}
    unknown = [name for name in environ if name.startswith(_PREFIX) and name not in known and environ[name]]
    return [f"{name}: there is no such variable{nearest(name, known)}" for name in sorted(unknown)]


def _read_secrets(command: str, said: dict[str, Given], problems: list[str], warnings: list[str]) -> None:
    """A secret's text is that of the file that holds it, unless it was said plainly at a higher level.

    That is the file's first line; of a secret that may be repeated, all lines that are not empty.
    """
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
            warn_if_readable(path, warnings)
            every = next(each.kind.repeats for each in settings_of(command) if each.name == setting.holds)
            what = "a line" if every else "the first line"
            try:
                text = _lines(path) if every else _line(path)
                said[setting.holds] = Given(file.level, f"{file.where}: {what} of {str(path)!r}", text)
            except (OSError, ValueError) as error:
                problems.append(f"{file.where}: can't read {str(path)!r}: {reason_of(error)}")


def _way(command: str, said: dict[str, Given], problems: list[str], *, any_token: bool) -> Way:
    """How the command runs. What was said of --reverse is taken out of `said`, unless it would have no effect."""
    reverse = command_named(command).reverse
    if reverse is None:
        reverse = _is_on(command, "reverse", said, problems)
        said.pop("reverse", None)
    return Way(
        command=command,
        reverse=reverse,
        autonomy=_is_on(
            command, "connector-autonomy", said, []
        ),  # what is wrong with it is said with the others
        connectors="connector-token" in said or "connector-token-file" in said,
        any_token=any_token or "api-key" in said or "api-key-file" in said,
    )


def _is_on(command: str, name: str, said: Mapping[str, Given], problems: list[str]) -> bool:
    switches = [setting for setting in settings_of(command) if setting.name == name]
    return any(_value(command, setting, said, problems) for setting in switches)


def _drop_idle(way: Way, said: dict[str, Given], problems: list[str]) -> None:
    """What would have no effect is taken out of `said`. A variable may be meant for another command of the same
    environment, and a key of a file may ask for no more than the default; else a flag or a key is a mistake."""
    known = {setting.name: setting for setting in settings_of(way.command)}
    for name in list(said):
        why = no_effect(way, name)
        if not why:
            continue
        given = said.pop(name)
        if given.level is Level.FLAG or (given.level is Level.FILE and not _is_default(known[name], given)):
            problems.append(f"{given.where}: has no effect {why}")


def _is_default(setting: Setting, given: Given) -> bool:
    try:
        return bool(parse(setting, given) == setting.default_value)
    except ConfigError:
        return False


def _line(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline(_LONGEST_LINE).rstrip("\r\n")


def _lines(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return "\n".join(filter(None, file.read(_LONGEST_LINE * 16).splitlines()))


def _value(command: str, setting: Setting, said: Mapping[str, Given], problems: list[str]) -> Any:
    given = said.get(setting.name)
    if given is None:
        return setting.default_value
    try:
        value = parse(setting, given)
    except ConfigError as error:
        problems.append(str(error))
        return setting.default_value
    if command in setting.later and value != setting.default_value:
        only = f" or at {setting.default}" if setting.default else ""
        problems.append(f"{given.where}: is not available yet; leave it out{only}")
    return value
