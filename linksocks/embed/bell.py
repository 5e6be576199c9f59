"""How other threads have something run in a hub's loop.

Not by gevent's `run_callback_threadsafe`: it counts each callback among what keeps libev's loop alive, in a plain
integer, which the loop changes at the same time without the GIL. With gevent 26.9 a million of them left that count
at -17; and a loop whose count is 0 ends, whatever it had to do. `ev_async_send` is made for other threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from gevent.hub import Hub


class Bell:
    """Of one hub. It does not keep the loop alive."""

    def __init__(self, hub: Hub) -> None:
        self._tasks: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._watcher = hub.loop.async_(ref=False)
        self._watcher.start(self._answer)

    def ring(self, run: Callable[..., object], *args: Any) -> None:
        """Has `run(*args)` called in the hub's greenlet, in the order of the rings. It must not wait.

        From any thread, and takes no lock. Raises when the loop was destroyed.
        """
        self._tasks.append((run, args))
        self._watcher.send()

    def _answer(self) -> None:
        while self._tasks:
            run, args = self._tasks.popleft()
            try:
                run(*args)
            except BaseException:
                self._watcher.send()  # for the rest
                raise


_bells: WeakKeyDictionary[Hub, Bell] = WeakKeyDictionary()


def bell_of(hub: Hub) -> Bell:
    """The one of `hub`, in whose thread this is called the first time."""
    bell = _bells.get(hub)
    if bell is None:
        bell = _bells[hub] = Bell(hub)
    return bell
