"""The access rules of one place or of one token, while it works.

Where somebody else dials - behind the port for applications, and where a server joins two links - a name would be
looked up after us, perhaps in another network. So where the name alone does not decide, it is looked up here, and
who dials is asked for the address that was judged. On the side that dials no such thing is needed: see net.permit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from linksocks.net.out.drops import Drops
from linksocks.net.out.judged import JudgedSender
from linksocks.net.out.permit import pinned
from linksocks.net.out.resolve import Resolver, look_up_for
from linksocks.tunnel.access import NO_RULES, AccessRules
from linksocks.tunnel.channels.channel import Channel
from linksocks.tunnel.channels.datagrams import DatagramChannel
from linksocks.wire.mask import Buffer
from linksocks.wire.messages import Connect

LOOK_UP_TIMEOUT: Final = 10.0
"""Seconds for a name that is to be judged."""


class Gate:
    """`own` rules, or where there are none those of the gate `otherwise`.

    They may be replaced at any time: new ones hold for what begins after that.
    """

    def __init__(
        self, resolver: Resolver, own: AccessRules = NO_RULES, otherwise: Gate | None = None
    ) -> None:
        self._resolver = resolver
        self._otherwise = otherwise
        self.own = own

    @property
    def rules(self) -> AccessRules:
        """Those in force."""
        return self.own if self.own or self._otherwise is None else self._otherwise.rules

    def pass_on(self, host: str, port: int) -> str:
        """What to ask the one who dials for instead of `host`. Raises DialError."""
        rules = self.rules
        look_up_for(self)
        return pinned(self._resolver, host, port, LOOK_UP_TIMEOUT, rules) if rules else host

    def sender(self, send: Callable[[Buffer, str, int], None], drops: Drops) -> JudgedSender | None:
        """The same for the datagrams of an association; None where all may go."""
        rules = self.rules
        return JudgedSender(send, rules, self._resolver, drops) if rules else None


class GatedAcceptor(Protocol):
    """Takes channels of many, each under a gate."""

    def accept(self, channel: Channel, connect: Connect, gate: Gate | None = None) -> None: ...

    def accept_datagrams(
        self, channel: DatagramChannel, connect: Connect, gate: Gate | None = None
    ) -> None: ...


class Behind:
    """The acceptor of those who come through `gate`."""

    def __init__(self, gate: Gate, acceptor: GatedAcceptor) -> None:
        self._gate = gate
        self._acceptor = acceptor

    def accept(self, channel: Channel, connect: Connect) -> None:
        """See tunnel.link.Acceptor."""
        self._acceptor.accept(channel, connect, self._gate)

    def accept_datagrams(self, channel: DatagramChannel, connect: Connect) -> None:
        """See tunnel.link.Acceptor."""
        self._acceptor.accept_datagrams(channel, connect, self._gate)
