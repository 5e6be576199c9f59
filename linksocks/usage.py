"""The help texts, generated from the settings, and what docopt makes of a command line with them.

docopt parses the very text that the user reads. Its own complaints are no help to anybody, so `parse` first
walks the arguments and says in one line what does not fit. Neither shows a value: it may be a secret.

Traps of docopt: a description line must not begin with a dash, which would declare an option; `[default: x]`
would hide whether a flag was given; and it accepts any unique beginning of a long flag, so that a flag added
later could change what a command line means. The walk refuses those.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable

from docopt import docopt

from linksocks.config import nearest
from linksocks.config.effect import Way, no_effect
from linksocks.config.setting import Setting
from linksocks.config.settings import COMMANDS, Command, settings_of
from linksocks.errors import ConfigError

_WIDTH = 100
_COLUMN = 34

SECRETS = """\
A secret that is given by a flag can be seen by every user of this machine, in the list of processes. Put it
into a variable, into the INI file (and let nobody else read that) or into a file: --token-file FILE."""

PRECEDENCE = """\
A flag goes before its variable, a variable before the INI file, and that before the default. Empty variables
do not count. LINKSOCKS_MODE names the command when the command line does not begin with one."""

_OTHERS = [
    ("check-config", "FILE: checks an INI file, and prints what would run."),
    ("show-config", "[COMMAND] [options]: prints the settings and where each comes from."),
    ("version", "Prints the version of linksocks."),
]
"""What runs no role."""

EXIT_CODES = """\
Exit codes: 0 stopped by a signal, 1 failed while running, 2 the command line or a setting is wrong."""


def overview() -> str:
    """The help text of `linksocks` itself."""
    commands = [(command.name, command.summary) for command in COMMANDS]
    commands += _OTHERS
    lines = "\n".join(f"  {name:<14}{summary}" for name, summary in commands)
    return (
        "A proxy over WebSocket.\n\nUsage:\n  linksocks COMMAND [options]\n\n"
        f"Commands:\n{lines}\n\nlinksocks COMMAND --help tells the options of a command.\n\n{EXIT_CODES}\n"
    )


def help_text(command: Command) -> str:
    """The help text of a command, which is also its grammar."""
    settings = settings_of(command.name)
    useful = [setting for setting in settings if _effect(command, setting) is not None]
    now = [setting for setting in useful if command.name not in setting.later]
    later = [setting for setting in useful if command.name in setting.later]
    idle = [setting for setting in settings if setting not in useful]
    repeated = " ".join(f"[{s.flag}={s.kind.argument}]..." for s in settings if s.kind.repeats)
    usage = f"linksocks {command.name} [options] [-d | -dd] {repeated}"
    parts = [
        command.summary,
        "Usage:\n"
        + textwrap.fill(usage, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False),
        "Options:\n" + _table(command, now) + "\n" + _columns("-h, --help", "print this text"),
    ]
    if idle:
        parts.append(f"Of no effect on a {command.name}, and refused:\n" + _table(command, idle))
    if later:
        parts.append("Not available yet, and refused until then:\n" + _table(command, later))
    return "\n\n".join([*parts, SECRETS, PRECEDENCE, EXIT_CODES]) + "\n"


def parse(command: Command, argv: list[str]) -> dict[str, str]:
    """The text of each given flag by the name of its setting. Raises ConfigError."""
    settings = settings_of(command.name)
    _walk(command, settings, argv)
    options = docopt(help_text(command), [command.name, *argv], default_help=False)
    return {s.name: text for s in settings if (text := _as_text(options[s.flag])) is not None}


def _effect(command: Command, setting: Setting) -> str | None:
    """Which way round the command must run for a setting to do something, as the help text says it; None: either
    that is not its way, or nothing would do."""
    ways = [
        reverse
        for reverse in (False, True)
        if not no_effect(Way(command=command.name, reverse=reverse, connectors=True), setting.name)
    ]
    if command.reverse is not None:
        return "" if command.reverse in ways else None
    return "" if len(ways) == 2 else "; in reverse mode only" if ways[0] else "; not in reverse mode"


def _table(command: Command, settings: Iterable[Setting]) -> str:
    return "\n".join(_option(setting, _effect(command, setting) or "") for setting in settings)


def _option(setting: Setting, effect: str) -> str:
    value = f"={setting.kind.argument}" if setting.kind.argument else ""
    short = f"-{setting.short}, " if setting.short else "    "
    default = f" (default: {setting.default})" if setting.default else ""
    return _columns(f"{short}{setting.flag}{value}", f"{setting.help}{effect}{default}, {setting.variable}")


def _columns(flags: str, text: str) -> str:
    left = f"  {flags}  ".ljust(_COLUMN)
    lines = textwrap.wrap(text, _WIDTH - _COLUMN, break_on_hyphens=False)
    if len(left) > _COLUMN:
        lines.insert(0, "")
    return f"\n{' ' * _COLUMN}".join([(left + lines[0]).rstrip(), *lines[1:]])


def _as_text(value: str | bool | int | list[str] | None) -> str | None:
    """What docopt collected, as the text that the setting's kind parses; None for what was not given."""
    if not value and value != "":
        return None
    if isinstance(value, list):
        return "\n".join(value)
    return str(int(value)) if isinstance(value, int) else value


def _walk(command: Command, settings: Iterable[Setting], argv: list[str]) -> None:
    """Raise ConfigError for the first thing that does not fit the settings."""
    known = {setting.flag: setting for setting in settings}
    known |= {f"-{setting.short}": setting for setting in settings if setting.short}
    times: Counter[str] = Counter()
    rest = iter(enumerate(argv, start=1))
    for position, argument in rest:
        for flag, value in _flags(argument, position, known, command):
            setting = known[flag]
            times[setting.name] += 1
            if setting.kind.argument and value is None and next(rest, (0, "--"))[1] == "--":
                raise ConfigError(f"{flag}: needs {setting.kind.expected} after it")
            if not setting.kind.argument and value is not None:
                raise ConfigError(f"{flag}: takes no value; leave out what follows =")
            if times[setting.name] > (2 if setting.name == "debug" else 1) and not setting.kind.repeats:
                raise ConfigError(f"{flag}: is given too often; leave one of them out")


def _flags(
    argument: str, position: int, known: dict[str, Setting], command: Command
) -> Iterable[tuple[str, str | None]]:
    """The flags of one argument, each with the value that is glued to it."""
    see = f"see linksocks {command.name} --help"
    if not argument.startswith("-") or argument in ("-", "--"):
        raise ConfigError(f"argument {position} of {command.name} belongs to no flag; {see}")
    if argument.startswith("--"):
        flag, equals, value = argument.partition("=")
        if flag not in known:
            raise ConfigError(f"{flag}: {command.name} has no such flag{nearest(flag, known)}; {see}")
        yield flag, value if equals else None
        return
    letters = argument[1:]
    while letters:
        flag, letters = f"-{letters[0]}", letters[1:]
        if flag not in known:
            raise ConfigError(f"{flag}: {command.name} has no such flag; {see}")
        if known[flag].kind.argument:
            yield flag, letters or None
            return
        yield flag, None
