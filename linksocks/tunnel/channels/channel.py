"""One proxied stream inside a link: what is on the way in each direction, and how each of them ends.

A channel stands between a *sink*, the local end (a relay with its socket), and a *carrier*, the link. It holds one
chunk at most that waits to be sent; the sink holds what its socket has not taken yet, and a window bounds that.

**Flow control.** With the flow extension, each side sends at most the window that the other granted, counted in total
bytes since the channel began. The receiver grants more as its sink consumes, and a larger window while the sink keeps
up, so a slow consumer stops its own producer and nobody else. A foreign peer has no credits: when its channel's
backlog is full, the link's reader waits as long as tunnel.patience allows, and then this one channel is broken. All
channels of a link together hold it up for PATIENCE in a minute at most, those that keep up not counted.

**Memory.** What waits at sinks is counted for the client, on all its links: more than MAX_KEPT holds up the link of a
foreign peer, and the channel with the most is broken when patience ends; peers of ours get small windows from half of
it on. Until the target has answered, nobody may send more than the first window.

**Rates.** What is sent waits for its rate as for credit. What is received counts when it was consumed: the grant for
more comes later, so the producer is slowed. A foreign peer can only be slowed with its whole link.

**Ends.** Each direction ends by itself where half-close is agreed:

=========================================== ============= ===============================================
what happens                                ends          who learns of it
=========================================== ============= ===============================================
`finish()`, all is sent; half-close         outgoing      the peer: EndOfStream
`finish()`, all is sent; no half-close      both          the peer: Disconnect; the sink: End.CUT
`close()`, all is sent                      both          the peer: Disconnect
`close(reason)`, all is sent                both, broken  the peer: Disconnect with the reason
EndOfStream came                            incoming      the sink: End.WHOLE
Disconnect came, clean                      both          the sink: End.CLOSED
Disconnect came, any other                  both, broken  the sink: reset
`abort()`, `fail()`; last words are sent    both, broken  the peer: Disconnect with the reason; by `fail` the sink
the link is lost                            both, broken  the sink: reset
full too long, see tunnel.patience          both, broken  the peer: Disconnect with the reason; the sink: reset
=========================================== ============= ===============================================

Last words are what waits for nothing but its turn, as a server's answer right before its reset; what else waits is
dropped. From `close` on nothing more is delivered. A channel that has ended in both directions is forgotten by its
carrier at once, and `gone` is set.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import Enum
from typing import Final, Protocol

import gevent
from gevent.event import Event

from linksocks.errors import ChannelError, DialError, MessageError
from linksocks.tunnel.channels.asking import Asking, refusal
from linksocks.tunnel.channels.limits import MAX_KEPT, Account
from linksocks.tunnel.channels.patience import ChannelPatience, LinkPatience
from linksocks.tunnel.channels.rate import Throttle
from linksocks.tunnel.channels.terms import Terms
from linksocks.wire.codec import data_header
from linksocks.wire.mask import Buffer
from linksocks.wire.messages import (
    Address,
    ChannelId,
    Connect,
    ConnectResponse,
    Consumed,
    Disconnect,
    EndOfStream,
    Message,
)

HASTE: Final = 0.005
"""Seconds between the ConnectResponse and the first Data to a peer that would lose it; 1 ms was enough in 3 of 3."""

_LOOK: Final = 1.0
"""Seconds after which a reader that is held up looks whether its link is to end."""

_CLEAN: Final = frozenset({"", "EOF"})
"""Texts in a Disconnect that say that the stream is whole; LinkSocks (Go) sends its io.EOF."""


class End(Enum):
    """How the incoming direction ended, where it did not break."""

    WHOLE = "the peer has said all, and listens on"
    CLOSED = "the peer has said all, and takes no more"
    CUT = "we had to end both directions: whether the peer had said all, nobody knows"


class Sink(Protocol):
    """The local end of a channel. The link's reader calls it for all its channels, so no method may wait."""

    def deliver(self, payload: Buffer) -> None:
        """More of the stream; the buffer is valid during the call. `Channel.consumed` must follow in time."""

    def deliver_end(self, end: End) -> None:
        """Nothing more will be delivered."""

    def deliver_reset(self, reason: str) -> None:
        """The stream is broken in both directions."""


class Carrier(Protocol):
    """What a channel asks of its link."""

    account: Account
    terms: Terms
    patience: LinkPatience
    alive: bool

    @property
    def crowded(self) -> bool: ...

    def send(self, message: Message) -> None: ...
    def pack(self, message: Message) -> bytes: ...
    def offer(self, channel: Channel) -> None: ...
    def forget(self, channel: Channel) -> None: ...


