"""Datagrams through a SOCKS5 proxy, by its UDP ASSOCIATE (RFC 1928 section 7).

The association lives as long as the TCP connection that asked for it: when the proxy ends that, `receive` raises.
Only datagrams from the proxy's relay are taken; others and malformed ones are dropped and counted.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket as stdlib_socket
from typing import Final

from gevent import socket

from linksocks.errors import Cause, DialError, SocksError
from linksocks.net.greenlets import give_way, spawn
from linksocks.net.out.datagrams import UdpSocket
from linksocks.net.out.drops import Drops
from linksocks.wire.mask import Buffer
from linksocks.wire.socks5_datagram import pack_datagram, parse_datagram

_READ: Final = 64 * 1024


class UpstreamDatagrams:
    """Through the relay at `relay`, an address; owns `control`, the connection. See net.egress.Datagrams."""

    def __init__(self, control: socket.socket, relay: tuple[str, int], name: str) -> None:
        """`name` is the proxy's, in errors. Raises DialError."""
        six = ipaddress.ip_address(relay[0]).version == 6
        try:
            if six:
                self._socket = UdpSocket(stdlib_socket.AF_INET6, ("::", 0))
            else:
                self._socket = UdpSocket(stdlib_socket.AF_INET, ("0.0.0.0", 0))
        except OSError as error:
            raise DialError(Cause.GENERAL, f"no UDP socket: {error.strerror or error}") from error
        self._control = control
        self._relay = relay
        self._name = name
        self.drops = Drops(f"UDP through {name}")
        self._watch = spawn(f"UDP through {name}", self._until_closed)

    def send(self, payload: Buffer, host: str, port: int) -> None:
        """See Datagrams."""
        try:
            self._socket.send(pack_datagram(host, port, payload), self._relay)
        except OSError as error:
            self.drops.add(os.strerror(error.errno) if error.errno else "the socket failed")
        except ValueError:
            self.drops.add("its name is too long")

    def receive(self) -> tuple[bytes, str, int]:
        """See Datagrams."""
        while True:
            try:
                raw, source = self._socket.receive()
            except OSError as error:
                raise DialError(Cause.GENERAL, f"{self._name}: the association has ended") from error
            if source[:2] != self._relay:
                self.drops.add("not from the proxy")
                continue
            try:
                host, port, payload = parse_datagram(raw)
            except SocksError as error:
                self.drops.add(error.reason)
            else:
                return payload, host, port

    def close(self) -> None:
        """See Datagrams."""
        self.drops.sum_up()
        self._watch.kill(block=False)
        self._socket.close()
        self._control.close()

    def _until_closed(self) -> None:
        with contextlib.suppress(OSError):
            while self._control.recv(_READ):
                give_way()  # a proxy that always says something would hold up the hub
        self._socket.close()
