"""Keeps one link to a server: makes it, holds it until it ends, and after a pause begins anew."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gevent.event import Event

from linksocks.client import backoff
from linksocks.errors import AuthError, LinkClosed, LinkError
from linksocks.tunnel.link import Link

_STEADY: Final = 10.0
"""Seconds after which a link counts as good: a server that takes us and drops us at once is not asked each second."""

log = logging.getLogger("linksocks.client")


@dataclass(frozen=True, slots=True)
class Persistence:
    """When to try again: after a lost link or a failed try, and after a refused token.

    A token that was good once may be so again: a provider's connector tokens come and go with it.
    """

    reconnect: bool
    retry_auth: bool

    def worth_retrying(self, error: LinkError | LinkClosed, *, known: bool) -> bool:
        """Whether `error` leaves hope; `known` says that the server took the token before."""
        if isinstance(error, AuthError):
            return self.retry_auth or (known and self.reconnect)
        return self.reconnect


def _told(error: LinkError | LinkClosed) -> str:
    return f"lost a link to the server: {error}" if isinstance(error, LinkClosed) else str(error)


class Keeper:
    """`make` gives a link or raises LinkError; `up` and `down` hear of its beginning and its end."""

    def __init__(
        self,
        make: Callable[[], Link],
        up: Callable[[Link], None],
        down: Callable[[Link], None],
        persistence: Persistence,
    ) -> None:
        self._make = make
        self._up = up
        self._down = down
        self._persistence = persistence
        self._backoff = backoff.Backoff()
        self._stopping = Event()
        self._hurry = Event()
        self.made = 0
        """Links so far."""

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
                if not self._persistence.worth_retrying(error, known=self.made > 0):
                    raise
                pause = self._backoff.next()
                log.warning("%s; trying again in %.1f s", _told(error), pause)
                self._pause(pause)

    def hurry(self) -> None:
        """Somebody waits for a link: a pause ends, if it took as long as the shortest."""
        self._hurry.set()

    def _pause(self, seconds: float) -> None:
        self._hurry.clear()
        if not self._stopping.wait(min(seconds, backoff.FIRST)):
            self._hurry.wait(seconds - backoff.FIRST)

    def _hold(self, link: Link) -> None:
        """From the login to the end of the link, which is always LinkClosed."""
        self.made += 1
        self._up(link)
        since = time.monotonic()
        try:
            link.run()
        finally:
            self._down(link)
            if time.monotonic() - since >= _STEADY:
                self._backoff.reset()
