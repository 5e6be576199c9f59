"""Logging: one set-up for the whole process, done by the command line and by nobody else.

The library logs to the tree `linksocks` of the standard library and sets up nothing. `configure` sends that
tree, and the warnings of every other library, to stderr: as text, or as JSON with one object a line. What
gevent would print by itself, the exception that ends a greenlet, comes the same way.

Invariants: one record is one line, so that what a peer sends can't forge one (only a traceback takes more, in
text); no credential of a URL gets out, whoever logs it; a stderr that is broken, or that nobody reads, never stops
the program: a thread of its own writes, and lines that find no room are counted.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import re
import threading
import time

from linksocks.config.secret import redact_url

TRACE = 5
"""The level of `-dd`: what happens to every channel."""

ROOT = "linksocks"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(text: str) -> str:
    """The text with its control characters spelled out: it can neither forge a line nor steer a terminal."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


class TextFormatter(logging.Formatter):
    """`2026-11-23 02:00:00 INFO  client: message`, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        line = f"{when} {record.levelname:<5} {record.name.removeprefix(ROOT + '.')}: {one_line(record.getMessage())}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact_url(line)


class JsonFormatter(logging.Formatter):
    """One JSON object with time (ISO 8601, UTC), level, logger, message and perhaps exception."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact_url(record.getMessage()),
        }
        if record.exc_info:
            fields["exception"] = redact_url(self.formatException(record.exc_info))
        return json.dumps(fields)


class ThreadedHandler(logging.Handler):
    """Writes to stderr in a thread: a full pipe would hold up the hub, and signals with it."""

    LINES = 10_000
    """Lines that wait at most."""

    FAREWELL = 1.0
    """Seconds for the lines that wait when the process ends."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.Queue[str] = queue.Queue(self.LINES)
        self._lost = 0
        threading.Thread(target=self._write, name="log writer", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._lost += 1
        except Exception:  # noqa: BLE001 - a record that does not fit its format
            self.handleError(record)

    def flush(self) -> None:
        """Waits, FAREWELL at most, until all is written."""
        deadline = time.monotonic() + self.FAREWELL
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.001)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            lost, self._lost = self._lost, 0
            if lost:
                said = "%d lines were lost: nobody read them in time"
                record = logging.LogRecord(ROOT, logging.WARNING, "", 0, said, (lost,), None)
                line += "\n" + self.format(record)
            _to_stderr(line)
            self._lines.task_done()


def _to_stderr(line: str) -> None:
    left = memoryview(f"{line}\n".encode(errors="backslashreplace"))
    try:
        while left:
            left = left[os.write(2, left) :]
    except OSError:
        return


def configure(debug: int, log_format: str) -> None:
    """Send the logs of this process to stderr: 0 is info, 1 debug, 2 trace."""
    if any(isinstance(handler, ThreadedHandler) for handler in logging.getLogger().handlers):
        adjust(debug, log_format)
        return
    handler = ThreadedHandler()
    logging.addLevelName(TRACE, "TRACE")
    logging.addLevelName(logging.WARNING, "WARN")
    # Else a record that does not fit its format is shown raw, arguments and all.
    logging.raiseExceptions = False
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    adjust(debug, log_format)
    _adopt_hub()


def adjust(debug: int, log_format: str) -> None:
    """The same for logs that are configured."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.getLogger(ROOT).setLevel((logging.INFO, logging.DEBUG, TRACE)[debug])


def last_line(text: str) -> str:
    """What ends a process, as its logs look."""
    handlers = logging.getLogger().handlers
    if handlers and isinstance(handlers[0].formatter, JsonFormatter):
        return handlers[0].format(logging.LogRecord(ROOT, logging.ERROR, "", 0, "%s", (text,), None))
    return f"linksocks: {redact_url(one_line(text))}"


def _adopt_hub() -> None:
    from gevent import get_hub  # noqa: PLC0415 - help and usage errors must not wait for gevent

    from linksocks.net.hub import log_failures  # noqa: PLC0415

    log_failures(get_hub())