class Channel:
    """See the top of this module. `sink` must be set before the channel is connected or accepted."""

    sink: Sink

    def __init__(self, carrier: Carrier, channel_id: ChannelId) -> None:
        self.id = channel_id
        self.queued = False  # of net.writer.Source
        self.target: Address | None = None  # what the side that opened it asked for
        self.began = time.monotonic()
        self._carrier = carrier
        terms = carrier.terms
        self.half_close = terms.extensions.half_close
        self.flow = terms.extensions.window > 0

        self._outgoing: Buffer = b""  # the chunk that waits for its turn or for credit
        self._room = Event()  # _outgoing is empty, or the channel is broken
        self._sent = 0
        self._limit = terms.extensions.window  # _sent may grow up to here
        self._farewell: EndOfStream | Disconnect | None = None  # it follows when _outgoing is out
        self._outgoing_ended = False
        self._held = False  # nothing may follow our request before its answer

        self._window = terms.first_window  # for a foreign peer, until the target has answered
        self._received = 0
        self._consumed = 0
        self._kept = 0  # what the account knows of the difference
        self._dropped = False  # nobody will take the rest
        self._reported = 0  # of _consumed, what the peer knows
        self._incoming_ended = False
        self._slack: Event | None = None  # set when the sink consumed something; only while the reader waits
        self._patience = ChannelPatience(carrier.patience)

        self.pauses = 0
        """How often it had something to send and no credit, or held up its link."""
        self.sending: Throttle | None = None
        self.receiving: Throttle | None = None
        self.gone = Event()
        """Set when both directions have ended."""
        self._broken = ""
        self._asking: Asking | None = None  # while we wait for an answer

    # -- opening

    def connect(self, host: str, port: int, timeout: float) -> None:
        """Asks the peer to dial and waits for its answer, `timeout` seconds. Raises DialError."""
        self.begin(host, port)
        self.await_answer(timeout)

    def begin(self, host: str, port: int) -> None:
        """Asks the peer to dial; `await_answer` must be called.

        What is sent from now on follows the request at once, or waits for the answer where it would be lost.
        """
        self._asking = Asking("connect request")
        self._held = self._carrier.terms.early_data_is_lost
        self.target = host, port
        self._carrier.send(Connect(self.id, host, port))

    def await_answer(self, timeout: float) -> None:
        """Waits `timeout` seconds for the peer's answer to `begin`. Raises DialError; the channel is broken then."""
        assert self._asking is not None
        try:
            self._asking.wait(timeout, self.abort)
        finally:
            self._asking = None

    @property
    def _unanswered(self) -> Asking | None:
        """What we asked, while the peer may still answer it."""
        return self._asking if self._asking is not None and self._asking.open else None

    def accept(self) -> None:
        """Tells the peer that its target was reached; data may follow."""
        if not (self._broken or self._ended):
            self._widen()
            self._carrier.send(ConnectResponse(True, self.id))
            if self._carrier.terms.hasty_data_is_lost:
                gevent.sleep(HASTE)

    def refuse(self, error: DialError) -> None:
        """Tells the peer that its target was not reached, and ends the channel."""
        if not (self._broken or self._ended):
            self._carrier.send(refusal(self.id, error, self._carrier.terms))
            self._break(str(error))
        self._drop()

    def _widen(self) -> None:
        """A foreign peer's stream begins: there is somebody who takes it."""
        if not self.flow:
            self._window = self._carrier.terms.max_window
            self._release_reader()

    # -- the local end sends

    def send(self, data: Buffer) -> None:
        """Sends after what was sent before; waits while the channel is full. Raises ChannelError."""
        while self._outgoing and not self._broken:
            self._room.clear()
            self._room.wait()
        self._check()
        self._outgoing = data
        self._carrier.offer(self)

    @property
    def full(self) -> bool:
        """One chunk is waiting already, so that `send` would wait."""
        return bool(self._outgoing) and not self._broken

    def finish(self) -> None:
        """Ends the outgoing direction after all that was sent; without half-close, the channel."""
        if not (self._broken or self._outgoing_ended):
            self._farewell = EndOfStream(self.id) if self.half_close else Disconnect(self.id)
            self._carrier.offer(self)

    def close(self, reason: str = "") -> None:
        """Ends both directions after all that was sent; with a `reason`, as broken."""
        if not (self._broken or self._ended):
            self._incoming_ended = True
            self._release_reader()
            self._farewell = Disconnect(self.id, reason)
            self._carrier.offer(self)

    def abort(self, reason: str) -> None:
        """Ends the channel as broken, after its last words: the peer resets its side. The sink is not told."""
        if not self._broken and not self._ended:
            self._outgoing = self._last_words()
            self._let_go(reason)
            farewell = Disconnect(self.id, self._broken)  # without a text it would be a clean end
            if self._outgoing:
                self._farewell, self._incoming_ended = farewell, True
                self._carrier.offer(self)
            else:
                self._leave()
                self._carrier.send(farewell)
        self._drop()

    def _last_words(self) -> Buffer:
        """What waits for nothing but its turn."""
        if self._held or self._unanswered is not None:
            return b""
        size = len(self._outgoing)
        if self.flow:
            size = min(size, self._limit - self._sent)
        if self.sending is not None:
            size = 0 if self.sending.debt else min(size, self.sending.turn)
        return memoryview(self._outgoing)[:size] if size > 0 else b""

    def consumed(self, count: int) -> None:
        """The sink passed on `count` bytes of what was delivered."""
        self._consumed += count
        if self._kept:
            self._keep()
        if self.flow:
            self.grant()
            return
        if self._slack is not None:
            self._slack.set()
        if self._consumed == self._received:
            self._patience.renew()

    def grant(self) -> None:
        """Lets the peer send more, if it is time to."""
        fresh = self._consumed - self._reported
        if fresh < self._window // 2 or self._incoming_ended or self._broken:
            return
        if self.receiving is not None:
            if not self.receiving.free():
                return
            self.receiving.spend(fresh)
        elif self._carrier.account.kept > MAX_KEPT // 2:
            first = self._carrier.terms.first_window
            self._window = max(self._window - fresh, first)  # what was granted stays granted
        elif self._consumed == self._received:
            self._window = min(2 * self._window, self._carrier.terms.max_window)
        self._reported = self._consumed
        self._carrier.send(Consumed(self.id, self._consumed, self._window))

    def _check(self) -> None:
        if self._broken:
            raise ChannelError(self._broken)
        if self._outgoing_ended:
            raise ChannelError("the peer has closed the channel")

    def resume(self) -> None:
        """The rate has room again for what is to be sent."""
        if self._outgoing:
            self._carrier.offer(self)

    # -- the link's writer takes

    @property
    def pending(self) -> bool:
        """Whether there is more to take, credit permitting."""
        return self._farewell is not None or bool(self._outgoing)

    def take(self, limit: int) -> Sequence[Buffer] | None:
        """The next message on the wire: data as far as `limit` and credit go, or the end."""
        if self._held:
            return None
        if self._outgoing:
            size = min(len(self._outgoing), limit)
            if self.flow:
                size = min(size, self._limit - self._sent)
            if size <= 0:
                self.pauses += 1
                return None
            if self.sending is not None:
                if not self.sending.free():
                    return None
                size = min(size, self.sending.turn)
                self.sending.spend(size)
            return self._take_data(size)
        if self._farewell is not None:
            farewell, self._farewell = self._farewell, None
            return self._take_end(farewell)
        return None

    def _take_data(self, size: int) -> Sequence[Buffer]:
        chunk = self._outgoing
        if size == len(chunk):
            self._outgoing = b""
            self._room.set()
        else:
            view = memoryview(chunk)
            chunk, self._outgoing = view[:size], view[size:]
        self._sent += size
        return data_header(self._carrier.terms.version, self.id, size), chunk

    def _take_end(self, farewell: EndOfStream | Disconnect) -> Sequence[Buffer]:
        self._outgoing_ended = True
        if isinstance(farewell, Disconnect) and not self._incoming_ended:
            self._incoming_ended = True
            self._release_reader()
            self.sink.deliver_end(End.CUT)
        self._leave_if_ended()
        return [self._carrier.pack(farewell)]

    # -- the link's reader reports what came

    def on_answer(self, answer: ConnectResponse) -> None:
        """The peer dialled. An answer that nobody waits for any more is dropped."""
        if (asking := self._unanswered) is not None:
            asking.give(answer)
            if not answer.success:
                self._break(answer.error)
                return
            self._widen()
            if self._held:
                self._held = False
                if self.pending:
                    self._carrier.offer(self)
        elif not answer.success:  # no peer of ours says so after a success; nothing can follow it
            self.on_lost(answer.error)

    def on_data(self, payload: Buffer) -> None:
        """More of the stream. Waits where the peer has no flow control and the sink is slow."""
        if self._broken or self._incoming_ended:
            return
        self._received += len(payload)
        if self.flow and self._received > self._reported + self._window:
            self.fail("the peer sent more than its window")
            return
        self.sink.deliver(payload)
        if self.receiving is not None and not self.flow:
            self._wait_for_rate(self.receiving, len(payload))
        if self._received != self._consumed:
            self._keep()
            if not self.flow:
                self._wait_for_sink()
                self._wait_for_share()

    def on_consumed(self, message: Consumed) -> None:
        """The peer grants more. Raises MessageError when it consumed what was never sent."""
        if message.total > self._sent:
            raise MessageError(f"a channel reports {message.total} bytes consumed of {self._sent} sent")
        self._limit = max(self._limit, message.total + message.window)
        if self._outgoing:
            self._carrier.offer(self)

    def on_end(self) -> None:
        """The incoming direction has ended."""
        if not (self._broken or self._incoming_ended):
            self._incoming_ended = True
            self.sink.deliver_end(End.WHOLE)
            self._leave_if_ended()

    def on_disconnect(self, error: str) -> None:
        """Both directions have ended."""
        if self._broken or self._unanswered is not None or error not in _CLEAN:
            self.on_lost(error or "the peer closed the channel")
            return
        self._outgoing_ended = self._incoming_ended = True
        self._room.set()
        self._leave()
        self._release_reader()
        self.sink.deliver_end(End.CLOSED)

    def on_lost(self, reason: str) -> None:
        """The channel is gone: the peer broke it off, or the link is lost. There is nobody for last words."""
        if self._broken:
            self._leave()
        else:
            self._break(reason)
            self.sink.deliver_reset(reason)

    def _wait_for_rate(self, receiving: Throttle, count: int) -> None:
        """Holds up the link of a peer without flow control, as long as its rate asks for."""
        receiving.spend(count)
        slack = self._slack = Event()
        while (debt := receiving.debt) and self._carrier.alive and not (self._broken or self._incoming_ended):
            slack.clear()
            slack.wait(min(debt, _LOOK))
        self._slack = None

    def _wait_for_sink(self) -> None:
        """Holds up the link until the sink has made room; see tunnel.patience."""
        if self._received - self._consumed <= self._window:
            return
        self.pauses += 1
        slack = self._slack = Event()
        while self._received - self._consumed > self._window and not (self._broken or self._incoming_ended):
            slack.clear()
            if not self._patience.wait(slack, self._consumed, crowded=self._carrier.crowded):
                self.fail("the application took too little, and the peer has no flow control")
        self._slack = None

    def _wait_for_share(self) -> None:
        """Holds up the link while its client has too much here. If that lasts, who keeps most pays for it."""
        account = self._carrier.account
        while account.kept > MAX_KEPT and self._carrier.alive:
            account.eased.clear()
            if not self._carrier.patience.wait(account.eased):
                account.relieve()

    def _keep(self) -> None:
        """Tells the account how much waits at the sink."""
        self._kept = 0 if self._dropped else self._received - self._consumed
        self._carrier.account.keep(self, self._kept)

    def _drop(self) -> None:
        """Nobody will take what waits."""
        self._dropped = True
        if self._kept:
            self._keep()

    # -- ending

    @property
    def _ended(self) -> bool:
        return self._outgoing_ended and self._incoming_ended

    def activity(self) -> tuple[int, int, int]:
        """Changes whenever bytes move."""
        return self._sent, self._received, self._consumed

    @property
    def client(self) -> object:
        """The same for all channels of one client, on all its links."""
        return self._carrier.account

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes sent to the peer and received from it."""
        return self._sent, self._received

    @property
    def half_ended(self) -> bool:
        """One direction has ended."""
        return self._outgoing_ended or self._incoming_ended

    def _leave_if_ended(self) -> None:
        if self._ended:
            self._leave()

    def _leave(self) -> None:
        """Nothing more is sent."""
        self._outgoing, self._farewell = b"", None
        self._carrier.forget(self)
        self.gone.set()

    def fail(self, reason: str) -> None:
        """Ends the channel as broken, on both sides."""
        self.abort(reason)
        self.sink.deliver_reset(reason)

    def _release_reader(self) -> None:
        """A reader that waits for this channel's sink has no reason to any more."""
        if self._slack is not None:
            self._slack.set()

    def _break(self, reason: str) -> None:
        """Ends it at once."""
        self._let_go(reason)
        self._leave()

    def _let_go(self, reason: str) -> None:
        """It is broken: nobody waits for it any more."""
        self._broken = reason or "the channel is closed"
        self._drop()
        self._room.set()
        self._release_reader()
        if (asking := self._unanswered) is not None:
            asking.lose(self._broken)
