"""UDP from this machine, to any target: one socket for IPv4 and IPv6.

- Nothing here holds up a sender. What the system does not take at once is dropped and counted; so is what it refuses
  (EMSGSIZE, ENETUNREACH, EPERM). No datagram ends the socket.
- Names are looked up meanwhile, see `names`. Each datagram is judged by the address that it goes to.
- Whoever knows the socket's port may answer ("full cone"): that is what applications behind a SOCKS port expect, for
  protocols that are answered from elsewhere (TFTP, STUN, games), and each datagram says where it came from.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket as stdlib_socket
from typing import Final, TypeAlias

from gevent import socket

from linksocks.errors import Cause, DialError
from linksocks.net.greenlets import give_way
from linksocks.net.out.drops import Drops
from linksocks.net.out.judge import Judge, Verdict
from linksocks.net.out.names import Names
from linksocks.net.out.permit import BLOCKED_TEXT, allowed
from linksocks.net.out.resolve import Address, Resolver, literal
from linksocks.net.sockets import own
from linksocks.wire.mask import Buffer

MAX_DATAGRAM: Final = 65_535
"""Bytes; UDP's own bound is a little below."""

_UNYIELDED: Final = 64
"""Datagrams received without a pause before other greenlets get their turn."""

_MAPPED: Final = "::ffff:"

SockAddr: TypeAlias = tuple[str, int] | tuple[str, int, int, int]


class UdpSocket:
    """A UDP socket, bound to `address`. Many may send through it, one receives."""

    def __init__(self, family: int, address: SockAddr) -> None:
        """Raises OSError."""
        self.family = family
        self._sock = own(socket.socket(family, stdlib_socket.SOCK_DGRAM))
        self._unyielded = 0
        try:
            if family == stdlib_socket.AF_INET6:
                self._sock.setsockopt(stdlib_socket.IPPROTO_IPV6, stdlib_socket.IPV6_V6ONLY, 0)
            self._sock.bind(address)
        except OSError:
            self._sock.close()
            raise
        self.host: str = address[0]
        self.port: int = self._sock.getsockname()[1]

    def send(self, payload: Buffer, address: SockAddr) -> None:
        """Sends at once, to an address and no name, or raises OSError."""
        self._sock.settimeout(0.0)  # for this call alone: who receives waits without end
        try:
            self._sock.sendto(payload, address)
        finally:
            self._sock.settimeout(None)

    def receive(self) -> tuple[bytes, SockAddr]:
        """The next datagram and its source, IPv4 in its own form. Waits. Raises OSError, also when it is closed."""
        self._unyielded += 1
        if self._unyielded >= _UNYIELDED:
            self._unyielded = 0
            give_way()
        payload, source = self._sock.recvfrom(MAX_DATAGRAM)
        return payload, with_port(source, source[1])

    def receive_now(self) -> tuple[bytes, SockAddr] | None:
        """The same without waiting: None where nothing is there."""
        self._sock.settimeout(0.0)
        try:
            payload, source = self._sock.recvfrom(MAX_DATAGRAM)
            return payload, with_port(source, source[1])
        except BlockingIOError:
            return None
        finally:
            self._sock.settimeout(None)

    def close(self) -> None:
        """Ends it."""
        self._sock.close()


class DirectDatagrams:
    """Datagrams by a socket of this machine, to what `judge` allows; see net.egress.Datagrams."""

    def __init__(self, resolver: Resolver, judge: Judge | None = None) -> None:
        """Raises DialError."""
        self._judge = judge
        self._socket = _anywhere()
        self.drops = Drops(f"UDP port {self._socket.port}")
        self._names = Names(resolver, self._transmit, self.drops)

    def send(self, payload: Buffer, host: str, port: int) -> None:
        """See Datagrams."""
        if self._judge is not None and self._judge.judge(host, port) is Verdict.BLOCKED:
            self.drops.add(BLOCKED_TEXT)
            return
        address = literal(host)
        if address is not None:
            self._transmit(payload, host, port, [address])
        else:
            self._names.send(payload, host, port)

    def _transmit(self, payload: Buffer, host: str, port: int, addresses: list[Address]) -> None:
        """To the first address that it may go to and that the system has a way to."""
        reason = "its name has no address"
        if self._judge is not None and addresses:
            addresses = allowed(addresses, host, port, self._judge)
            reason = BLOCKED_TEXT
        for address in addresses:
            try:
                self._socket.send(payload, self._written(address, port))
            except OSError as error:
                reason = os.strerror(error.errno or errno.EINVAL)
            else:
                return
        self.drops.add(reason)

    def _written(self, address: Address, port: int) -> SockAddr:
        """The address as the socket's family writes it: anything else would be looked up as a name."""
        host, _, *rest = address.sockaddr
        if address.family == self._socket.family:
            return (host, port, *rest)  # type: ignore[return-value]
        if self._socket.family == stdlib_socket.AF_INET:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return _MAPPED + host, port, 0, 0

    def receive(self) -> tuple[bytes, str, int]:
        """See Datagrams."""
        try:
            payload, source = self._socket.receive()
        except OSError as error:
            raise DialError(Cause.GENERAL, f"the UDP socket failed: {error.strerror or error}") from error
        host, port, *_ = source
        return payload, host, port

    def close(self) -> None:
        """See Datagrams."""
        self.drops.sum_up()
        self._names.close()
        self._socket.close()


def with_port(address: SockAddr, port: int) -> SockAddr:
    """The address with another port, IPv4 in its own form also where an IPv6 socket gave it."""
    host, _, *rest = address
    if "." in host:
        return host.removeprefix(_MAPPED), port
    return (host, port, *rest)  # type: ignore[return-value]


def _anywhere() -> UdpSocket:
    """A socket for both families, for IPv4 alone where the machine has no IPv6. Raises DialError."""
    with contextlib.suppress(OSError):
        return UdpSocket(stdlib_socket.AF_INET6, ("::", 0))
    try:
        return UdpSocket(stdlib_socket.AF_INET, ("0.0.0.0", 0))
    except OSError as error:
        raise DialError(Cause.GENERAL, f"no UDP socket: {error.strerror or error}") from error
