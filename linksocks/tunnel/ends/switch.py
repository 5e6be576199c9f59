"""Agent mode, in the server: joins a channel that a connector opened with one of a provider's, until both have ended.

A joined pair is two channels, each owned by its own link, and two *ways*, each of which is the sink of one channel
and passes to the other. Nothing is looked up by a channel's id here, so bytes can't get to the wrong owner.

A way needs no greenlet as long as the other channel has room: the link's reader passes to it directly. Only what the
other channel does not take at once is kept, in order, and a greenlet lives until that is passed on. Bytes count as
consumed when they are passed on, so a slow end holds up its own producer.

How a pair opens: a greenlet picks a link, opens a channel there, waits for the answer and passes it back. What the
connector sends meanwhile follows its request at once (fast open), unless the provider would lose it. A connector that
goes, or a provider, ends the opening.

How a pair ends, where one channel's end is passed to the other one:

============== ==================================================================================================
it says        the other channel
============== ==================================================================================================
End.WHOLE      after the backlog its outgoing direction is finished. Not if that is the end of a request and the
               provider has no half-close: it would end the answer too. It is kept back until the answer has ended;
               UNANSWERED seconds without news, and both are broken
End.CLOSED     after the backlog it is closed; what comes from it goes nowhere
End.CUT        after the backlog it is closed as broken: nobody must take a part for the whole
reset          it is aborted at once with the reason
============== ==================================================================================================

Where the backlog of a channel that has gone is not taken, the other one is broken after STALLED seconds.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import cast
from weakref import WeakSet

import gevent
from gevent.event import Event

from linksocks.errors import Cause, ChannelError, DialError
from linksocks.net.greenlets import Greenlet, Group, name_current, spawn, until
from linksocks.net.sockets import shown
from linksocks.tunnel.channels.channel import Channel, End
from linksocks.tunnel.channels.datagrams import DatagramChannel
from linksocks.tunnel.channels.datagrams import join as join_datagrams
from linksocks.tunnel.channels.limits import MAX_RELAYS
from linksocks.tunnel.channels.link import Link
from linksocks.tunnel.ends.backlog import Backlog
from linksocks.tunnel.ends.busy import DELIVERY
from linksocks.tunnel.ends.outbound import CONNECT_TIMEOUT, answer_timeout
from linksocks.tunnel.ends.relay import STALLED, UNANSWERED
from linksocks.tunnel.gate import Gate
from linksocks.wire.mask import Buffer
from linksocks.wire.messages import Connect

log = logging.getLogger(__name__)


class Switch:
    """The acceptor of connectors' links. `pick_link` gives a provider's link; it may wait, or raise DialError.

    The provider has `connect_timeout` seconds for its dial.
    """

    def __init__(self, pick_link: Callable[[], Link], connect_timeout: float = CONNECT_TIMEOUT) -> None:
        self._pick_link = pick_link
        self._answer_timeout = answer_timeout(connect_timeout)
        self._openings = Group()
        self._pairs: set[_Pair] = set()
        self._associations: WeakSet[DatagramChannel] = WeakSet()  # those that connectors asked for
        self._empty = Event()
        self._empty.set()
        self._draining = False

    def accept(self, channel: Channel, connect: Connect, gate: Gate | None = None) -> None:
        """Takes a stream, and returns at once."""
        if self._has_room(channel):
            pair = _Pair(channel, self._forget)
            self._pairs.add(pair)
            self._empty.clear()
            opening = self._openings.spawn(self._open, pair, connect.host, connect.port, gate)
            pair.opening = cast("Greenlet", opening)

    def accept_datagrams(self, channel: DatagramChannel, _connect: Connect, gate: Gate | None = None) -> None:
        """Takes a UDP association, and returns at once."""
        if self._has_room(channel):
            self._associations.add(channel)
            self._openings.spawn(self._open_datagrams, channel, gate)

    def _has_room(self, channel: Channel | DatagramChannel) -> bool:
        """Whether one more may begin; else it is refused."""
        if self._draining:
            channel.refuse(DialError(Cause.GENERAL, "the server is stopping"))
            return False
        if len(self._pairs) + len(self._associations) >= MAX_RELAYS:
            log.warning("refused a connection: %d are open", MAX_RELAYS)
            channel.refuse(DialError(Cause.GENERAL, "the server has too many connections"))
            return False
        return True

    def _open_datagrams(self, asked: DatagramChannel, gate: Gate | None) -> None:
        name_current(f"switch UDP {asked.id.hex()[:8]}")
        try:
            opened = self._pick_link().open_datagrams()
            opened.connect(self._answer_timeout)
        except DialError as error:
            log.info("no way for datagrams: %s", error)
            asked.refuse(error)
        else:
            asked.accept()
            gated = gate.sender(opened.send, asked.drops) if gate else None
            join_datagrams(asked, opened, gated)

    def _open(self, pair: _Pair, host: str, port: int, gate: Gate | None) -> None:
        target = shown((host, port))
        name_current(f"switch {target}")
        try:
            if gate is not None:
                host = gate.pass_on(host, port)
            pair.open(self._pick_link(), host, port, self._answer_timeout)
        except DialError as error:
            log.info("no connection to %s: %s", target, error)
            pair.asked.refuse(error)
        except gevent.GreenletExit:
            pair.asked.abort("the server is stopping")
            raise
        else:
            log.debug("connected to %s", target)

    def _forget(self, pair: _Pair) -> None:
        self._pairs.discard(pair)
        if not self._pairs:
            self._empty.set()

    def drain(self, grace: float) -> None:
        """Refuses new channels, and gives pairs time for their last byte: as Busy gives it to relays.

        Associations have none: they go on until `stop`.
        """
        self._draining = True
        deadline = time.monotonic() + max(grace, DELIVERY)
        self._empty.wait(grace)
        while (leaving := [pair.gone for pair in self._pairs if pair.leaving]) and (left := until(deadline)):
            gevent.wait(leaving, left)

    def stop(self) -> None:
        """Ends all pairs and associations; their channels break."""
        self._openings.kill()
        for association in list(self._associations):
            association.fail("the server is stopping")
        for pair in list(self._pairs):
            pair.abort("the server is stopping")


class _Pair:
    """The channel that a connector `asked` for, and the one that was `opened` for it."""

    opening: Greenlet

    def __init__(self, asked: Channel, forget: Callable[[_Pair], None]) -> None:
        self.asked = asked
        self._opened: Channel | None = None
        self._request = _Way(asked, patient=True)
        self._answer: _Way | None = None
        self._forget = forget
        self.gone = Event()
        """Set when both channels have ended."""
        asked.gone.rawlink(self._on_gone)

    def open(self, link: Link, host: str, port: int, timeout: float) -> None:
        """Opens a channel in `link`, and joins both. Raises DialError."""
        opened = self._opened = link.open()
        answer = self._answer = _Way(opened, patient=False)
        opened.gone.rawlink(self._on_gone)
        opened.begin(host, port)
        self._request.start(opened)
        opened.await_answer(timeout)
        try:
            self.asked.accept()
        finally:
            answer.start(self.asked)

    @property
    def leaving(self) -> bool:
        """One side has said its last, or more than has been passed on: it may have closed behind that."""
        return self._request.leaving or (self._answer is not None and self._answer.leaving)

    def abort(self, reason: str) -> None:
        """Breaks both channels."""
        for channel in (self.asked, self._opened):
            if channel is not None:
                channel.abort(reason)

    def _on_gone(self, _gone: Event) -> None:
        if self.asked.gone.is_set():
            self.opening.kill(block=False)
            if self._opened is None or self._opened.gone.is_set():
                self._forget(self)
                self.gone.set()


class _Way:
    """The sink of `source`: what that delivers goes to another channel, from `start` on; until then it is kept.

    `patient` is for the way of the request, see the table at the top.
    """

    def __init__(self, source: Channel, *, patient: bool) -> None:
        source.sink = self
        self._source = source
        self._patient = patient
        self._other: Channel | None = None
        self._backlog = Backlog()
        self._drainer: Greenlet | None = None  # alive while there is a backlog and another channel
        self._watch: Greenlet | None = None
        self._end: End | None = None
        self._broken = ""

    @property
    def leaving(self) -> bool:
        """Its source has ended, or said more than has been passed on."""
        return self._end is not None or bool(self._backlog)

    def start(self, other: Channel) -> None:
        """From now on everything goes to `other`."""
        self._other = other
        if self._broken:
            other.abort(self._broken)
            return
        if self._backlog:
            self._start_drainer(other)
        if self._end is not None:
            self._see_to_the_end(other, self._end)

    # -- the sink's side: called by the link's reader, never waits

    def deliver(self, payload: Buffer) -> None:
        other = self._other
        if other is not None and self._drainer is None and not other.full:
            self._pass(other, bytes(payload))
            return
        self._backlog.add(payload)
        if other is not None and self._drainer is None:
            self._start_drainer(other)

    def deliver_end(self, end: End) -> None:
        self._end = end
        if self._other is not None:
            self._see_to_the_end(self._other, end)

    def deliver_reset(self, reason: str) -> None:
        self._broken = reason
        if self._other is not None:
            self._other.abort(reason)

    # -- to the other channel

    def _start_drainer(self, other: Channel) -> None:
        self._drainer = spawn(f"drain {self._source.id.hex()[:8]}", self._drain, other)

    def _drain(self, other: Channel) -> None:
        """Passes the backlog on, as fast as the other channel takes it."""
        while self._backlog:
            self._pass(other, self._backlog.pop())
        self._drainer = None
        if self._end is not None and not self._broken:
            self._pass_end(other, self._end)

    def _pass(self, other: Channel, data: Buffer) -> None:
        with contextlib.suppress(ChannelError):  # it has ended: what comes goes nowhere, or a reset follows
            other.send(data)
        self._source.consumed(len(data))  # last: the credit goes out at once, and may bring the channel's end

    def _see_to_the_end(self, other: Channel, end: End) -> None:
        if self._drainer is None:
            self._pass_end(other, end)
        if end is not End.WHOLE and not other.gone.is_set():
            self._start_watch(other, STALLED, f"nothing was taken for {STALLED:g} s after the end")

    def _pass_end(self, other: Channel, end: End) -> None:
        match end:
            case End.WHOLE if self._patient and not other.half_close:
                self._start_watch(other, UNANSWERED, f"the answer did not end in {UNANSWERED:g} s")
            case End.WHOLE:
                other.finish()
            case End.CLOSED:
                other.close()
            case End.CUT:
                other.close("what one side said after the end of the other went nowhere")

    def _start_watch(self, other: Channel, seconds: float, reason: str) -> None:
        if self._watch is None:
            name = f"watch {self._source.id.hex()[:8]}"
            self._watch = spawn(name, self._watch_over, other, seconds, reason)

    def _watch_over(self, other: Channel, seconds: float, reason: str) -> None:
        """Waits until the other channel has gone; `seconds` without a byte that moves, and both are broken."""
        before = self._source.activity() + other.activity()
        while not other.gone.wait(seconds):
            if before == (before := self._source.activity() + other.activity()):
                self._source.fail(reason)
                return
