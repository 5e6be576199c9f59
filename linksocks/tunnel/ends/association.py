"""UDP ASSOCIATE for one application (RFC 1928 sections 4 and 7): its datagrams, as long as its TCP connection lives.

The UDP port is open on the address at which the application reached us, so it can reach this one too. Who may use it:

- A datagram must come from the address of the TCP connection's other end.
- The port must be the one that the request named. A request may name none (port 0), as the RFC allows: then the port
  of the first good datagram counts from there on.

Whatever else comes is dropped and counted, fragments and malformed datagrams too. Answers go to that one port.

======================================= ===============================================
what happens                            what follows
======================================= ===============================================
the TCP connection ends                 what was sent before goes out, the channel ends
the channel or the link ends            the TCP connection is closed
======================================= ===============================================
"""

from __future__ import annotations

import contextlib
import logging
import socket as stdlib_socket
from typing import Final

from gevent import socket

from linksocks.errors import Cause, DialError, SocksError
from linksocks.net.greenlets import give_way, spawn
from linksocks.net.out.datagrams import SockAddr, UdpSocket, with_port
from linksocks.net.out.drops import Drops
from linksocks.net.sockets import shown
from linksocks.tunnel.channels.datagrams import MAX_QUEUED, DatagramChannel
from linksocks.tunnel.gate import Gate
from linksocks.wire.mask import Buffer
from linksocks.wire.socks5 import reply
from linksocks.wire.socks5_datagram import pack_datagram, parse_datagram

_READ: Final = 4096

log = logging.getLogger(__name__)


def serve_association(
    control: socket.socket, channel: DatagramChannel, port: int, timeout: float, gate: Gate | None = None
) -> None:
    """Serves the application behind `control` until one of them ends; its request named `port`, or 0.

    Datagrams that do not get through `gate` are dropped.

    Raises DialError, within `timeout` seconds, when there is no association; OSError when the application is gone
    before it knows. The caller has sent no reply yet, and closes `control`.
    """
    try:
        udp = _beside(control)
        try:
            channel.connect(timeout)
            control.sendall(reply(0, udp.host, udp.port))
            _Association(control, udp, channel, port, gate).run()
        finally:
            udp.close()
    finally:
        channel.end()


class _Association:
    """The sink of `channel`."""

    def __init__(
        self,
        control: socket.socket,
        udp: UdpSocket,
        channel: DatagramChannel,
        port: int,
        gate: Gate | None,
    ) -> None:
        self._control = control
        self._udp = udp
        self._channel = channel
        peer: SockAddr = control.getpeername()
        self._name = shown(peer)
        self._application = with_port(peer, port)
        self._drops = Drops(f"UDP association of {self._name}")
        self._judged = gate.sender(channel.send, self._drops) if gate else None
        self._send = self._judged.send if self._judged else channel.send

    def run(self) -> None:
        """Until the TCP connection or the channel ends."""
        log.debug("%s: UDP at port %d", self._name, self._udp.port)
        self._channel.attach(self)
        spawn(f"UDP of {self._name}", self._read)  # ends with its socket
        try:
            # An end with a reset is an end.
            with contextlib.suppress(OSError):
                while self._control.recv(_READ):
                    give_way()  # the RFC has no use for it; who floods us must not hold up the hub
            self._read_rest()
        finally:
            if self._judged is not None:
                self._judged.close()
            self._drops.sum_up()

    # -- from the application

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                self._on_datagram(*self._udp.receive())

    def _read_rest(self) -> None:
        """An application may end with its last datagram."""
        for _ in range(MAX_QUEUED):
            datagram = self._udp.receive_now()
            if datagram is None:
                return
            self._on_datagram(*datagram)

    def _on_datagram(self, raw: bytes, source: SockAddr) -> None:
        host, port, *_ = self._application
        if source[0] != host or port not in (0, source[1]):
            self._drops.add("it is not the application's")
            return
        try:
            target_host, target_port, payload = parse_datagram(raw)
        except SocksError as error:
            self._drops.add(error.reason)
            return
        if not port:
            self._application = source
        self._send(payload, target_host, target_port)

    # -- the sink's side: called by the link's reader, never waits

    def deliver(self, payload: Buffer, host: str, port: int) -> None:
        if not self._application[1]:
            self._drops.add("it comes before the application's first")
            return
        try:
            self._udp.send(pack_datagram(host, port, payload), self._application)
        except ValueError:
            self._drops.add("its source does not fit a datagram")
        except OSError as error:
            self._drops.add(error.strerror or str(error))

    def deliver_end(self, reason: str) -> None:
        log.debug("%s: UDP ends: %s", self._name, reason)
        with contextlib.suppress(OSError):
            self._control.shutdown(stdlib_socket.SHUT_RDWR)  # wakes who reads it


def _beside(control: socket.socket) -> UdpSocket:
    """A UDP port on the address at which `control` was accepted. Raises DialError."""
    address = with_port(control.getsockname(), 0)
    family = stdlib_socket.AF_INET6 if ":" in address[0] else stdlib_socket.AF_INET
    try:
        return UdpSocket(family, address)
    except OSError as error:
        raise DialError(Cause.GENERAL, f"no UDP port on {address[0]}: {error.strerror or error}") from error
