"""What a log line looks like, and what never stands in one.

Each test runs a small program: logging and the hub belong to a process, and pytest has its own of both.
"""

import json
import sys

import pytest

from tests.support.processes import Process

HASH = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"


def logged(program: str, *, debug: int = 0, log_format: str = "text") -> list[str]:
    """The lines on stderr of a program that has set up logging; its stdout must stay empty."""
    text = (
        f"import logging\nfrom linksocks import logs\nlogs.configure({debug}, {log_format!r})\n"
        f"log = logging.getLogger('linksocks.client')\n{program}\n"
    )
    with Process([sys.executable, "-c", text]) as process:
        process.wait_exit()
    assert process.out == []
    return process.err


def test_text() -> None:
    (line,) = logged("log.info('linked to %s', 'x')")
    date, time, rest = line.split(" ", 2)
    assert (len(date), len(time)) == (10, 8)
    assert rest == "INFO  client: linked to x"


def test_json() -> None:
    first, second = logged("log.info('one\\ntwo')\ntry: 1/0\nexcept: log.exception('bad')", log_format="json")
    fields = json.loads(first)
    assert fields.pop("time").endswith("Z")
    assert fields == {"level": "info", "logger": "linksocks.client", "message": "one\ntwo"}
    assert "ZeroDivisionError" in json.loads(second)["exception"]


@pytest.mark.parametrize(
    ("debug", "levels"), [(0, ["INFO"]), (1, ["INFO", "DEBUG"]), (2, ["INFO", "DEBUG", "TRACE"])]
)
def test_debug_decides_what_is_seen(debug: int, levels: list[str]) -> None:
    lines = logged("log.info('x')\nlog.debug('x')\nlog.log(logs.TRACE, 'x')", debug=debug)
    assert [line.split()[2] for line in lines] == levels


def test_other_libraries_are_heard_from_warnings_on() -> None:
    (line,) = logged(
        "logging.getLogger('websocket').info('x')\nlogging.getLogger('websocket').warning('y')", debug=2
    )
    assert line.endswith("WARN  websocket: y")


def test_a_message_can_not_forge_a_line() -> None:
    (line,) = logged(r"log.warning('peer says: %s', 'a\n2026-01-01 00:00:00 INFO  x\r\x1b[2J\x85\u2028')")
    assert line.endswith(r"peer says: a\n2026-01-01 00:00:00 INFO  x\r\x1b[2J\x85\u2028")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_credential_of_a_url_gets_out(log_format: str) -> None:
    url = f"ws://me:{HASH}@h/socket?reverse=false&token={HASH}"
    lines = logged(
        f"try: raise OSError('{url}')\nexcept OSError: log.exception('%s', '{url}')", log_format=log_format
    )
    assert HASH not in "\n".join(lines)
    assert "token=***" in "\n".join(lines)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_greenlet_that_fails_is_logged_without_its_arguments(log_format: str) -> None:
    program = "import gevent\ndef work(token): raise KeyError('lost')\ngevent.spawn(work, 'SECRET').join()"
    text = "\n".join(logged(program, log_format=log_format))
    assert "linksocks.hub" in text or "hub: " in text
    assert "KeyError: 'lost'" in text
    assert "SECRET" not in text
    if log_format == "json":
        json.loads(text)


def test_a_record_that_does_not_fit_its_format_is_dropped_and_not_shown_raw() -> None:
    assert logged("log.info('%d', 'SECRET')") == []


def test_a_broken_stderr_does_not_stop_the_program() -> None:
    text = (
        "import logging, os, sys\nfrom linksocks import logs\nlogs.configure(0, 'text')\n"
        "read, write = os.pipe()\nos.close(read)\nos.dup2(write, 2)\n"
        "logging.getLogger('linksocks').info('x')\nsys.stdout.write('goes on')"
    )
    with Process([sys.executable, "-c", text]) as process:
        process.wait_line("goes on")
