"""What happens to a tunnel, for those who want to hear of it, in any thread or in asyncio.

The hub tells a `Broadcast`, which puts each event into every `Events` that is still held by somebody. Neither waits:
an iterator that nobody reads keeps the last KEPT events.

There are no locks: one that another thread holds at a fork stays locked in the child for good. Each look at a set or
a queue, and each change of it, is one step of the interpreter.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, Self

from linksocks.errors import ForkedError
from linksocks.tunnel.events import Event

KEPT: Final = 1024
"""Events that wait for a reader; the oldest go first."""


class Events:
    """An iterator of events, for `for` and for `async for`; it waits for the next one, and ends with the tunnel.

    It may be read by several threads: each event goes to one of them.
    """

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque(maxlen=KEPT)
        self._readers: set[Callable[[], None]] = set()  # of those who wait now
        self._ended = False
        self._process = os.getpid()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while True:
            news = threading.Event()
            with self._reader(news.set):
                ended, event = self._ended, self._take()  # in this order: the last event is before the end
                if event is not None:
                    return event
                if ended:
                    raise StopIteration
                news.wait()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        loop = asyncio.get_running_loop()
        while True:
            news = asyncio.Event()
            with self._reader(partial(_wake, loop, news)):
                ended, event = self._ended, self._take()  # in this order: the last event is before the end
                if event is not None:
                    return event
                if ended:
                    raise StopAsyncIteration
                await news.wait()

    @contextmanager
    def _reader(self, call: Callable[[], None]) -> Iterator[None]:
        """Inside, `call` is called at each event and at the end, from any thread."""
        if not self.of_this_process:
            raise ForkedError("these are the events of a tunnel of another process: make another tunnel here")
        self._readers.add(call)
        try:
            yield
        finally:
            self._readers.discard(call)

    def _take(self) -> Event | None:
        """The next one, if it is there."""
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    @property
    def of_this_process(self) -> bool:
        """Else its readers are threads that the fork left in the parent, and they may hold locks of theirs."""
        return os.getpid() == self._process

    def put(self, event: Event) -> None:
        """One more."""
        self._waiting.append(event)
        self._call_readers()

    def end(self) -> None:
        """There are no more."""
        self._ended = True
        self._call_readers()

    def _call_readers(self) -> None:
        for call in list(self._readers):
            call()


class Broadcast:
    """To all that have subscribed and are still there."""

    def __init__(self) -> None:
        # No WeakSet, which takes many steps to look at.
        self._all: set[weakref.ref[Events]] = set()
        self._ended = False

    def subscribe(self) -> Events:
        """From now on; after the end it has ended, too."""
        events = Events()
        self._all.add(weakref.ref(events, self._all.discard))
        if self._ended:  # `end` may not have seen it
            events.end()
        return events

    def tell(self, event: Event) -> None:
        """For a role's observers."""
        for events in self._subscribed():
            events.put(event)

    def end(self) -> None:
        """The tunnel is closed."""
        self._ended = True
        for events in self._subscribed():
            events.end()

    def _subscribed(self) -> list[Events]:
        found = [reference() for reference in list(self._all)]
        return [events for events in found if events is not None and events.of_this_process]


def _wake(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(news.set)
    except RuntimeError:  # the loop is closed, and with it the reader
        return
