"""The side that dials targets, for channels that the peer opens."""

from __future__ import annotations

import logging
import time
from typing import Final, cast

import gevent
from gevent import socket
from gevent.event import Event

from linksocks.errors import Cause, DialError
from linksocks.net.greenlets import Greenlet, Group, name_current
from linksocks.net.out.egress import Datagrams, Egress
from linksocks.net.out.judge import Judge
from linksocks.net.out.resolve import look_up_for
from linksocks.net.sockets import shown
from linksocks.tunnel.access import NO_RULES, AccessRules, judge_of
from linksocks.tunnel.channels.channel import Channel
from linksocks.tunnel.channels.datagrams import DatagramChannel
from linksocks.tunnel.channels.limits import MAX_RELAYS
from linksocks.tunnel.channels.tally import Dials
from linksocks.tunnel.ends.busy import Busy
from linksocks.tunnel.ends.relay import Relay
from linksocks.tunnel.gate import Gate
from linksocks.wire.mask import Buffer
from linksocks.wire.messages import Connect

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for a dial with its look-up, where nobody says otherwise (PROTOCOL section 3.2)."""

_WAY: Final = 5.0
"""Seconds for a request's way to the side that dials and its answer's way back, beside the dial."""

log = logging.getLogger(__name__)


def answer_timeout(connect_timeout: float) -> float:
    """Seconds for an answer where the side that dials has that many for it (PROTOCOL section 3.2)."""
    return connect_timeout + _WAY


class Outbound:
    """The acceptor that dials and relays, a greenlet for each channel.

    `rules` hold for all targets, and those of the gate that a channel came through hold too. They may be replaced at
    any time: what was begun before goes on. A dial with its look-up takes `connect_timeout` seconds at most.
    """

    def __init__(
        self, egress: Egress, rules: AccessRules = NO_RULES, connect_timeout: float = CONNECT_TIMEOUT
    ) -> None:
        self.rules = rules
        self.dials = Dials()
        self._egress = egress
        self._connect_timeout = connect_timeout
        self._relays = Busy()
        self._associations = Group()
        self._draining = False

    def accept(self, channel: Channel, connect: Connect, gate: Gate | None = None) -> None:
        """Takes a stream, and returns at once."""
        if self._has_room(channel):
            relay = Relay(channel, patient=False)
            target = connect.host, connect.port
            name = f"outbound {shown(target)}"
            self._relays.spawn(name, relay, self._serve, channel, relay, *target, self._judge(gate))

    def accept_datagrams(self, channel: DatagramChannel, _connect: Connect, gate: Gate | None = None) -> None:
        """Takes a UDP association, and returns at once."""
        if self._has_room(channel):
            self._associations.spawn(self._serve_datagrams, channel, self._judge(gate))

    def _judge(self, gate: Gate | None) -> Judge | None:
        return judge_of(self.rules, gate.rules if gate else NO_RULES)

    def _has_room(self, channel: Channel | DatagramChannel) -> bool:
        """Whether one more may begin; else it is refused."""
        if self._draining:
            channel.refuse(DialError(Cause.GENERAL, "the side that dials is stopping"))
            return False
        if len(self._relays) + len(self._associations) >= MAX_RELAYS:
            log.warning("refused a connection: %d are open", MAX_RELAYS)
            self.dials.failures["too_many"] += 1
            channel.refuse(DialError(Cause.GENERAL, "the side that dials has too many connections"))
            return False
        return True

    def _serve(self, channel: Channel, relay: Relay, host: str, port: int, judge: Judge | None) -> None:
        target = shown((host, port))
        look_up_for(channel.client)
        sock = None
        try:
            sock = self._dial(channel, relay, host, port, judge)
            log.debug("connected to %s", target)
            channel.accept()
        except DialError as error:
            log.info("no connection to %s: %s", target, error)
            self.dials.failures[error.cause.name.lower()] += 1
            channel.refuse(error)
        except gevent.GreenletExit:
            channel.abort("the dial was stopped")
            if sock is not None:
                sock.close()
            raise
        else:
            relay.run(sock)

    def _dial(
        self, channel: Channel, relay: Relay, host: str, port: int, judge: Judge | None
    ) -> socket.socket:
        """A connection; a channel that ends meanwhile ends this greenlet. Raises DialError."""
        current = cast(Greenlet, gevent.getcurrent())

        def on_gone(_gone: Event) -> None:
            if not relay.wanted:
                current.kill(block=False)

        began = time.monotonic()
        channel.gone.rawlink(on_gone)
        try:
            sock = self._egress.dial(host, port, self._connect_timeout, judge)
        finally:
            channel.gone.unlink(on_gone)
        self.dials.latency.add(time.monotonic() - began)
        return sock

    def _serve_datagrams(self, channel: DatagramChannel, judge: Judge | None) -> None:
        name_current(f"outbound UDP {channel.id.hex()[:8]}")
        look_up_for(channel.client)
        try:
            datagrams = self._egress.open_datagrams(self._connect_timeout, judge)
        except DialError as error:
            log.info("no way for datagrams: %s", error)
            channel.refuse(error)
            return
        except gevent.GreenletExit:
            channel.end("the association was stopped")
            raise
        try:
            channel.accept()
            channel.attach(_Exit(datagrams, cast(Greenlet, gevent.getcurrent())))
            while True:
                channel.send(*datagrams.receive())
        except DialError as error:
            channel.end(str(error))
        finally:
            datagrams.close()
            channel.end("the association was stopped")

    def drain(self, grace: float) -> None:
        """Refuses new channels, and gives streams time for their last byte: see Busy.

        Associations have none: they go on until `stop`.
        """
        self._draining = True
        self._relays.drain(grace)

    def stop(self) -> None:
        """Ends all relays and associations; their channels break."""
        self._relays.kill()
        self._associations.kill()


class _Exit:
    """The sink of an association: its datagrams leave here. Its greenlet is the one that receives the answers."""

    def __init__(self, datagrams: Datagrams, greenlet: Greenlet) -> None:
        self._datagrams = datagrams
        self._greenlet = greenlet

    def deliver(self, payload: Buffer, host: str, port: int) -> None:
        self._datagrams.send(payload, host, port)

    def deliver_end(self, reason: str) -> None:
        log.debug("a UDP association ended: %s", reason)
        self._greenlet.kill(block=False)
