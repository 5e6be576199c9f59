"""What happens to a tunnel, for those who want to hear of it, in any thread or in asyncio.

The hub tells a `Broadcast`, which puts each event into every `Events` that is still held by somebody. Neither waits:
an iterator that nobody reads keeps the last KEPT events.
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
        self._lock = threading.Lock()  # guards these two; held for moments
        self._waiting: deque[Event] = deque(maxlen=KEPT)
        self._readers: list[Callable[[], None]] = []  # of those who wait now
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
        if os.getpid() != self._process:
            raise ForkedError("these are the events of a tunnel of another process: make another tunnel here")
        with self._lock:
            self._readers.append(call)
        try:
            yield
        finally:
            with self._lock:
                self._readers.remove(call)

    def _take(self) -> Event | None:
        """The next one, if it is there."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def put(self, event: Event) -> None:
        """One more."""
        with self._lock:
            self._waiting.append(event)
        self._call_readers()

    def end(self) -> None:
        """There are no more."""
        self._ended = True
        self._call_readers()

    def _call_readers(self) -> None:
        with self._lock:
            readers = list(self._readers)
        for call in readers:
            call()


class Broadcast:
    """To all that have subscribed and are still there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: weakref.WeakSet[Events] = weakref.WeakSet()
        self._ended = False

    def subscribe(self) -> Events:
        """From now on; after the end it has ended, too."""
        events = Events()
        with self._lock:
            self._all.add(events)
            ended = self._ended
        if ended:
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
        with self._lock:
            return list(self._all)


def _wake(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(news.set)
    except RuntimeError:  # the loop is closed, and with it the reader
        return
