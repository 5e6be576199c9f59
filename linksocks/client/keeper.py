"""Keeps one link to a server: makes it, holds it until it ends, and after a pause begins anew."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gevent.event import Event

from linksocks.client.backoff import FIRST, Backoff
from linksocks.errors import AuthError, LinkClosed, LinkError
from linksocks.tunnel.channels.link import Link
from linksocks.wire.frames import CloseCode

_STEADY: Final = 10.0
"""Seconds after which a link counts as good: a server that takes us and drops us at once is not asked each second."""

log = logging.getLogger("linksocks.client")


@dataclass(frozen=True, slots=True)
class Persistence:
    """When to try again: after a lost link or a failed try, and after a refused token.

    No pause is shorter than `delay` seconds; they grow, see Backoff. A token that was good once may be so again: a
    provider's connector tokens come and go with it.
    """

    reconnect: bool
    retry_auth: bool
    delay: float = FIRST

    def worth_retrying(self, error: LinkError | LinkClosed, *, known: bool) -> bool:
        """Whether `error` leaves hope; `known` says that the server took the token before."""
        if isinstance(error, AuthError):
            return self.retry_auth or (known and self.reconnect)
        return self.reconnect


class Keeper:
    """`make` gives a link or raises LinkError; `up` hears of its beginning, `down` of its end and the reason."""

    def __init__(
        self,
        make: Callable[[], Link],
        up: Callable[[Link], None],
        down: Callable[[Link, str], None],
        persistence: Persistence,
    ) -> None:
        self._make = make
        self._up = up
        self._down = down
        self._persistence = persistence
        self._backoff = Backoff(persistence.delay)
        self._stopping = Event()
        self._hurry = Event()
        self.made = 0
        """Links so far."""
        self.failure = ""
        """Why the last try failed, or the last link ended."""

    def stop(self) -> None:
        """`run` returns when the link has ended, and makes no other."""
        self._stopping.set()
        self._hurry.set()

    def run(self) -> None:
        """Keeps a link until `stop`. Raises the LinkError or LinkClosed that ended it for good."""
        while not self._stopping.is_set():
            try:
                self._hold(self._make())
            except (LinkError, LinkClosed) as error:
                if self._stopping.is_set():
                    return
                lost = "lost a link to the server: " if isinstance(error, LinkClosed) else ""
                self.failure = f"{lost}{error}"
                if not self._persistence.worth_retrying(error, known=self.made > 0):
                    raise
                pause = self._backoff.next()
                log.warning("%s; trying again in %.1f s", self.failure, pause)
                self._pause(pause)

    def hurry(self) -> None:
        """Somebody waits for a link: a pause ends, if it took as long as the shortest."""
        self._hurry.set()

    def _pause(self, seconds: float) -> None:
        self._hurry.clear()
        if not self._stopping.wait(min(seconds, self._backoff.first)):
            self._hurry.wait(seconds - self._backoff.first)

    def _hold(self, link: Link) -> None:
        """From the login to the end of the link, which is always LinkClosed."""
        if self._stopping.is_set():  # too late: nobody is to hear of it
            link.close(CloseCode.GOING_AWAY, "the client is stopping")
            link.run()
        self.made += 1
        self._up(link)
        since = time.monotonic()
        reason = "it was stopped"
        try:
            link.run()
        except LinkClosed as error:
            reason = str(error)
            raise
        finally:
            self._down(link, reason)
            if time.monotonic() - since >= _STEADY:
                self._backoff.reset()
