"""One function that a caller has run in a home, and its answer.

Two may say how a call ends, each in its own thread, and the first one does, by taking the lock `_settling`:

======================= =============================== ==========================================================
who is first            the caller gets                 then
======================= =============================== ==========================================================
the greenlet            its result or its exception     -
the home (`fail`)       that error                      the greenlet has ended, or will not run
the caller (`abandon`)  DeadlineError, or what          the greenlet is killed
                        interrupted it
======================= =============================== ==========================================================

A result that its caller does not take is dropped at once: it came too late, or its caller was interrupted when it had
just come, or waits in a loop that runs no more. So what is more than a value ends itself when nobody holds it; a
descriptor's number would be lost, in the caller between any two of its steps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextvars import Context
from typing import Any, Generic, TypeVar

import gevent

from linksocks.embed.native import new_lock
from linksocks.errors import ClosedError, DeadlineError, LinkSocksError

_T = TypeVar("_T")


class Call(Generic[_T]):
    """`run(*args)` for one caller, in a greenlet with that `context`."""

    def __init__(
        self,
        run: Callable[..., _T],
        args: tuple[Any, ...],
        context: Context,
        wake: Callable[[], bool],
        what: str,
    ) -> None:
        self.what = what
        """For people."""
        self._run = run
        self._args = args
        self._wake = wake
        self._context = context
        self._settling = new_lock()
        self._results: list[_T] = []  # one, until the caller has taken it
        self._error: BaseException | None = None
        self._greenlet: gevent.Greenlet[..., object] | None = None

    # -- in the home

    def greenlet(self) -> gevent.Greenlet[..., object] | None:
        """What is to be started; None when the caller has gone."""
        if self._settling.locked():
            return None
        self._greenlet = gevent.Greenlet(self._work)
        self._greenlet.gr_context = self._context
        self._greenlet.name = f"call of {self.what}"
        return self._greenlet

    def kill(self) -> None:
        """Ends the greenlet, if there is one."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def _work(self) -> None:
        try:
            result = self._run(*self._args)
        except gevent.GreenletExit:
            self.fail(closed())
        except BaseException as error:  # noqa: BLE001 - the caller's, whatever it is
            self.fail(error)
        else:
            self._results.append(result)
            if not (self._settling.acquire(blocking=False) and self._wake()):
                self._results.clear()

    # -- in any thread

    def fail(self, error: BaseException) -> None:
        """The call has ended with `error`, unless it has ended already."""
        if not self._settling.locked():
            self._error = error
        if self._settling.acquire(blocking=False):
            self._wake()

    def forget(self) -> None:
        """Nobody is to be woken any more."""
        self._wake = _nobody

    # -- in the caller

    @property
    def ended(self) -> bool:
        """Whether there is a result, or an error."""
        return self._settling.locked()

    def abandon(self) -> bool:
        """The caller goes, and takes nothing. Whether the greenlet is to be killed."""
        first = self._settling.acquire(blocking=False)
        self._results.clear()
        return first

    def result(self) -> _T:
        """Of a call that has ended. Raises what the function raised."""
        if self._results:
            return self._results.pop()
        error = self._error
        assert error is not None
        try:
            raise for_one(error)
        finally:
            del error, self  # else the traceback would hold itself


def closed() -> ClosedError:
    """What a caller gets whose tunnel runs no more."""
    return ClosedError("the tunnel was closed: make another one")


def late(what: str, timeout: float) -> DeadlineError:
    """What the caller gets whose time is up."""
    return DeadlineError(f"{what} was not done in {timeout:g} s")


def for_one(error: BaseException) -> BaseException:
    """A copy of an error of ours: many may wait for what ends a role, and each raises it with its own traceback."""
    if not isinstance(error, LinkSocksError):
        return error
    again = copy.copy(error)
    again.__cause__, again.__context__ = error.__cause__, error.__context__
    again.__suppress_context__ = error.__suppress_context__
    return again.with_traceback(error.__traceback__)


def _nobody() -> bool:
    """Instead of a caller."""
    return False
