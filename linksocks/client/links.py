"""The links that a client keeps to its server: all of them, the one for a new channel, and how they end together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import Final, Protocol

import gevent
from gevent.event import AsyncResult, Event
from gevent.lock import Semaphore

from linksocks.client.keeper import Keeper, Persistence
from linksocks.errors import AuthError, Cause, ClosedError, DeadlineError, DialError, LinkSocksError
from linksocks.net.greenlets import Greenlet, spawn, until
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.events import LinkDown, LinkUp, Observers
from linksocks.wire.frames import CloseCode

LINK_WAIT: Final = 10.0
"""Seconds that a new channel waits for a link before it is refused."""

_FAREWELL: Final = 5.0
"""Seconds for all links to end once they were told to."""

log = logging.getLogger("linksocks.client")


class Side(Protocol):
    """Our end of the channels: a Passage or an Outbound."""

    def drain(self, grace: float) -> None:
        """Opens nothing any more, and gives connections `grace` seconds at most, those that leave DELIVERY."""

    def stop(self) -> None:
        """Ends them all."""


class Links:
    """`threads` links that `make` gives, or LinkError.

    `up` and `down` hear of each, in the greenlet that is about to read it or has done so; they do not wait or raise.
    Whoever `up` leads to says when the link is `ready`. `observers` are told.
    """

    def __init__(
        self,
        make: Callable[[], Link],
        threads: int,
        persistence: Persistence,
        up: Callable[[Link], None],
        down: Callable[[Link], None],
        observers: Observers,
    ) -> None:
        self._tell_up = up
        self._tell_down = down
        self._all = [Keeper(make, self._up, self._down, persistence) for _ in range(threads)]
        self._keepers = list(self._all)  # those that have not given up
        self._greenlets: list[Greenlet] = []  # one for each keeper that has not given up
        self._live: set[Link] = set()
        self._observers = observers
        self._linked = Event()  # there is a link
        self._ready = Event()  # ... and it has all that goes with it
        self._stopping = self._stopped = False
        self._ending = Semaphore()
        self._outcome: AsyncResult[None] = AsyncResult()

    @property
    def live(self) -> Collection[Link]:
        """The links that there are now."""
        return self._live

    @property
    def reconnects(self) -> int:
        """Links that were made anew."""
        return sum(max(0, keeper.made - 1) for keeper in self._all)

    @property
    def rtt(self) -> float | None:
        """Seconds of the fastest round trip to the server, of the latest on each link."""
        return min((link.rtt for link in self._live if link.rtt is not None), default=None)

    def start(self) -> None:
        """Begins to connect."""
        for keeper in self._keepers:
            greenlet = spawn("keeper of a link", self._keep, keeper)
            greenlet.link_exception(self._on_bug)
            self._greenlets.append(greenlet)

    def wait(self) -> None:
        """Until `stop`. Raises the error that ended the client by itself: AuthError, LinkError or LinkClosed, or
        what was given to `fail`."""
        self._outcome.get()

    def wait_ready(self, timeout: float | None) -> None:
        """Until a link is ready. Raises what `wait` raises, ClosedError after `stop`, or DeadlineError."""
        gevent.wait([self._ready, self._outcome], timeout, count=1)
        if self._outcome.ready():
            self._outcome.get()
            raise ClosedError("the client was stopped")
        if not self._ready.is_set():
            failures = [keeper.failure for keeper in self._all if keeper.failure]
            why = failures[0] if failures else "the server has not answered yet"
            raise DeadlineError(f"not ready in {timeout:g} s: {why}")

    def ready(self, link: Link) -> None:
        """`link`, if it still lives, has all that goes with it."""
        if link in self._live:
            self._ready.set()

    def fail(self, error: BaseException) -> None:
        """The client can't go on."""
        self._outcome.set_exception(error)

    def stop(self, grace: float, side: Side, farewell: Callable[[], None] = lambda: None) -> None:
        """Makes no links any more, gives the connections of `side` their time, then closes all with 1001.

        `farewell` is what is to be said to the server when the connections have ended. Where many stop at once the
        shortest grace counts, and all return at the end.
        """
        deadline = time.monotonic() + grace
        if not self._stopping:
            self._stopping = True
            for keeper in self._keepers:
                keeper.stop()
            log.info(
                "stopping: %d channels have %g s to end", sum(link.channels for link in self._live), grace
            )
            for link in self._live:
                link.leave()
        side.drain(grace)
        with self._ending:
            if not self._stopped:
                self._end(deadline, side, farewell)
                self._stopped = True

    def _end(self, deadline: float, side: Side, farewell: Callable[[], None]) -> None:
        farewell()
        links = list(self._live)
        for link in links:
            link.drained(until(deadline))
        side.stop()  # while the server can be told which streams are broken
        for link in links:
            link.close(CloseCode.GOING_AWAY, "the client is stopping")
        if links:
            gevent.joinall(self._greenlets, timeout=_FAREWELL)
        gevent.killall(self._greenlets)
        if not self._outcome.ready():
            self._outcome.set(None)

    # -- each keeper's greenlet

    def _keep(self, keeper: Keeper) -> None:
        """Keeps a link. The client ends with its last one, or when the token is refused."""
        try:
            keeper.run()
        except LinkSocksError as error:
            self._keepers.remove(keeper)
            if isinstance(error, AuthError) or not self._keepers:
                self.fail(error)
            else:
                log.warning("%s; going on with %d links", error, len(self._keepers))

    def _on_bug(self, greenlet: Greenlet) -> None:
        """A keeper died of an error that is none of ours: better to end than to stay without a link."""
        self.fail(greenlet.exception or SystemError("a keeper died"))

    def _up(self, link: Link) -> None:
        self._live.add(link)
        self._linked.set()
        self._tell_up(link)
        self._observers.tell(LinkUp(link.name))

    def _down(self, link: Link, reason: str) -> None:
        self._live.discard(link)
        if not self._live:
            self._linked.clear()
            self._ready.clear()
        self._observers.tell(LinkDown(link.name, reason))
        self._tell_down(link)

    # -- for new channels

    def pick(self) -> Link:
        """The link with the fewest channels: a channel stays on its link, so its bytes stay in order.

        Waits LINK_WAIT at most for one. Raises DialError.
        """
        if not self._live:
            for keeper in self._keepers:
                keeper.hurry()
        if not self._linked.wait(LINK_WAIT):
            raise DialError(Cause.NETWORK_UNREACHABLE, f"no link to the server for {LINK_WAIT:g} s")
        # One that waits for the peer to close has no channels, and would be chosen before all that live.
        usable = [link for link in self._live if link.takes_channels]
        if not usable:
            raise DialError(
                Cause.NETWORK_UNREACHABLE, "the link to the server was lost, or the server is stopping"
            )
        return min(usable, key=lambda link: link.channels)
