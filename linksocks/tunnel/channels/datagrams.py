"""One UDP association inside a link: datagrams both ways, each with the address of its other end.

A channel stands between a *sink*, the local end, and a *carrier*, the link. The side of the application opened it:
what it sends has a target, what comes back has a source.

There is no flow control and no order to keep: where a link is slower than its datagrams, new ones are dropped and
counted, as UDP does. So an association can hold up neither the link nor its streams, and holds a bounded number of
bytes. Nothing here waits but `connect`.

======== ====================================== ========================================
state    what holds                             becomes
======== ====================================== ========================================
OPEN     datagrams go both ways                 ENDING by `end`, ENDED by the peer, the link or `refuse`
ENDING   what waits goes out, none comes in     ENDED when Disconnect is out, or by the peer or the link
ENDED    the carrier has forgotten it           -
======== ====================================== ========================================

What comes before the sink is attached is kept, within the same bounds: an application need not wait for the answer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Final, Generic, Protocol, TypeAlias, TypeVar, cast

from linksocks.errors import DialError
from linksocks.net.out.drops import Drops
from linksocks.net.ws.writer import Source
from linksocks.tunnel.channels.asking import Asking, refusal
from linksocks.tunnel.channels.channel import Channel
from linksocks.tunnel.channels.limits import Account
from linksocks.tunnel.channels.rate import Throttle
from linksocks.tunnel.channels.terms import Terms
from linksocks.wire.mask import Buffer
from linksocks.wire.messages import (
    Address,
    ChannelId,
    Connect,
    ConnectResponse,
    Consumed,
    Data,
    Disconnect,
    Message,
    Transport,
)

MAX_QUEUED_BYTES: Final = 256 * 1024
"""What waits for the link at most, about what Linux holds for a UDP socket: more would only be late."""

MAX_QUEUED: Final = 1024
"""The same in datagrams: an empty one takes memory too."""

_T = TypeVar("_T")


class DatagramSink(Protocol):
    """The local end of an association. The link's reader calls it, so no method may wait."""

    def deliver(self, payload: Buffer, host: str, port: int) -> None:
        """One datagram; the buffer is valid during the call."""

    def deliver_end(self, reason: str) -> None:
        """The association has ended, and not by this side."""


class Onward(Protocol):
    """Takes datagrams on their way."""

    def send(self, payload: Buffer, host: str, port: int) -> None: ...


class Carrier(Protocol):
    """What an association asks of its link."""

    account: Account
    terms: Terms
    name: str

    def send(self, message: Message) -> None: ...
    def pack(self, message: Message) -> bytes: ...
    def offer(self, channel: Source) -> None: ...
    def forget(self, channel: DatagramChannel) -> None: ...


class State(Enum):
    """See the table at the top of this module."""

    OPEN = "open"
    ENDING = "ending"
    ENDED = "ended"


