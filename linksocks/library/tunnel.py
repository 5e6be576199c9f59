"""What Server and Client have in common: their life, and that they are used from anywhere.

The constructor checks its arguments and starts nothing. A tunnel begins with the first call that needs it, and ends
with `close`, with its `with` block, when nobody holds it any more, and with the interpreter. Every call that waits
has a twin for asyncio, `async_*`.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Generic, NoReturn, Self, TypeVar

from linksocks.library.durations import Duration, seconds
from linksocks.library.events import Events
from linksocks.library.records import TREE
from linksocks.library.stay import MARGIN, Role, Stay

_R = TypeVar("_R", bound=Role)


class Tunnel(ABC, Generic[_R]):
    """The face of the roles that `make` gives; see Stay."""

    def __init__(self, make: Callable[[_R | None], _R], noun: str, logger: logging.Logger | None) -> None:
        self._log = logger or TREE
        self._stay = Stay(make, noun, logger)
        # At the interpreter's exit the home itself ends what is left.
        weakref.finalize(self, self._stay.abandon).atexit = False

    @property
    def log(self) -> logging.Logger:
        """The logger that was given, or that of the whole package."""
        return self._log

    # -- its life

    def wait_ready(self, timeout: Duration | None = None) -> None:
        """Begins, and waits until the tunnel can be used.

        `timeout` is a number of seconds, a timedelta or a text such as "1.5s". None, like 0, is no limit, but this
        never waits for what can't come: what makes it impossible is raised at once.

        Raises ConfigError, ListenError (a port is in use), StateError (the state file), AuthError (the server refuses
        the token), LinkError (it can't be reached, and `reconnect` is off), ConnectorError, DeadlineError (a
        TimeoutError, with the last failure in its text), ClosedError, ForkedError.
        """
        limit = self._limit(timeout)
        self._stay.ready(self._readiness(limit), _with_margin(limit))

    async def async_wait_ready(self, timeout: Duration | None = None) -> None:
        """See `wait_ready`. A task that is cancelled here closes the tunnel."""
        limit = self._limit(timeout)
        try:
            await self._stay.async_ready(self._readiness(limit), _with_margin(limit))
        except asyncio.CancelledError:
            self._stay.abandon()
            raise

    @abstractmethod
    def _readiness(self, timeout: float | None) -> Callable[[_R], None]:
        """Waits in the hub until a role is ready; raises DeadlineError after `timeout` seconds."""

    def close(self, grace: Duration = 0) -> None:
        """Ends the tunnel; its connections have `grace` seconds to end by themselves.

        For good; a second time does nothing. From any thread: calls that wait elsewhere raise ClosedError. What was
        written before its socket was closed has 5 seconds to arrive in any case, and so has what is still being
        written: the two look the same.
        """
        self._stay.close(seconds(grace, "grace"))

    async def async_close(self, grace: Duration = 0) -> None:
        """See `close`."""
        await self._stay.async_close(seconds(grace, "grace"))

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    @abstractmethod
    def _open(self) -> None:
        """What `with` does first."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        try:
            await self.async_wait_ready()
        except BaseException:
            await self.async_close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.async_close()

    # -- what it tells

    def events(self) -> Events:
        """What happens from now on: LinkUp, LinkDown and PartnersChanged, one after the other.

        The iterator waits for the next event, and ends when the tunnel is closed; there may be many, and `async for`
        reads them too. Each keeps the last 1024 events that nobody has read. It does not keep the tunnel alive.

        Raises ForkedError for a tunnel that began before the fork.
        """
        return self._stay.events()

    def __repr__(self) -> str:
        return f"<linksocks.{type(self).__name__} {self._shown()}, {self._stay.state}>"

    @abstractmethod
    def _shown(self) -> str:
        """What it is, for people; nothing secret."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} can't be copied or pickled: it is sockets and a thread of this process; "
            "make another one where you need it"
        )

    @staticmethod
    def _limit(timeout: Duration | None) -> float | None:
        """Seconds; None for none."""
        return (seconds(timeout, "timeout") or None) if timeout is not None else None


def _with_margin(limit: float | None) -> float | None:
    """The role itself says more of what it has waited for."""
    return None if limit is None else limit + MARGIN
