"""One authenticated WebSocket that carries messages: the table of its channels, and who gets which message.

`run` is the link's reader and its owner's greenlet; the WebSocket's writer is the only other greenlet that all
channels share, besides the one that closes idle channels.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import gevent
from gevent.event import Event

from linksocks.errors import Cause, DialError, FrameError, LinkClosed, MessageError
from linksocks.net.greenlets import spawn
from linksocks.net.ws.websocket import WebSocket
from linksocks.net.ws.writer import Source
from linksocks.tunnel.channels import heap
from linksocks.tunnel.channels.channel import Channel
from linksocks.tunnel.channels.datagrams import AnyChannel, DatagramChannel
from linksocks.tunnel.channels.idle import Idle
from linksocks.tunnel.channels.limits import Account
from linksocks.tunnel.channels.patience import LinkPatience
from linksocks.tunnel.channels.terms import Terms
from linksocks.wire import messages as m
from linksocks.wire.codec import pack, parse, tcp_data, version_of
from linksocks.wire.frames import CloseCode
from linksocks.wire.mask import Buffer

MAX_ASSOCIATIONS: Final = 1024
"""UDP associations of one link: each has a socket at both ends, and one client must not take all."""

TRACE: Final = 5
"""The log level of every message but Data."""

_LOG_LINES: Final = 20
"""Lines of a peer that are logged between two looks for idle channels: it must not fill our disk."""

_LEVELS: Final = {"trace": TRACE, "debug": logging.DEBUG, "warn": logging.WARNING, "error": logging.WARNING}

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Any], object]
"""Takes one kind of message."""

_C = TypeVar("_C", Channel, DatagramChannel)


class Acceptor(Protocol):
    """Takes the channels that the peer opens. The link's reader calls it, so no method may wait."""

    def accept(self, channel: Channel, connect: m.Connect) -> None:
        """A stream: the channel's sink must be set on return."""

    def accept_datagrams(self, channel: DatagramChannel, connect: m.Connect) -> None:
        """A UDP association: its sink is attached when there is a way for datagrams."""


class _Nobody:
    """The acceptor of a side that dials for nobody."""

    def accept(self, channel: AnyChannel, _connect: m.Connect) -> None:
        channel.refuse(DialError(Cause.NOT_ALLOWED, "this side does not dial"))

    accept_datagrams = accept


NOBODY: Final = _Nobody()


