"""Real processes for tests: start one, follow what it says, wait with a bound, end it.

A `Process` reads its child's stdout and stderr in two threads, so that no pipe ever fills up, and keeps
every line. Waiting is for a line, for the end or for an open port; each wait has a deadline, ends early when
the child dies, and its failure shows all that the child said. After the `with` block the child is gone.

The calls block their thread: a test that runs a gevent hub in its own thread must not wait here meanwhile. `ran` is
for those. gevent.subprocess is for nobody: once used, gevent reaps every child of the process, and who waits for one
is told that it ended with 0.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import IO, Any, Self

import gevent

# One command or one start on a busy two-core machine; a test that needs longer says so.
PATIENCE = 20.0


class Process:
    """A child process with its output kept as lines: `out` and `err` grow while it runs."""

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str | None] | None = None) -> None:
        """Start `argv`. `env` is laid over the environment; None as a value removes the variable."""
        self.argv = list(argv)
        self.out: list[str] = []
        self.err: list[str] = []
        self._news = threading.Condition()  # guards the lists and _open_pipes
        self._open_pipes = 2
        self._child = subprocess.Popen(
            self.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=_environment(env or {}),
        )
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        for pipe, lines in ((self._child.stdout, self.out), (self._child.stderr, self.err)):
            threading.Thread(target=self._follow, args=(pipe, lines), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    @property
    def silent(self) -> bool:
        """Whether it says no more: `out` and `err` are complete. It may have ended before."""
        with self._news:
            return self._open_pipes == 0

    @property
    def output(self) -> str:
        """All that was said so far, for the message of a failing assert."""
        with self._news:
            said = [f"out| {line}" for line in self.out] + [f"err| {line}" for line in self.err]
        return "\n".join([f"$ {' '.join(self.argv)} (exit code {self._child.poll()})", *said])

    def wait_line(self, pattern: str, *, timeout: float = PATIENCE) -> re.Match[str]:
        """The first line of stdout or stderr, past or future, in which `pattern` is found."""
        deadline = time.monotonic() + timeout
        wanted = re.compile(pattern)
        with self._news:
            while True:
                for line in [*self.out, *self.err]:
                    if match := wanted.search(line):
                        return match
                ended = self._open_pipes == 0
                if ended or not self._news.wait(deadline - time.monotonic()):
                    break
        why = "the process ended" if ended else f"not within {timeout} s"
        raise AssertionError(f"no line with {pattern!r}: {why}\n{self.output}")

    def wait_exit(self, *, timeout: float = PATIENCE) -> int:
        """The exit code; a death by signal N is -N. When this returns, `out` and `err` are complete."""
        try:
            code = self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s\n{self.output}") from None
        with self._news:
            # A grandchild that inherited a pipe may keep it open: a bounded wait, and its end is no error.
            self._news.wait_for(lambda: self._open_pipes == 0, timeout=5)
        return code

    def wait_port(self, port: int, host: str = "127.0.0.1", *, timeout: float = PATIENCE) -> None:
        """Return when something accepts on `port`, or fail when the process ends before."""
        deadline = time.monotonic() + timeout
        while self.running and time.monotonic() < deadline:
            try:
                socket.create_connection((host, port), timeout=1).close()
            except OSError:
                time.sleep(0.02)  # the pace of the polling, not what is waited for
            else:
                return
        raise AssertionError(f"nothing accepts on {host}:{port}\n{self.output}")

    def send_signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def close_stdin(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()

    def stop(self, *, grace: float = 5.0) -> int:
        """Ask with SIGTERM, insist with SIGKILL after `grace`; also right for a child that has ended."""
        self.close_stdin()
        if self.running:
            self._child.terminate()
        try:
            self._child.wait(grace)
        except subprocess.TimeoutExpired:
            self._child.kill()
        return self.wait_exit()

    def _follow(self, pipe: IO[str], lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                with self._news:
                    lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._open_pipes -= 1
            self._news.notify_all()


def ran(argv: Sequence[str], **how: Any) -> subprocess.CompletedProcess[Any]:
    """subprocess.run, while this thread's hub goes on."""
    run = partial(subprocess.run, argv, **({"capture_output": True, "timeout": 2 * PATIENCE} | how))
    return gevent.get_hub().threadpool.apply(run)


def linksocks(*args: str, env: Mapping[str, str | None] | None = None) -> Process:
    """Our own command line as a user starts it, with this interpreter and none of the user's LINKSOCKS_*."""
    clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith("LINKSOCKS_")}
    return Process([sys.executable, "-m", "linksocks", *args], env=clean | dict(env or {}))


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """The caller's environment with `changes`, unbuffered, and without a proxy in the way of loopback."""
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    env["PYTHONUNBUFFERED"] = "1"
    env.update({name: value for name, value in changes.items() if value is not None})
    for name in [name for name, value in changes.items() if value is None]:
        env.pop(name, None)
    return env
