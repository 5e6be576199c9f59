"""Datagrams under a judge, where somebody else sends them to their targets.

The other end of a link or a proxy would look up a name after us, and might find another address. So where the name
alone does not decide, it is looked up here, and the address that was judged goes in its place.
"""

from __future__ import annotations

from collections.abc import Callable

from linksocks.net.out.drops import Drops
from linksocks.net.out.judge import Judge, Verdict
from linksocks.net.out.names import Names
from linksocks.net.out.permit import BLOCKED_TEXT, allowed, as_judged, likeliest
from linksocks.net.out.resolve import Address, Resolver
from linksocks.net.out.upstream_datagrams import UpstreamDatagrams
from linksocks.wire.mask import Buffer


class JudgedSender:
    """Passes on to `send` what `judge` allows."""

    def __init__(
        self, send: Callable[[Buffer, str, int], None], judge: Judge, resolver: Resolver, drops: Drops
    ) -> None:
        self._send = send
        self._judge = judge
        self._drops = drops
        self._names = Names(resolver, self._pin, drops)

    def send(self, payload: Buffer, host: str, port: int) -> None:
        """Sends, now or later, or drops and counts: never waits."""
        match self._judge.judge(host, port):
            case Verdict.ALLOWED:
                self._send(payload, as_judged(host), port)
            case Verdict.BY_ADDRESS:
                self._names.send(payload, host, port)
            case Verdict.BLOCKED:
                self._drops.add(BLOCKED_TEXT)

    def close(self) -> None:
        """Sends no more."""
        self._names.close()

    def _pin(self, payload: Buffer, host: str, port: int, addresses: list[Address]) -> None:
        if not addresses:
            self._drops.add("its name has no address")
        elif good := allowed(addresses, host, port, self._judge):
            self._send(payload, likeliest(good), port)
        else:
            self._drops.add(BLOCKED_TEXT)


class JudgedDatagrams:
    """A way through a proxy, to what `judge` allows; see net.egress.Datagrams."""

    def __init__(self, way: UpstreamDatagrams, judge: Judge, resolver: Resolver) -> None:
        self._way = way
        self._sender = JudgedSender(way.send, judge, resolver, way.drops)
        self.send = self._sender.send
        self.receive = way.receive

    def close(self) -> None:
        """See Datagrams."""
        self._sender.close()
        self._way.close()
