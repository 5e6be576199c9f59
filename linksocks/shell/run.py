"""A process from its settings to its end: logs, signals, and the roles between them.

========================= ====================================================
SIGTERM, SIGINT           stop all within their grace; a second one, at once
SIGHUP                    read the file again, where there is one
========================= ====================================================
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
from collections.abc import Callable

from gevent import signal_handler
from gevent.event import Event

from linksocks import logs
from linksocks.config import Settings
from linksocks.config.secret import Secret
from linksocks.errors import LinkSocksError
from linksocks.net.greenlets import spawn
from linksocks.shell.plan import Plan, plan_of
from linksocks.shell.process import Process

log = logging.getLogger("linksocks.process")


def run(settings: Settings, again: Callable[[], Settings], say: Callable[[str], None]) -> None:
    """Runs what `settings` say until a signal ends it. Raises the LinkSocksError that does so before.

    `again` gives those of a reload; `say` prints what the user asked for.
    """
    made = Secret(secrets.token_hex(16))
    plan = plan_of(settings, made)
    logs.configure(plan.debug, plan.log_format)
    _warn(settings)

    def read() -> Plan:
        new = again()
        _warn(new)
        return plan_of(new, made)

    process = Process(plan, read if settings.file else None)
    stopping, stopped = Event(), Event()

    def stop(number: int) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()
        try:
            process.stop()
        finally:
            stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal_handler(number, stop, number)
    # In a greenlet: an error of ours in a handler of signals would end the process.
    signal_handler(signal.SIGHUP, spawn, "reload", _reload, process, bool(settings.file))
    try:
        process.start()
        if any(spec.token == made.reveal() for spec in plan.tokens.values()):
            say(f"token: {made.reveal()}\n")
        if not stopping.is_set():
            process.wait()
    except LinkSocksError:
        # What a stop breaks off is no failure.
        if not stopping.is_set():
            raise
    if stopping.is_set():
        stopped.wait()


def _warn(settings: Settings) -> None:
    for warning in settings.warnings:
        log.warning("%s", warning)


def _reload(process: Process, has_file: bool) -> None:
    if not has_file:
        log.info("SIGHUP: there is no file to read again: the process was started without --config")
        return
    with contextlib.suppress(LinkSocksError):  # it is in the log
        process.reload()