class DatagramChannel:
    """See the top of this module. `opened`: by us, so that the application is on our side."""

    def __init__(self, carrier: Carrier, channel_id: ChannelId, *, opened: bool) -> None:
        self.id = channel_id
        self.queued = False  # of net.writer.Source
        self.target: Address | None = None  # each datagram has its own
        self.began = time.monotonic()
        self.drops = Drops(f"UDP association {channel_id.hex()[:8]} of {carrier.name}")
        self._carrier = carrier
        self._opened = opened
        self._state = State.OPEN
        self._reason = ""  # why it ends
        self._sink: DatagramSink | None = None
        self._early: _Queue[tuple[bytes, Address]] = _Queue()  # empty once there is a sink
        self._outgoing: _Queue[bytes] = _Queue()  # whole messages
        self._moved = 0  # datagrams, both ways
        self._sent = 0  # bytes of payload
        self._received = 0
        self._asking: Asking | None = None  # while we wait for an answer
        self.sending: Throttle | None = None
        self.receiving: Throttle | None = None

    # -- opening

    def connect(self, timeout: float) -> None:
        """Asks the peer for an association and waits for its answer, `timeout` seconds.

        Raises DialError; the channel has ended then.
        """
        self._asking = Asking("UDP request")
        self._carrier.send(Connect(self.id, transport=Transport.UDP))
        try:
            self._asking.wait(timeout, self.end)
        finally:
            self._asking = None

    def accept(self) -> None:
        """Tells the peer that datagrams are welcome."""
        if self._state is State.OPEN:
            self._carrier.send(ConnectResponse(True, self.id))

    def refuse(self, error: DialError) -> None:
        """Tells the peer that there is no way for datagrams, and ends the channel."""
        if self._state is State.OPEN:
            self._carrier.send(refusal(self.id, error, self._carrier.terms))
            self._close(str(error))

    def attach(self, sink: DatagramSink) -> None:
        """From now on what comes goes to `sink`, beginning with what has come already, the end included."""
        for payload, (host, port) in self._early.take_all():
            sink.deliver(payload, host, port)
        if self._state is State.ENDED:
            sink.deliver_end(self._reason)
        else:
            self._sink = sink

    # -- the local end sends

    def send(self, payload: Buffer, host: str, port: int) -> None:
        """Sends a datagram to, or from, `host:port`, or drops it."""
        if self._state is not State.OPEN:
            return
        if self._opened:
            message = Data(self.id, cast(bytes, payload), Transport.UDP, target=(host, port))
        else:
            message = Data(self.id, cast(bytes, payload), Transport.UDP, source=(host, port))
        try:
            raw = self._carrier.pack(message)
        except ValueError:
            self.drops.add("its address does not fit a message")
            return
        if self.sending is not None and not self._may_move(self.sending, len(payload)):
            return
        if self._outgoing.put(raw, len(raw)):
            self._sent += len(payload)
            self._carrier.offer(self)
        else:
            self.drops.add("the link is slower than its datagrams")

    def end(self, reason: str = "") -> None:
        """Ends the channel after what was sent. The sink is not told."""
        if self._state is State.OPEN:
            self._state = State.ENDING
            self._reason = reason
            self._carrier.offer(self)

    # -- the link's writer takes

    @property
    def pending(self) -> bool:
        """Whether there is more to take."""
        return bool(self._outgoing) or self._state is State.ENDING

    def take(self, limit: int) -> Sequence[Buffer] | None:
        """The next message on the wire: a datagram, or the end."""
        if self._outgoing:
            self._moved += 1
            return [self._outgoing.take()]
        if self._state is State.ENDING:
            self._close(self._reason)
            return [self._carrier.pack(Disconnect(self.id, self._reason))]
        return None

    # -- the link's reader reports what came

    def on_datagram(self, message: Data) -> None:
        """A datagram."""
        address = message.source if self._opened else message.target
        if self._state is not State.OPEN:
            return
        self._moved += 1
        self._received += len(message.payload)
        if self.receiving is not None and not self._may_move(self.receiving, len(message.payload)):
            return
        if self._sink is not None:
            self._sink.deliver(message.payload, *address)
        elif not self._early.put((bytes(message.payload), address), len(message.payload)):
            self.drops.add("too many came before their way out was open")

    def _may_move(self, throttle: Throttle, count: int) -> bool:
        """Above its rate a datagram is dropped: none waits."""
        if throttle.debt:
            self.drops.add("they are more than the rate limit allows")
            return False
        throttle.spend(count)
        return True

    def on_answer(self, answer: ConnectResponse) -> None:
        """The peer's answer. One that nobody waits for any more is dropped, unless it says no."""
        if self._asking is not None and self._asking.open:
            self._asking.give(answer)
            if not answer.success:
                self._close(answer.error)
        elif not answer.success:
            self.on_lost(answer.error)

    def on_disconnect(self, error: str) -> None:
        """The peer has ended it."""
        self.on_lost(error or "the peer has ended the association")

    def on_lost(self, reason: str) -> None:
        """The channel is gone: the peer ended it, or the link is lost."""
        sink = self._sink if self._state is State.OPEN else None
        if self._state is not State.ENDED:
            self._close(reason)
        if sink is not None:
            sink.deliver_end(reason)

    def fail(self, reason: str) -> None:
        """Ends the channel, for both sides."""
        sink = self._sink if self._state is State.OPEN else None
        self.end(reason)
        if sink is not None:
            sink.deliver_end(reason)

    def on_data(self, payload: Buffer) -> None:
        """Bytes of a stream: none of ours."""
        self.drops.add("a stream's data came for it")

    def on_consumed(self, message: Consumed) -> None:
        """Only streams have flow control."""

    def on_end(self) -> None:
        """Only streams have half an end."""

    def grant(self) -> None:
        """Only streams wait; above a rate, datagrams are dropped."""

    resume = grant
    pauses = 0

    def activity(self) -> tuple[int, ...]:
        """Changes with every datagram."""
        return (self._moved,)

    @property
    def client(self) -> object:
        """The same for all channels of one client, on all its links."""
        return self._carrier.account

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes sent to the peer and received from it; what still waits for the link counts as sent."""
        return self._sent, self._received

    # -- ending

    def _close(self, reason: str) -> None:
        self._state = State.ENDED
        self._reason = reason
        self._sink = None  # two joined channels hold each other
        self._outgoing.take_all()
        if self._asking is not None and self._asking.open:
            self._asking.give(ConnectResponse(False, self.id, reason))
        self.drops.sum_up()
        self._carrier.forget(self)


AnyChannel: TypeAlias = Channel | DatagramChannel
"""What a link carries."""


def join(one: DatagramChannel, other: DatagramChannel, gated: Onward | None = None) -> None:
    """What comes on one goes out on the other, the ends included; `gated` stands before the latter's `send`."""
    one.attach(_Passage(other, gated or other))
    other.attach(_Passage(one, one))


class _Passage:
    """The sink of a channel whose other end is a channel."""

    def __init__(self, onward: DatagramChannel, gated: Onward) -> None:
        self._onward = onward
        self._gated = gated

    def deliver(self, payload: Buffer, host: str, port: int) -> None:
        self._gated.send(payload, host, port)

    def deliver_end(self, reason: str) -> None:
        self._onward.end(reason)


class _Queue(Generic[_T]):
    """Waiting datagrams, within the bounds."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[_T, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: _T, size: int) -> bool:
        """Whether there was room for one more."""
        if len(self._waiting) >= MAX_QUEUED or self._bytes + size > MAX_QUEUED_BYTES:
            return False
        self._waiting.append((item, size))
        self._bytes += size
        return True

    def take(self) -> _T:
        item, size = self._waiting.popleft()
        self._bytes -= size
        return item

    def take_all(self) -> list[_T]:
        return [self.take() for _ in range(len(self._waiting))]
