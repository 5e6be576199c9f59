"""What all ways in to the same links share, whether an application comes by a port or is the program itself: which
link its channel gets, what the access rules say to its target, and who is busy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from linksocks.errors import Cause, DialError, NoLinkError
from linksocks.tunnel.channels.channel import Channel
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.ends.busy import Busy
from linksocks.tunnel.ends.outbound import CONNECT_TIMEOUT, answer_timeout
from linksocks.tunnel.gate import Gate


class Passage:
    """`pick_link` gives the link for a new channel; it may wait, or raise DialError.

    What does not get through `gate` is refused here. The other end may take `connect_timeout` seconds for a dial.
    """

    def __init__(
        self,
        pick_link: Callable[[], Link],
        gate: Gate | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        self.gate = gate
        self.answer_timeout = answer_timeout(connect_timeout)
        """Seconds to wait for an answer."""
        self.busy = Busy()
        self._pick_link = pick_link
        self._draining = False

    def pass_on(self, host: str, port: int) -> str:
        """The host to ask the other end for. Raises DialError where it may not be reached."""
        return self.gate.pass_on(host, port) if self.gate else host

    def pick(self) -> Link:
        """The link for a new channel. Raises NoLinkError."""
        if self._draining:
            raise NoLinkError(Cause.GENERAL, "this side is stopping")
        try:
            return self._pick_link()
        except DialError as error:
            raise NoLinkError(error.cause, str(error)) from error

    @contextmanager
    def channel(self) -> Iterator[Channel]:
        """A channel for a new stream; during the block this greenlet is busy. Raises DialError."""
        channel = self.pick().open()
        with self.busy.working():
            yield channel

    def drain(self, grace: float) -> None:
        """Opens no channels any more, and gives those that there are time: see Busy. Associations have no last byte:
        nobody waits for them."""
        self._draining = True
        self.busy.drain(grace)

    def stop(self) -> None:
        """Ends all streams."""
        self.busy.kill()
