"""The life of a tunnel in its home: what is left of a Server or Client that nobody holds any more, and who ends it.

It enters its home with the first call that needs one, and makes the role there. From then on:

============== ============================== ===================================================================
state          calls that need the role       next
============== ============================== ===================================================================
not begun      start it; `prepare` does not   running; where it can't start they say why, and it has not begun
running        are answered by it             ended, when the role gives up by itself
ended          raise what ended it            running, by `ready` alone: it makes another role
closed         raise ClosedError              -
============== ============================== ===================================================================

Nothing here refers to the Server or Client, so one that nobody holds is collected, and its finalizer calls `abandon`.
All that is told to the role, and about it, is in the home's hub, in a context that names the tunnel's logger.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, Protocol, TypeVar

import gevent
from gevent.lock import BoundedSemaphore
from greenlet import greenlet

from linksocks.embed import Home, enter
from linksocks.errors import ClosedError, DeadlineError, ForkedError, LinkClosed, LinkSocksError
from linksocks.library.events import Broadcast, Events
from linksocks.library.records import share_with
from linksocks.net.greenlets import Greenlet, expel, give_way, spawn
from linksocks.tunnel.events import Observers

_ANSWER: Final = 10.0
"""Seconds for what needs no peer: a hub that takes longer is held up by the program itself."""

_END: Final = 20.0
"""Seconds for the end of a role beyond its grace; nearly all need one turn of the hub."""

_T = TypeVar("_T")

log = logging.getLogger("linksocks.library")


class Role(Protocol):
    """A server or a client, as its settings describe it."""

    @property
    def observers(self) -> Observers: ...

    def start(self) -> None: ...
    def wait(self) -> None: ...
    def stop(self, grace: float) -> None: ...


_R = TypeVar("_R", bound=Role)


class Lifecycle(Generic[_R]):
    """Of the roles that `make` gives, each for the one before it, if there was one; `noun` is what the tunnel is."""

    def __init__(self, make: Callable[[_R | None], _R], noun: str, logger: logging.Logger | None) -> None:
        self._make = make
        self._noun = noun
        self._logger = logger
        self._broadcast = Broadcast()  # of the roles' events
        # No lock: see `events`. Who closes says so and then looks for a home, who enters does it the other way round.
        self._homes: list[Home] = []  # from the first call that needs one; the first one counts
        self._closed = False
        # What follows is the hub's.
        self._turn = BoundedSemaphore()  # one begins a role
        self._role: _R | None = None  # also one that has ended, until another begins
        self._watcher: Greenlet | None = None  # of the role, once it was started
        self._cause: Exception | None = None  # of the role's end
        self._calls: set[greenlet] = set()  # who calls
        self._exiting = self._over = False

    # -- from any thread. They raise ClosedError, ForkedError, what `operation` raises, and DeadlineError when `what`
    # took more than `timeout` seconds

    def start(self) -> None:
        """Begins, where it has not."""
        self.call("the start", lambda _role: None)

    def call(self, what: str, operation: Callable[[_R], _T], timeout: float | None = _ANSWER) -> _T:
        """What `operation` makes of the role. A result that comes too late for the caller is dropped."""
        result: _T = self._enter().call(self._do, self._running, operation, timeout=timeout, what=what)
        return result

    async def async_call(
        self, what: str, operation: Callable[[_R], _T], timeout: float | None = _ANSWER
    ) -> _T:
        """The same in asyncio."""
        return await self._enter().async_call(self._do, self._running, operation, timeout=timeout, what=what)

    def prepare(self, what: str, operation: Callable[[_R], _T]) -> _T:
        """The same, and a role that has not begun stays so."""
        result: _T = self._enter().call(self._do, self._prepared, operation, timeout=_ANSWER, what=what)
        return result

    async def async_prepare(self, what: str, operation: Callable[[_R], _T]) -> _T:
        """The same in asyncio."""
        return await self._enter().async_call(self._do, self._prepared, operation, timeout=_ANSWER, what=what)

    def wait_ready(self, readiness: Callable[[_R], None], timeout: float | None) -> None:
        """The same where `readiness` waits until the role is ready: one that has ended is followed by another."""
        self._enter().call(self._get_ready, readiness, timeout=timeout, what="wait_ready")

    async def async_wait_ready(self, readiness: Callable[[_R], None], timeout: float | None) -> None:
        """The same in asyncio."""
        await self._enter().async_call(self._get_ready, readiness, timeout=timeout, what="wait_ready")

    # -- questions: `otherwise` is the answer before the first role

    def ask(self, question: Callable[[_R], _T], otherwise: _T) -> _T:
        """What a role says of itself, also one that has ended. Raises ClosedError once the tunnel is closed."""
        self._check_open()
        return self.recall(question, otherwise)

    def recall(self, question: Callable[[_R], _T], otherwise: _T) -> _T:
        """The same, and of a closed tunnel what the last one says. Raises ForkedError and DeadlineError alone."""
        home = self._home
        if home is not None and not self._over:
            try:
                answer: _T = home.call(self.peek, question, otherwise, timeout=_ANSWER, what="a question")
                return answer
            except ClosedError:  # meanwhile
                pass
        return self.peek(question, otherwise)

    def peek(self, question: Callable[[_R], _T], otherwise: _T) -> _T:
        """The same without a call, for a plain value that any thread may read. Raises nothing."""
        return otherwise if self._role is None else question(self._role)

    def events(self) -> Events:
        """Those of the roles, from now on. Raises ForkedError where they are told in another process."""
        home = self._home
        if home is not None and not self._over:
            home.check_process()
        return self._broadcast.subscribe()

    @property
    def state(self) -> str:
        """In a word or two, as in the table above."""
        if self._closed:
            return "closed"
        if self._cause is not None:
            return "ended"
        return "not begun" if self._watcher is None else "running"

    # -- the end, from any thread

    def close(self, grace: float) -> None:
        """Ends it, with `grace` seconds for its connections, and leaves the home.

        Of many who do, all wait for the end, and the shortest grace counts. Who is interrupted has none any more.
        """
        home = self._shut()
        if home is None:
            return
        try:
            with self._forgiven(grace):
                home.call(self._end, grace, timeout=grace + _END)
        except BaseException:  # the caller was interrupted
            home.post(self._end_and_leave, home)
            raise
        home.leave()

    async def async_close(self, grace: float) -> None:
        """The same in asyncio."""
        home = self._shut()
        if home is None:
            return
        try:
            with self._forgiven(grace):
                await home.async_call(self._end, grace, timeout=grace + _END)
        except BaseException:
            home.post(self._end_and_leave, home)
            raise
        await home.async_leave()

    def abandon(self) -> None:
        """Ends it without waiting: for finalizers, and where a wait was given up."""
        home = self._shut()
        if home is not None:
            home.post(self._end_and_leave, home)

    def _shut(self) -> Home | None:
        self._closed = True
        home = self._home
        if home is None:
            self._broadcast.end()
        return home

    @contextmanager
    def _forgiven(self, grace: float) -> Iterator[None]:
        """An end that can't be is no error of who wants one."""
        try:
            yield
        except DeadlineError:
            log.warning("the %s has not ended in %g s", self._noun, grace + _END)
        except (ClosedError, ForkedError):  # ended already, or another process's
            pass

    # -- the home

    def _enter(self) -> Home:
        """Raises ClosedError."""
        self._check_open()
        home = self._home
        if home is not None:
            return home
        home = enter()
        self._homes.append(home)
        if self._home is not home:
            home.leave()  # another thread was faster
            return self._enter()
        home.hold(self._end_at_exit)
        if self._closed:  # by who may not have seen it
            self.abandon()
        self._check_open()
        return home

    @property
    def _home(self) -> Home | None:
        return self._homes[0] if self._homes else None

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"this {self._noun} was closed: make another one")

    # -- in the hub

    @contextmanager
    def _call(self) -> Iterator[None]:
        """Whoever is inside when the tunnel ends gets ClosedError there: it may be the program's own greenlet."""
        self._check_open()
        if self._exiting:
            raise ClosedError("the interpreter exits")
        share_with(self._logger)
        current = gevent.getcurrent()
        self._calls.add(current)
        try:
            yield
        finally:
            self._calls.discard(current)

    def _do(self, role: Callable[[], _R], operation: Callable[[_R], _T]) -> _T:
        with self._call():
            return operation(role())

    def _get_ready(self, readiness: Callable[[_R], None]) -> None:
        with self._call():
            self._renew()
            try:
                readiness(self._running())
            except (ClosedError, DeadlineError):
                raise
            except LinkSocksError:
                self._await_watcher()  # it has ended: when we say so, its port is free
                raise

    def _renew(self) -> None:
        """Puts another role after one that has ended."""
        with self._turn:
            if self._cause is not None:
                self._await_watcher()
                self._role, self._watcher, self._cause = self._made(self._role), None, None

    def _prepared(self) -> _R:
        if self._role is None:
            self._role = self._made(None)
        return self._role

    def _running(self) -> _R:
        with self._turn:
            if self._cause is not None:
                raise self._cause
            role = self._prepared()
            if self._watcher is None:
                role.start()
                self._watcher = spawn(f"watch of a {self._noun}", self._watch, role)
            return role

    def _made(self, former: _R | None) -> _R:
        role = self._make(former)
        role.observers.add(self._broadcast.tell)
        return role

    def _watch(self, role: _R) -> None:
        try:
            role.wait()
        except Exception as error:  # noqa: BLE001 - a bug has ended it as well
            self._cause = _with_advice(error)
            role.stop(0)

    def _await_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher.join(_END)

    def _end(self, grace: float) -> None:
        """Who comes later may bring it nearer, and never puts it off. That a caller goes does not stop it."""
        spawn(f"end of a {self._noun}", self._stop, grace).join()

    def _stop(self, grace: float) -> None:
        share_with(self._logger)
        for caller in list(self._calls):
            expel(self._calls, caller, self._closed_meanwhile)
        give_way()
        if self._role is not None:
            self._role.stop(grace)
        self._await_watcher()
        self._over = True
        self._broadcast.end()

    def _closed_meanwhile(self) -> ClosedError:
        return ClosedError(f"this {self._noun} was closed meanwhile")

    def _end_at_exit(self) -> None:
        self._exiting = True  # not closed: what callers get then is the home's to say
        self._end(0)

    def _end_and_leave(self, home: Home) -> None:
        self._end(0)
        home.leave()


def _with_advice(error: Exception) -> Exception:
    """Who hears of a lost link much later, in a call for something else, may not know what to do."""
    if not isinstance(error, LinkClosed):
        return error
    advice = "wait_ready makes another link, and with reconnect=True that is done at once"
    return LinkClosed(error.code, f"{error.reason}; {advice}" if error.reason else advice)
