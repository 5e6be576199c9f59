"""Connections of the program itself: a channel each, and one end of a loopback connection in the program's hands.

Our end is relayed as an application's would be. So the holder's end is a plain TCP socket: the channel's reset is a
reset there, its end an end, and who reads slowly slows down its own target and nobody else.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import gevent
from gevent import socket

from linksocks.errors import Cause, DialError
from linksocks.net.carrier import Carrier
from linksocks.net.greenlets import Greenlet
from linksocks.net.pair import connected_pair
from linksocks.net.sockets import shown, tune
from linksocks.tunnel.channels.channel import Channel
from linksocks.tunnel.ends.passage import Passage
from linksocks.tunnel.ends.relay import Relay

log = logging.getLogger(__name__)


class Callers:
    """Those who dial through `passage`, which ends them, too."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage

    def dial(self, host: str, port: int, timeout: float | None = None) -> Carrier:
        """A connection, which is the caller's from now on.

        `timeout` is for all of it, in seconds; without one a link, a look-up and an answer have their usual time.
        Raises DialError. Where the caller is killed meanwhile, nothing is left either.
        """
        target = shown((host, port))
        late = timeout and DialError(Cause.TIMED_OUT, f"{target} was not reached in {timeout:g} s")
        with gevent.Timeout(timeout, late or None):
            asked = self._passage.pass_on(host, port)
            with self._channel() as channel:
                relay = Relay(channel, patient=True)
                log.debug("connecting to %s", target)
                channel.connect(asked, port, timeout or self._passage.answer_timeout)
                near, far = _pair()
                tune(near)
        self._spawn(relay, channel, near, target)  # from here on nothing waits
        return Carrier(far)

    @contextlib.contextmanager
    def _channel(self) -> Iterator[Channel]:
        """A channel that breaks with the block."""
        channel = self._passage.pick().open()
        try:
            yield channel
        except BaseException as error:
            channel.abort(f"the program gave up: {error}")
            raise

    def _spawn(self, relay: Relay, channel: Channel, sock: socket.socket, target: str) -> None:
        def end(_greenlet: Greenlet) -> None:
            """It may have been killed before it began."""
            channel.abort("the relay was stopped")
            sock.close()

        self._passage.busy.spawn(f"call to {target}", relay, relay.run, sock).rawlink(end)


def _pair() -> tuple[socket.socket, socket.socket]:
    """Raises DialError."""
    try:
        return connected_pair()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DialError(Cause.GENERAL, f"no connection inside of this machine: {reason}") from error
