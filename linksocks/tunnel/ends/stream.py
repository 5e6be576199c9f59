"""A channel as a stream to read from: for who must look at what comes, where a relay would pass it on unseen.

The link's reader delivers, the owner's greenlet reads. What was read counts as consumed with the next `read`: by then
the owner has passed it on, so an application that takes nothing stops its target as it does through a relay, and what
waits here never exceeds the channel's window.
"""

from __future__ import annotations

from typing import Final

from gevent.event import Event

from linksocks.errors import ChannelError
from linksocks.net.greenlets import Greenlet, give_way, spawn_later
from linksocks.tunnel.channels.channel import Channel, End
from linksocks.tunnel.ends.relay import LINGER, STALLED
from linksocks.wire.mask import Buffer

_READ: Final = 64 * 1024


class Stream:
    """The sink of `channel`."""

    def __init__(self, channel: Channel) -> None:
        channel.sink = self
        self._channel = channel
        self._waiting = bytearray()
        self._read = 0  # bytes that the last `read` returned
        self._news = Event()  # something was delivered
        self._end: End | None = None
        self._broken = ""
        self._closed = False
        self._lingerer: Greenlet | None = None  # alive from `close` to the peer's end

    def read(self) -> bytes:
        """The next bytes; none at the end. Raises ChannelError for a broken stream, TimeoutError for a stalled one.

        Stalled is a channel on which no byte moves for STALLED seconds in either direction.
        """
        if self._read:
            self._channel.consumed(self._read)
            self._read = 0
            give_way()  # a whole window for an application that takes all would hold up the hub
        before = None
        while not (self._waiting or self._end or self._broken):
            self._news.clear()
            if not self._news.wait(STALLED) and before == (before := self._channel.activity()):
                raise TimeoutError(f"no byte moved for {STALLED:g} s")
        if self._broken:
            raise ChannelError(self._broken)
        if not self._waiting and self._end is End.CUT:
            raise ChannelError("whether the target had said all, nobody knows")
        data = bytes(self._waiting[:_READ])
        del self._waiting[:_READ]
        self._read = len(data)
        return data

    def close(self) -> None:
        """Ends a channel whose streams are whole. A peer that does not end its direction soon is cut off."""
        self._closed = True
        self._channel.consumed(self._read + len(self._waiting))
        self._read = 0
        self._waiting.clear()
        self._channel.finish()
        if not (self._end or self._broken):
            name = f"linger {self._channel.id.hex()[:8]}"
            self._lingerer = spawn_later(name, LINGER, self._channel.abort, "the target did not close")

    # -- the sink's side: called by the link's reader, never waits

    def deliver(self, payload: Buffer) -> None:
        if self._closed:
            self._stop_lingering()
            self._channel.abort("more than was asked for")
            return
        self._waiting += payload
        self._news.set()

    def deliver_end(self, end: End) -> None:
        self._end = end
        self._stop_lingering()
        self._news.set()

    def deliver_reset(self, reason: str) -> None:
        self._broken = reason
        self._waiting.clear()
        self._stop_lingering()
        self._news.set()

    def _stop_lingering(self) -> None:
        if self._lingerer is not None:
            self._lingerer.kill(block=False)
            self._lingerer = None
