"""The command line: what the process does, prints and ends with.

Invariants: stdout has only what was asked for (help, version, a token made for the user), logs and errors go
to stderr. Whatever a user can get wrong ends with one line for each mistake and exit code 2, whatever the
network can get wrong with one line and exit code 1, and neither shows a traceback or a secret. Nothing is
monkey-patched.
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial

from linksocks import logs, usage
from linksocks.config import Settings, nearest, resolve_all
from linksocks.config.settings import COMMANDS, command_named
from linksocks.errors import ConfigError, LinkSocksError
from linksocks.version import __version__

OK, FAILED, WRONG_USE = 0, 1, 2

_MODES = {**{command.name: command.name for command in COMMANDS}, "forward": "client", "reverse": "provider"}
"""LINKSOCKS_MODE to command (PROTOCOL section 6.1)."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the result is the exit code."""
    try:
        return _command(sys.argv[1:] if argv is None else argv, os.environ)
    except ConfigError as error:
        for problem in str(error).split("\n"):
            _complain(problem)
        return WRONG_USE
    except LinkSocksError as error:
        _complain(str(error))
        return FAILED
    except KeyboardInterrupt:  # Ctrl-C before there was anything to stop
        return 128 + signal.SIGINT


def _command(argv: list[str], environ: Mapping[str, str]) -> int:
    if (not argv or argv[0].startswith("-")) and environ.get("LINKSOCKS_MODE"):
        argv = [_mode(environ["LINKSOCKS_MODE"]), *argv]
    names = [*(command.name for command in COMMANDS), *_OTHERS]
    if not argv:
        raise ConfigError(f"needs a command: {', '.join(names[:-1])} or {names[-1]}; see linksocks --help")
    name, *rest = argv
    asks = "-h" in rest or "--help" in rest
    if name in ("-h", "--help") or (asks and name in _OTHERS):
        _say(usage.overview())
    elif name in _OTHERS:
        _OTHERS[name](rest, environ)
    elif name not in names:
        raise ConfigError(f"there is no command {name!r}{nearest(name, names)}; see linksocks --help")
    elif asks:
        _say(usage.help_text(command_named(name)))
    else:
        _run(name, usage.parse(command_named(name), rest), environ)
    return OK


def _mode(text: str) -> str:
    if text not in _MODES:
        raise ConfigError(f"LINKSOCKS_MODE: expected {' or '.join(_MODES)}, not {text!r}")
    return _MODES[text]


def _run(command: str, flags: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Run roles until a signal stops them or they fail."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a reload that is asked for too early must not end us
    if "json" in (flags.get("log-format"), environ.get("LINKSOCKS_LOG_FORMAT")):
        logs.configure(0, "json")  # for what is wrong with the settings
    settings = resolve_all(command, flags, environ)
    from linksocks.shell.run import run  # noqa: PLC0415 - help and mistakes must not wait for gevent

    run(settings, partial(resolve_all, command, flags, environ), _say)


def _version(_rest: list[str], _environ: Mapping[str, str]) -> None:
    machine = f"{sys.platform}/{platform.machine()}"
    _say(f"linksocks version v{__version__} {machine} python {platform.python_version()}\n")


def _check_config(rest: list[str], _environ: Mapping[str, str]) -> None:
    if len(rest) != 1 or rest[0].startswith("-"):
        raise ConfigError("check-config: needs one argument, the name of an INI file")
    settings = resolve_all("run", {"config": rest[0]}, {})
    from linksocks.shell.show import checked  # noqa: PLC0415 - as above

    _warn(settings)
    _say(checked(settings))


def _show_config(rest: list[str], environ: Mapping[str, str]) -> None:
    named = bool(rest) and rest[0] in [command.name for command in COMMANDS]
    name = rest[0] if named else "run"
    settings = resolve_all(name, usage.parse(command_named(name), rest[named:]), environ)
    from linksocks.shell.show import shown  # noqa: PLC0415 - as above

    _warn(settings)
    _say(shown(settings))


def _warn(settings: Settings) -> None:
    for warning in settings.warnings:
        _complain(f"warning: {warning}")


_OTHERS: dict[str, Callable[[list[str], Mapping[str, str]], None]] = {
    "check-config": _check_config,
    "show-config": _show_config,
    "version": _version,
}
"""What runs no role."""


def _say(text: str) -> None:
    """Print to stdout at once. A reader that left, as in `linksocks --help | head -1`, is no error."""
    if sys.stdout is None:
        raise LinkSocksError("can't print: stdout is closed")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # The interpreter flushes once more at its end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise LinkSocksError(f"can't print: {error.strerror}") from error


def _complain(text: str) -> None:
    for handler in logging.getLogger().handlers:
        handler.flush()  # what was logged before stands before
    sys.stderr.write(logs.last_line(text) + "\n")
