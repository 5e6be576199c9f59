"""What `create_connection` may raise, and a dialer that does."""

from __future__ import annotations

from typing import NoReturn

from linksocks.errors import Cause, ClosedError, ConfigError, DeadlineError, ForkedError, TargetError

LATE = [
    DeadlineError("no link in 15 s"),
    TargetError(Cause.TIMED_OUT, "the target did not answer"),
    TimeoutError("timed out"),
]
UNMADE = [
    *(TargetError(cause, f"{cause.name} it was") for cause in Cause if cause is not Cause.TIMED_OUT),
    OSError("too many open files"),
]
MISTAKES = [
    ClosedError("this client was closed"),
    ForkedError("made in another process"),
    ConfigError("token: expected a token"),
]


class Failing:
    """Always with `error`; `calls` counts."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.calls = 0

    def create_connection(self, address: tuple[str, int], timeout: float | None = None) -> NoReturn:
        self.calls += 1
        raise self.error


def named(error: Exception) -> str:
    """The id of a parameter."""
    return f"{type(error).__name__}-{error}".replace(" ", "-")
