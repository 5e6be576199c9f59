"""The home of a tunnel: which hub it is, who is at home, and how that ends.

Who is at home is known from `enter` to `leave`, for two events that end tunnels without their owners: the
interpreter's exit (see `ending`) and a fork (see `fork`). Nothing is registered for them before the first `enter`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import gevent
from gevent import monkey
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Hub

from linksocks.embed import ending, fork, parking
from linksocks.embed.call import closed
from linksocks.embed.native import in_main_thread, new_lock
from linksocks.embed.runner import Runner
from linksocks.embed.thread import HubThread
from linksocks.errors import ForkedError, LinkSocksError

_LEAVE_TIMEOUT: Final = 5.0
"""Seconds for the thread to end."""

_T = TypeVar("_T")


class Home:
    """Where one tunnel runs, from `enter` to `leave`. Everything may be called from any thread.

    In a forked child `call` and `async_call` of the parent's homes raise ForkedError, and the rest does nothing.
    """

    def __init__(self, process: _Process, runner: Runner, thread: HubThread | None) -> None:
        self._process = process
        self._runner = runner
        self._thread = thread  # the one that ends with its last home
        self._stops: list[Callable[[], None]] = []
        self._left = new_lock()  # taken by the first `leave`
        process.homes.add(self)

    def call(
        self,
        run: Callable[..., _T],
        *args: Any,
        timeout: float | None,
        what: str = "",
    ) -> _T:
        """Runs `run(*args)` in a greenlet of the home, in a copy of the caller's context; returns what it returns.

        Raises what it raises, and DeadlineError after `timeout` seconds. Then the greenlet is killed, and so it is
        when the caller is interrupted. A result that comes too late for its caller is dropped, so it ends itself
        where that matters. `what` is what people call it, where the function's own name is not.
        """
        with _errors():
            self._check()
            return self._runner.call(run, args, timeout, what or _name_of(run))

    async def async_call(
        self,
        run: Callable[..., _T],
        *args: Any,
        timeout: float | None,
        what: str = "",
    ) -> _T:
        """The same for a task of asyncio. The greenlet of a task that is cancelled is killed."""
        with _errors():
            self._check()
            return await self._runner.async_call(run, args, timeout, what or _name_of(run))

    def post(self, run: Callable[..., object], *args: Any) -> None:
        """Has it run some time. Never waits and never raises, so it is for finalizers, also those of the home."""
        self._runner.post(run, args)

    def hold(self, stop: Callable[[], None]) -> None:
        """`stop` will be called in the home when the interpreter exits. It must not hold what a finalizer ends."""
        self._stops.append(stop)

    def leave(self) -> None:
        """The tunnel has ended. Who is the last one ends the thread, and waits for it unless called there.

        Not for finalizers, which may come in the middle of it: they `post` it.
        """
        thread = self._end_thread()
        if thread is not None and not thread.current:
            thread.join(_LEAVE_TIMEOUT)

    async def async_leave(self) -> None:
        """The same in asyncio. A task that is cancelled here has left."""
        thread = self._end_thread()
        if thread is not None:
            await thread.async_join(_LEAVE_TIMEOUT)

    def _end_thread(self) -> HubThread | None:
        """Leaves, without waiting for the thread that ends now, if one does."""
        if not self._left.acquire(blocking=False) or self._process is not _process:
            return None
        self._process.homes.discard(self)
        if self._thread is None or not self._process.last_of(self._thread):
            return None
        self._thread.end()
        return self._thread

    @property
    def runner(self) -> Runner:
        """The hub that it is in; many homes may share one."""
        return self._runner

    @property
    def stops(self) -> list[Callable[[], None]]:
        """What is held."""
        return self._stops

    def check_process(self) -> None:
        """Raises ForkedError where the home is another process's."""
        if self._process is not _process:
            raise self._process.forked()

    def _check(self) -> None:
        self.check_process()
        if self._left.locked():
            raise closed()


def _name_of(run: Callable[..., object]) -> str:
    """For people. Its arguments may be secret."""
    return getattr(run, "__qualname__", None) or type(run).__name__


class _Process:
    """What one process has of tunnels. The child of a fork begins with nothing."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.homes: set[Home] = set()
        self.ending = False  # the interpreter exits
        self._lock = new_lock()  # guards these two
        self._thread: HubThread | None = None
        self._tenants = 0  # homes in it

    def shared(self) -> Home:
        """A home in the thread that all share. Raises LinkSocksError."""
        with self._lock:
            if self._thread is None:
                self._thread = HubThread()
            self._tenants += 1
            return Home(self, self._thread.runner, self._thread)

    def last_of(self, thread: HubThread) -> bool:
        """One has left `thread`: whether nobody is in it any more, and nobody will be."""
        with self._lock:
            self._tenants -= 1
            if self._tenants:
                return False
            self._thread = None
            return True

    def exit(self) -> None:
        """The interpreter exits: stops all tunnels, and the thread."""
        self.ending = True
        ending.stop(self._held(), self._thread)

    def forked(self) -> ForkedError:
        """What the child says of a home of this process."""
        return ForkedError(
            f"this tunnel runs in process {self.pid}, and {os.getpid()} is a fork of that: make another one here, "
            "after the fork (with gunicorn in post_fork)"
        )

    def about_to_fork(self) -> None:
        """Another thread than the shared one finds it at rest."""
        parking.park(self._thread)

    def left_behind(self) -> None:
        """This process is the parent, and we are in its child."""
        fork.leave_to_parent(self._held(), self._thread, self.forked)

    def _held(self) -> dict[Runner, list[Callable[[], None]]]:
        """The runners in use, and what is held in each."""
        held: dict[Runner, list[Callable[[], None]]] = {}
        for home in list(self.homes):
            held.setdefault(home.runner, []).extend(home.stops)
        return held


_process = _Process()
_prepared = False


def enter() -> Home:
    """The home for a new tunnel. Raises LinkSocksError when there can be none."""
    _prepare()
    with _errors():
        if _process.ending:
            raise LinkSocksError("no tunnel can start any more: the interpreter exits")
    hub = _own_hub()
    return _process.shared() if hub is None else Home(_process, Runner(hub), None)


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Of a call, for its caller; see `ending` for whom there are none."""
    try:
        yield
    except Exception:
        if _process.ending:
            ending.spare_daemon()
        raise


def _own_hub() -> Hub | None:
    """The hub of this thread, in a program that gevent runs. A thread there that has none does not run one either."""
    if not (monkey.is_module_patched("socket") and monkey.is_module_patched("threading")):
        return None
    if in_main_thread():
        return gevent.get_hub()
    hub: Hub | None = get_hub_if_exists()
    return hub


def _prepare() -> None:
    global _prepared  # noqa: PLW0603 - once for a process and its children
    if not _prepared:
        _prepared = True
        os.register_at_fork(before=_before_fork, after_in_parent=parking.go_on, after_in_child=_in_child)
        atexit.register(_at_exit)


def _at_exit() -> None:
    _process.exit()  # of this process, whatever its parent had registered


def _before_fork() -> None:
    _process.about_to_fork()


def _in_child() -> None:
    global _process
    parking.go_on()
    parent, _process = _process, _Process()
    parent.left_behind()
