"""A hub, and how callers anywhere have things run in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, TypeVar

import gevent
from gevent.hub import Hub
from greenlet import greenlet

from linksocks.embed.bell import bell_of
from linksocks.embed.call import Call, closed, for_one, late
from linksocks.embed.waiters import TaskWaiter, current_hub, new_waiter
from linksocks.errors import LinkSocksError
from linksocks.net.greenlets import Group, expel

_T = TypeVar("_T")

_runner: Final[ContextVar[Runner]] = ContextVar("runner")
"""Of each greenlet that began in a call, and of all that it spawned."""


class Runner:
    """`hub`, which runs until `end`, or until a fork left it behind in the parent."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._bell = bell_of(hub)
        self._calls: set[Call[Any]] = set()  # that have not ended, and whose callers wait in other threads
        self._guests: list[greenlet] = []  # callers here, which run what they call themselves
        self._work = Group()  # what runs for callers elsewhere
        self._over: Callable[[], LinkSocksError] | None = None  # what callers get, once nothing runs any more

    # -- for callers

    def call(
        self,
        run: Callable[..., _T],
        args: tuple[Any, ...],
        timeout: float | None,
        what: str,
    ) -> _T:
        """See Home.call."""
        if current_hub() is self.hub:
            return self._run_here(run, args, timeout, what)
        waiter = new_waiter()
        call = Call(run, args, self._context(), waiter.wake, what)
        try:
            self._begin(call)
            waiter.wait(timeout)
            return self._result(call, timeout)
        except BaseException:
            self._abandon(call)
            raise

    async def async_call(
        self,
        run: Callable[..., _T],
        args: tuple[Any, ...],
        timeout: float | None,
        what: str,
    ) -> _T:
        """See Home.async_call."""
        waiter = TaskWaiter()
        call = Call(run, args, self._context(), waiter.wake, what)
        try:
            self._begin(call)
            await waiter.wait(timeout)
            return self._result(call, timeout)
        except BaseException:
            self._abandon(call)
            raise

    def post(self, run: Callable[..., object], args: tuple[Any, ...]) -> None:
        """See Home.post. It takes no lock: a garbage collection may call it in the middle of anything."""
        if self._over is None:
            with contextlib.suppress(Exception):
                self._bell.ring(self._spawn, run, args)

    # -- the end

    def end(self, why: Callable[[], LinkSocksError]) -> None:
        """Nothing runs here any more, and callers get `why`, the first one that was given."""
        self._over = self._over or why
        for call in list(self._calls):  # who comes later asks `_over`
            call.fail(why())

    def kill(self) -> None:
        """Ends what runs for callers elsewhere, and waits for that. In the home."""
        self._work.kill()

    def forget_callers(self) -> None:
        """Those that wait now are not woken any more."""
        for call in list(self._calls):
            call.forget()

    def expel_guests(self, why: Callable[[], LinkSocksError]) -> None:
        """Who runs here what it called itself gets `why` there. In the home."""
        for guest in list(self._guests):
            expel(self._guests, guest, why)

    # -- in the home

    def _spawn(self, run: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._context().run(self._work.spawn, run, *args)

    def _start(self, call: Call[Any]) -> None:
        worker = call.greenlet()
        if worker is not None:
            worker.rawlink(lambda _: self._calls.discard(call))
            self._work.start(worker)

    # -- in the caller

    def _context(self) -> Context:
        """A copy of the caller's, which names us."""
        context = copy_context()
        context.run(_runner.set, self)
        return context

    def _begin(self, call: Call[Any]) -> None:
        self._calls.add(call)
        if self._over is not None:
            raise self._over()
        try:
            self._bell.ring(self._start, call)
        except Exception as error:  # the loop was destroyed meanwhile
            raise closed() from error

    def _result(self, call: Call[_T], timeout: float | None) -> _T:
        if timeout is not None and not call.ended:
            raise late(call.what, timeout)
        return call.result()

    def _abandon(self, call: Call[Any]) -> None:
        self._calls.discard(call)
        if call.abandon():
            self.post(call.kill, ())

    def _run_here(
        self, run: Callable[..., _T], args: tuple[Any, ...], timeout: float | None, what: str
    ) -> _T:
        """In the calling greenlet, which is one of the home."""
        if self._over is not None:
            raise self._over()
        guest = gevent.getcurrent()
        self._guests.append(guest)
        limit = gevent.Timeout.start_new(timeout)
        failure: BaseException
        try:
            return self._context().run(run, *args)
        except gevent.Timeout as error:
            if error is not limit or timeout is None:
                raise
            failure = late(what, timeout)
        except Exception as error:  # noqa: BLE001 - the caller's; what failed in a child failed because of the fork
            failure = for_one(error) if self._over is None else self._over()
        finally:
            limit.close()
            self._guests.remove(guest)
        try:
            raise failure
        finally:
            del failure  # see Call.result


def runner_of(greenlet: gevent.Greenlet[..., Any]) -> Runner | None:
    """The one for whose caller it works; None for a guest too, which belongs to the program."""
    context = greenlet.gr_context
    runner = None if context is None else context.get(_runner)
    return None if runner is None or greenlet in runner._guests else runner
