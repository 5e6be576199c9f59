"""The side that dials targets, for channels that the peer opens."""

from __future__ import annotations

import logging
from typing import Final

import gevent
from gevent.pool import Group

from linksocks.errors import Cause, DialError
from linksocks.net.egress import Egress
from linksocks.net.greenlets import name_current
from linksocks.net.sockets import shown
from linksocks.tunnel.channel import Channel
from linksocks.tunnel.relay import Relay
from linksocks.wire.messages import Connect

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for a dial with its look-up (PROTOCOL section 3.2)."""

MAX_RELAYS: Final = 16_384
"""Connections of all clients together, dials included."""

log = logging.getLogger(__name__)


class Outbound:
    """The acceptor that dials and relays, a greenlet for each channel."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._relays = Group()
        self._draining = False

    def accept(self, channel: Channel, connect: Connect) -> None:
        """Takes a stream, and returns at once."""
        if self._draining:
            channel.refuse(DialError(Cause.GENERAL, "the server is stopping"))
        elif len(self._relays) >= MAX_RELAYS:
            log.warning("refused a connection: %d are open", MAX_RELAYS)
            channel.refuse(DialError(Cause.GENERAL, "the server has too many connections"))
        else:
            relay = Relay(channel, patient=False)
            self._relays.spawn(self._serve, channel, relay, connect.host, connect.port)

    def _serve(self, channel: Channel, relay: Relay, host: str, port: int) -> None:
        target = shown((host, port))
        name_current(f"outbound {target}")
        sock = None
        try:
            sock = self._egress.dial(host, port, CONNECT_TIMEOUT)
            log.debug("connected to %s", target)
            channel.accept()
        except DialError as error:
            log.info("no connection to %s: %s", target, error)
            channel.refuse(error)
        except gevent.GreenletExit:
            channel.abort("the dial was stopped")
            if sock is not None:
                sock.close()
            raise
        else:
            relay.run(sock)

    def drain(self, timeout: float) -> None:
        """Refuses new channels, and waits `timeout` seconds at most for the last byte of those that there are."""
        self._draining = True
        self._relays.join(timeout)

    def stop(self) -> None:
        """Ends all relays; their channels break."""
        self._relays.kill()
