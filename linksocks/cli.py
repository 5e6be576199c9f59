"""The command line: what the process does, prints and ends with.

Invariants: stdout has only what was asked for (help, version, a token made for the user), logs and errors go
to stderr. Whatever a user can get wrong ends with one line for each mistake and exit code 2, whatever the
network can get wrong with one line and exit code 1, and neither shows a traceback or a secret. Signals are
handled here and nowhere else. Nothing is monkey-patched.
"""

from __future__ import annotations

import logging
import os
import platform
import secrets
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from linksocks import logs, usage
from linksocks.config import Config, nearest, resolve
from linksocks.config.secret import Secret, redact_url
from linksocks.config.settings import COMMANDS, command_named
from linksocks.errors import ConfigError, LinkSocksError
from linksocks.version import __version__

if TYPE_CHECKING:
    from linksocks.shell.roles import Role

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
    names = [command.name for command in COMMANDS]
    if not argv:
        raise ConfigError(f"needs a command: {', '.join(names)} or version; see linksocks --help")
    name, *rest = argv
    if name in ("-h", "--help"):
        _say(usage.overview())
        return OK
    if name == "version":
        machine = f"{sys.platform}/{platform.machine()}"
        _say(f"linksocks version v{__version__} {machine} python {platform.python_version()}\n")
        return OK
    if name not in names:
        raise ConfigError(
            f"there is no command {name!r}{nearest(name, [*names, 'version'])}; see linksocks --help"
        )
    command = command_named(name)
    if "-h" in rest or "--help" in rest:
        _say(usage.help_text(command))
        return OK
    return _run(resolve(name, usage.parse(command, rest), environ))


def _mode(text: str) -> str:
    if text not in _MODES:
        raise ConfigError(f"LINKSOCKS_MODE: expected {' or '.join(_MODES)}, not {text!r}")
    return _MODES[text]


def _run(config: Config) -> int:
    """Run a role until a signal stops it or it fails."""
    from gevent import signal_handler  # noqa: PLC0415 - help and mistakes must not wait for gevent
    from gevent.event import Event  # noqa: PLC0415

    from linksocks.shell.roles import client, server  # noqa: PLC0415
    from linksocks.shell.tokens import tokens  # noqa: PLC0415

    logs.configure(config["debug"], config["log-format"])
    needed = config.command == "server" and not (config["token"] or config["api-key"])
    made = Secret(secrets.token_hex(16)) if needed else Secret("")
    if config.command == "server":
        role: Role = server(config, tokens(config, {}, made).values())
    else:
        role = client(config)
    stopping, stopped = Event(), Event()

    def stop(number: int) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()
        try:
            role.stop(config["grace"])
        finally:
            stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal_handler(number, stop, number)
    try:
        role.start()
        if made:
            _say(f"token: {made.reveal()}\n")
        if not stopping.is_set():
            role.wait()
    except LinkSocksError:
        # What a stop breaks off is no failure.
        if not stopping.is_set():
            raise
    if stopping.is_set():
        stopped.wait()
    return OK


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
    sys.stderr.write(f"linksocks: {redact_url(logs.one_line(text))}\n")
