"""What Server and Client have in common: their life, and that they are used from anywhere.

The constructor checks its arguments and starts nothing. A tunnel begins with the first call that needs it, and ends
with `close`, with its `with` block, when nobody holds it any more, and with the interpreter. What waits for peers has
a twin for asyncio, `async_*`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Final, Generic, NoReturn, Self, TypeVar

from linksocks.library import arguments as a
from linksocks.library.connections import limit_of, open_socket, target_errors
from linksocks.library.durations import Duration, seconds
from linksocks.library.events import Events
from linksocks.library.lifecycle import Lifecycle, Role
from linksocks.library.records import TREE
from linksocks.net.carrier import Carrier

_WAITS: Final = 60.0
"""Seconds, more than all that a call waits for beside a dial: a link, a provider, a look-up, the answer."""

_MARGIN: Final = 5.0
"""Seconds more for what keeps a deadline by itself."""

_R = TypeVar("_R", bound=Role)


class Tunnel(ABC, Generic[_R]):
    """The face of the roles that `make` gives, see Lifecycle; they have `connect_timeout` seconds for a dial."""

    def __init__(
        self,
        make: Callable[[_R | None], _R],
        noun: str,
        logger: logging.Logger | None,
        connect_timeout: float,
    ) -> None:
        self._connect_timeout = connect_timeout
        self._log = logger or TREE
        self._life = Lifecycle(make, noun, logger)
        # At the interpreter's exit the home itself ends what is left.
        weakref.finalize(self, self._life.abandon).atexit = False

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
        limit = a.duration("timeout", timeout)
        self._life.wait_ready(self._readiness(limit), limit and self._deadline(limit))

    async def async_wait_ready(self, timeout: Duration | None = None) -> None:
        """See `wait_ready`. A task that is cancelled here closes the tunnel."""
        limit = a.duration("timeout", timeout)
        try:
            await self._life.async_wait_ready(self._readiness(limit), limit and self._deadline(limit))
        except asyncio.CancelledError:
            self._life.abandon()
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
        self._life.close(seconds(grace, "grace"))

    async def async_close(self, grace: Duration = 0) -> None:
        """See `close`."""
        await self._life.async_close(seconds(grace, "grace"))

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
        return self._life.events()

    def __repr__(self) -> str:
        return f"<linksocks.{type(self).__name__} {self._shown()}, {self._life.state}>"

    @abstractmethod
    def _shown(self) -> str:
        """What it is, for people; nothing secret."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} can't be copied or pickled: it is sockets and a thread of this process; "
            "make another one where you need it"
        )

    # -- its connections

    def _connect(
        self,
        dial: Callable[[tuple[str, int], float | None, _R], Carrier],
        address: tuple[str, int],
        timeout: Duration | None,
        source_address: object,
    ) -> socket.socket:
        """See Client.create_connection; `dial` is called in the hub."""
        limit = limit_of(timeout, source_address)
        operation = partial(dial, a.address(address), limit)
        with target_errors():
            carrier = self._life.call("create_connection", operation, self._deadline(limit))
            return open_socket(carrier, limit)

    async def _async_connect(
        self,
        dial: Callable[[tuple[str, int], float | None, _R], Carrier],
        address: tuple[str, int],
        timeout: Duration | None,
    ) -> socket.socket:
        """The same for asyncio: the socket does not block."""
        limit = limit_of(timeout)
        operation = partial(dial, a.address(address), limit)
        with target_errors():
            carrier = await self._life.async_call("create_connection", operation, self._deadline(limit))
            return open_socket(carrier, 0)

    def _deadline(self, limit: float | None = None) -> float:
        """For a call of what keeps `limit` itself, or limits of its own, and says more when it is late."""
        return self._connect_timeout + _WAITS if limit is None else limit + _MARGIN