class Link:
    """Carries channels over `websocket`, whose login is done. `acceptor` takes the channels that the peer opens.

    `handlers` has those of messages that are not about channels, by type byte: a role adds what it knows of. To
    `account` its channels are charged; without one they are counted for nobody.
    """

    def __init__(
        self,
        websocket: WebSocket,
        terms: Terms,
        acceptor: Acceptor = NOBODY,
        handlers: Mapping[int, Handler] = MappingProxyType({}),
        account: Account | None = None,
    ) -> None:
        self.terms = terms
        self.name = websocket.name
        self._websocket = websocket
        self.alive = True
        self.patience = LinkPatience()
        self._peer_leaves = False
        self._acceptor = acceptor
        self._channels: dict[m.ChannelId, AnyChannel] = {}
        self.associations = 0  # of the channels
        self.account = account or Account()
        self._ended_traffic = 0, 0  # of channels that are forgotten
        self._ended_pauses = 0
        self._empty = Event()
        self._empty.set()
        self._handlers: dict[int, Handler] = {
            m.Connect.type: self._on_connect,
            m.Data.type: self._on_data,
            m.ConnectResponse.type: self._on_connect_response,
            m.Consumed.type: self._on_consumed,
            m.EndOfStream.type: self._on_end_of_stream,
            m.Leaving.type: self._on_leaving,
            m.Disconnect.type: self._on_disconnect,
            m.Log.type: self.show,
            **handlers,
        }
        self._log_lines = 0  # of the peer, since the last look for idle channels
        websocket.welcome(terms.max_message)

    # -- the reader

    def run(self) -> None:
        """Reads until the link ends, always with LinkClosed; by then all its channels and greenlets have ended."""
        sweeper = spawn(f"sweeper of {self.name}", self._sweep)
        self.account.tally.begin(self)
        try:
            self._dispatch(self._first())
            while True:
                self._dispatch(self._websocket.receive())
        except MessageError as error:
            self._websocket.close(CloseCode.PROTOCOL_ERROR, error.reason)
            raise LinkClosed(CloseCode.PROTOCOL_ERROR, str(error)) from error
        except FrameError as error:
            raise LinkClosed(error.code, str(error)) from error
        finally:
            self.alive = False
            sweeper.kill()
            for channel in list(self._channels.values()):
                channel.on_lost("the link was lost")
            self.account.tally.end(self)
            self._websocket.finish()
            heap.give_back()  # relays of our channels are gone by now

    def _first(self) -> Buffer:
        """The first message; from it on we speak the peer's own version (PROTOCOL section 1.6)."""
        raw = self._websocket.receive()
        self.terms = replace(self.terms, version=version_of(raw))
        return raw

    def _dispatch(self, raw: Buffer) -> None:
        data = tcp_data(raw)
        if data is not None:
            self._deliver(*data)
            return
        version_of(raw)
        handler = self._handlers.get(raw[1])
        if handler is None or not self._wants(raw):
            return  # it is not worth unpacking, let alone ending the link for
        message = parse(raw, self.terms.max_message)
        log.log(TRACE, "%s: received %r", self.name, message)
        handler(message)

    def _wants(self, raw: Buffer) -> bool:
        """Whether there is somebody for a message that has a handler."""
        if raw[1] == m.Log.type:
            return self._log_lines < _LOG_LINES
        return raw[1] != m.Data.type or len(raw) < 19 or bytes(raw[3:19]) in self._channels

    def _on_connect(self, message: m.Connect) -> None:
        known = self._channels.get(message.channel)
        if message.resume:
            # PROTOCOL section 1.3: to dial again would splice two streams.
            if known is not None:
                known.fail("channel expired")
            else:
                self.send(m.Disconnect(message.channel, "channel expired"))
            return
        if known is not None:
            raise MessageError("a channel is opened twice")
        if message.transport is m.Transport.UDP:
            association = self._add(DatagramChannel(self, message.channel, opened=False))
            if self.associations > MAX_ASSOCIATIONS:
                association.refuse(self._too_many_associations())
            elif self.account.overdrawn:
                association.refuse(self._too_many_channels())
            else:
                self._acceptor.accept_datagrams(association, message)
            return
        channel = self._add(Channel(self, message.channel))
        channel.target = message.host, message.port
        if message.transport is not m.Transport.TCP:
            channel.refuse(DialError(Cause.GENERAL, "unknown transport"))
        elif self.account.overdrawn:
            channel.refuse(self._too_many_channels())
        else:
            self._acceptor.accept(channel, message)

    def _too_many_channels(self) -> DialError:
        self.account.tally.refusals["channels"] += 1
        return DialError(Cause.NOT_ALLOWED, f"this client may have {self.account.max_channels} channels")

    def _too_many_associations(self) -> DialError:
        self.account.tally.refusals["associations"] += 1
        return DialError(Cause.NOT_ALLOWED, f"the link has {MAX_ASSOCIATIONS} UDP associations")

    def _on_data(self, message: m.Data) -> None:
        """What is not plain TCP data: a datagram, compressed, or with extensions behind it."""
        self._websocket.charge(len(message.payload))  # to unpack it takes longer than to read it
        if message.transport is m.Transport.TCP:
            self._deliver(message.channel, message.payload)
        elif message.transport is m.Transport.UDP:
            channel = self._channels.get(message.channel)
            if isinstance(channel, DatagramChannel):
                channel.on_datagram(message)

    def _deliver(self, channel_id: m.ChannelId, payload: Buffer) -> None:
        channel = self._channels.get(channel_id)
        if channel is not None:  # else it ended here and the peer does not know yet
            channel.on_data(payload)

    def _on_connect_response(self, message: m.ConnectResponse) -> None:
        channel = self._channels.get(message.channel)
        if channel is not None:
            channel.on_answer(message)

    def _on_consumed(self, message: m.Consumed) -> None:
        channel = self._channels.get(message.channel)
        if channel is not None:
            channel.on_consumed(message)

    def _on_end_of_stream(self, message: m.EndOfStream) -> None:
        channel = self._channels.get(message.channel)
        if channel is not None:
            channel.on_end()

    def _on_leaving(self, _message: m.Leaving) -> None:
        self._peer_leaves = True

    def _on_disconnect(self, message: m.Disconnect) -> None:
        channel = self._channels.get(message.channel)
        if channel is not None:
            channel.on_disconnect(message.error)

    def show(self, message: m.Log) -> None:
        """Puts a line of the peer into our log; a peer that has said too much of late is not asked here."""
        self._log_lines += 1
        log.log(_LEVELS.get(message.level, logging.INFO), "%s says: %.200r", self.name, message.message)

    # -- channels

    def open(self) -> Channel:
        """A new channel of ours; give it a sink, then connect it.

        Raises DialError when the link has ended, or the peer has all channels that it may have.
        """
        self._check_room()
        return self._add(Channel(self, uuid.uuid4().bytes))

    def open_datagrams(self) -> DatagramChannel:
        """A new UDP association of ours, to be connected. Raises DialError, also when there are too many."""
        self._check_room()
        if self.associations >= MAX_ASSOCIATIONS:
            raise self._too_many_associations()
        return self._add(DatagramChannel(self, uuid.uuid4().bytes, opened=True))

    def _check_room(self) -> None:
        if not self.alive:
            raise DialError(Cause.GENERAL, "the link was lost")
        if self.account.full:
            raise self._too_many_channels()

    def _add(self, channel: _C) -> _C:
        self._channels[channel.id] = channel
        account = self.account
        account.channels += 1
        if isinstance(channel, DatagramChannel):
            self.associations += 1
            account.tally.associations += 1
        else:
            self._empty.clear()
            account.tally.streams += 1
        if account.throttled:
            channel.sending = account.sending(channel.resume)
            channel.receiving = account.receiving(channel.grant)
        return channel

    @property
    def crowded(self) -> bool:
        """Whether more than one channel is open."""
        return len(self._channels) > 1

    @property
    def channels(self) -> int:
        """How many channels are open."""
        return len(self._channels)

    @property
    def streams(self) -> int:
        """How many of them are TCP."""
        return len(self._channels) - self.associations

    def each_channel(self) -> list[AnyChannel]:
        """Those that are open, the oldest first."""
        return list(self._channels.values())

    @property
    def traffic(self) -> tuple[int, int]:
        """Payload sent to the peer and received from it, in bytes, by all channels so far."""
        counts = [self._ended_traffic, *(channel.traffic for channel in self._channels.values())]
        return sum(sent for sent, _ in counts), sum(received for _, received in counts)

    @property
    def pauses(self) -> int:
        """How often a channel had to stop, because the other end was slower."""
        return self._ended_pauses + sum(channel.pauses for channel in self._channels.values())

    @property
    def takes_channels(self) -> bool:
        """Whether the peer has use for another channel: the link lives, and the peer does not leave."""
        return self.alive and not self._peer_leaves

    def leave(self) -> None:
        """Tells a peer that understands it to open no more channels here; those that there are go on."""
        if self.alive and self.terms.extensions.leave:
            self.send(m.Leaving())

    @property
    def takes_more(self) -> bool:
        """Whether the peer keeps up with what is not data; who does not gets nothing that can be left out."""
        return self.alive and self._websocket.takes_more

    @property
    def rtt(self) -> float | None:
        """Seconds to the peer and back, of the last ping that it answered."""
        return self._websocket.rtt

    def responsive(self, timeout: float) -> bool:
        """Whether the peer was heard in the last seconds, or answers a ping within `timeout`; False once it ends."""
        return self._websocket.responsive(timeout)

    def drained(self, timeout: float) -> bool:
        """Waits `timeout` seconds at most until no stream is open; whether that is so. Datagrams have no last one."""
        return self._empty.wait(timeout)

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Begins to end the link: `run` returns when the peer agreed or did not in time."""
        self.alive = False
        self._websocket.close(code, reason)

    def _sweep(self) -> None:
        """Closes channels that have been idle for too long."""
        idle = Idle(self.account.idle)
        while True:
            gevent.sleep(idle.pause)
            self._log_lines = 0
            heap.give_back()
            for channel in idle.overdue(self.each_channel()):
                channel.fail("idle for too long")

    # -- what channels ask of their carrier

    def send(self, message: m.Message) -> None:
        """Sends before all data that waits."""
        log.log(TRACE, "%s: sending %r", self.name, message)
        self._websocket.send(self.pack(message))

    def pack(self, message: m.Message) -> bytes:
        """The message in the version that the peer speaks."""
        return pack(message, self.terms.version)

    def offer(self, channel: Source) -> None:
        """`channel` has something to send in its turn."""
        self._websocket.offer(channel)

    def forget(self, channel: AnyChannel) -> None:
        """`channel` has ended in both directions. The writer still takes what it was offered for."""
        if self._channels.get(channel.id) is channel:  # its id may name a new one already
            del self._channels[channel.id]
            (sent, received), (more_sent, more_received) = self._ended_traffic, channel.traffic
            self._ended_traffic = sent + more_sent, received + more_received
            self._ended_pauses += channel.pauses
            self.account.channels -= 1
            if isinstance(channel, DatagramChannel):
                self.associations -= 1
        if not self.streams:
            self._empty.set()
