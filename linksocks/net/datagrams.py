"""UDP from this machine, to any target: one socket for IPv4 and IPv6.

- Nothing here holds up a sender. What the system does not take at once is dropped and counted; so is what it refuses
  (EMSGSIZE, ENETUNREACH, EPERM). No datagram ends the socket.
- A name is looked up while the datagrams to others go on; those to the name itself wait for it, in order. It keeps
  its address as long as it has it: a flow to a name with many addresses stays with one server.
- Whoever knows the socket's port may answer ("full cone"): that is what applications behind a SOCKS port expect, for
  protocols that are answered from elsewhere (TFTP, STUN, games), and each datagram says where it came from.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket as stdlib_socket
import time
from collections import deque
from typing import Final, TypeAlias

import gevent
from gevent import socket
from gevent.pool import Group

from linksocks.errors import Cause, DialError
from linksocks.net.drops import Drops
from linksocks.net.greenlets import name_current
from linksocks.net.resolve import Address, Resolver, literal
from linksocks.wire.mask import Buffer

MAX_DATAGRAM: Final = 65_535
"""Bytes; UDP's own bound is a little below."""

_LOOK_UP_TIMEOUT: Final = 5.0
"""Seconds; who sent the datagram has asked again by then."""

_FRESH: Final = 60.0
"""Seconds after which a name is looked up again, while its datagrams go on."""

_NAMES: Final = 32
"""Names whose addresses, or datagrams, one association keeps; the one not used for longest goes first."""

_WAITING: Final = 16
"""Datagrams that wait for one name."""

_UNYIELDED: Final = 64
"""Datagrams received without a pause before other greenlets get their turn."""

_MAPPED: Final = "::ffff:"

SockAddr: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

log = logging.getLogger(__name__)


class UdpSocket:
    """A UDP socket, bound to `address`. Many may send through it, one receives."""

    def __init__(self, family: int, address: SockAddr) -> None:
        """Raises OSError."""
        self.family = family
        self._sock = socket.socket(family, stdlib_socket.SOCK_DGRAM)
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
            gevent.sleep(0)
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
    """Datagrams by a socket of this machine, for one association; see net.egress.Datagrams."""

    def __init__(self, resolver: Resolver) -> None:
        """Raises DialError."""
        self._resolver = resolver
        self._socket = _anywhere()
        self.drops = Drops(f"UDP port {self._socket.port}")
        self._names: dict[str, _Name] = {}  # the one that was used last comes last
        self._look_ups = Group()

    def send(self, payload: Buffer, host: str, port: int) -> None:
        """See Datagrams."""
        address = literal(host)
        if address is not None:
            self._transmit(payload, [address], port)
            return
        name = self._name(host)
        if name is None:
            self.drops.add("too many names are looked up")
            return
        if name.addresses:
            self._transmit(payload, name.addresses, port)
        elif len(name.waiting) < _WAITING:
            name.waiting.append((bytes(payload), port))
        else:
            self.drops.add("too many wait for one name")
        if not name.asking and name.stale < time.monotonic():
            name.asking = True
            self._look_ups.spawn(self._look_up, host, name)

    def _name(self, host: str) -> _Name | None:
        """What we know of a name; None when there are too many new ones."""
        name = self._names.pop(host, None)
        if name is None:
            if len(self._names) >= _NAMES:
                idle = next((other for other, known in self._names.items() if not known.asking), None)
                if idle is None:
                    return None
                del self._names[idle]
            name = _Name()
        self._names[host] = name
        return name

    def _look_up(self, host: str, name: _Name) -> None:
        name_current(f"look up {host} for UDP")
        try:
            found = self._resolver.resolve(host, 0, _LOOK_UP_TIMEOUT)
        except DialError as error:
            log.debug("UDP: %s", error)
            found = name.addresses
        name.learn(found)
        while name.waiting:
            payload, port = name.waiting.popleft()
            self._transmit(payload, name.addresses, port)

    def _transmit(self, payload: Buffer, addresses: list[Address], port: int) -> None:
        """To the first address that the system has a way to."""
        reason = "its name has no address"
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
        self._look_ups.kill(block=False)
        self._socket.close()


class _Name:
    """A name that datagrams are sent to."""

    def __init__(self) -> None:
        self.addresses: list[Address] = []  # the one in use comes first
        self.waiting: deque[tuple[bytes, int]] = deque()  # payload and port; while there is no address
        self.asking = False
        self.stale = 0.0  # when to look it up again

    def learn(self, found: list[Address]) -> None:
        """The outcome of a look-up; the address in use stays so if it is found again."""
        if self.addresses and self.addresses[0] in found:
            found = [self.addresses[0], *(address for address in found if address != self.addresses[0])]
        self.addresses = found
        self.stale = time.monotonic() + _FRESH if found else 0.0
        self.asking = False


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
