"""Logging: one set-up for the whole process, done by the command line and by nobody else.

The library logs to the tree `linksocks` of the standard library and sets up nothing. `configure` sends that
tree, and the warnings of every other library, to stderr: as text, or as JSON with one object a line. What
gevent would print by itself, the exception that ends a greenlet, comes the same way.

Invariants: one record is one line, so that what a peer sends can't forge one (only a traceback takes more, in
text); no credential of a URL gets out, whoever logs it; a broken stderr never stops the program.
"""

from __future__ import annotations

import json
import logging
import re
import time
from types import TracebackType
from typing import Any

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


def configure(debug: int, log_format: str) -> None:
    """Send the logs of this process to stderr: 0 is info, 1 debug, 2 trace."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.addLevelName(TRACE, "TRACE")
    logging.addLevelName(logging.WARNING, "WARN")
    # Else a record that does not fit its format is shown raw, arguments and all.
    logging.raiseExceptions = False
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(ROOT).setLevel((logging.INFO, logging.DEBUG, TRACE)[debug])
    _adopt_hub()


def _adopt_hub() -> None:
    from gevent import get_hub  # noqa: PLC0415 - help and usage errors must not wait for gevent

    log = logging.getLogger(f"{ROOT}.hub")

    def print_exception(
        context: object,
        kind: type[BaseException] | None,
        value: BaseException | str | None,
        trace: TracebackType | None,
    ) -> None:
        # A greenlet's own text shows the arguments that it was called with: its name does not.
        name: Any = getattr(context, "name", None) or type(context).__name__
        if kind is not None and isinstance(value, BaseException):
            log.error("%s failed", name, exc_info=(kind, value, trace))
        else:
            log.error("%s failed: %s", name, value)

    # The hub's own seam for subclasses; an instance will do, as this process has one hub.
    get_hub().print_exception = print_exception  # type: ignore[method-assign,assignment]
