"""The side of local applications: SOCKS5 in, a channel for each connection."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Final, cast

import gevent
from gevent import socket
from gevent.pool import Group, Pool
from gevent.server import StreamServer

from linksocks.errors import DialError, SocksError
from linksocks.net.greenlets import name_current
from linksocks.net.listen import PatientAccept, listen
from linksocks.net.sockets import end_politely, shown, tune
from linksocks.tunnel.link import Link
from linksocks.tunnel.outbound import CONNECT_TIMEOUT
from linksocks.tunnel.relay import Relay
from linksocks.wire.socks5 import Command, Request, Socks5Server, reply

SOCKS_TIMEOUT: Final = 20.0
"""Seconds that an application has for its whole request."""

ANSWER_TIMEOUT: Final = CONNECT_TIMEOUT + 5.0
"""Seconds for the other end's dial and the way there and back (PROTOCOL section 3.2)."""

_FAREWELL: Final = 2.0
"""Seconds for a refused application to read why."""

_READ: Final = 16 * 1024

log = logging.getLogger(__name__)


class _PatientServer(PatientAccept, StreamServer):
    pass


class Inbound:
    """Serves SOCKS5 on `listener`, a bound socket.

    `pick_link` gives the link for a new channel; it may wait, or raise DialError. A password is asked for when
    `username` or `password` is not empty.
    """

    def __init__(
        self, listener: socket.socket, pick_link: Callable[[], Link], username: str = "", password: str = ""
    ) -> None:
        self._pick_link = pick_link
        self._username = username
        self._password = password
        self._listener = listener
        self._server = _PatientServer(listener, self._serve, spawn=Pool())
        self._relays = Group()  # those of the pool that have a channel, or had one and still write
        self.port: int = listener.getsockname()[1]

    def start(self) -> None:
        """Begins to accept. Raises ListenError."""
        listen(self._listener)
        self._server.start()

    def drain(self, timeout: float) -> None:
        """Closes the port, and waits `timeout` seconds at most for the last byte of connections with a channel."""
        self._server.close()
        self._relays.join(timeout)

    def stop(self) -> None:
        """Closes the port and ends all connections."""
        self._server.stop(timeout=0)

    def _serve(self, sock: socket.socket, address: tuple[str, int]) -> None:
        peer = shown(address)
        name_current(f"inbound {peer}")
        tune(sock)
        try:
            self._relay(sock, peer)
        except SocksError as error:
            log.warning("%s: %s", peer, error)
            self._refuse(sock, error.reply)
        except DialError as error:
            log.info("%s: %s", peer, error)
            self._refuse(sock, reply(error.cause))
        except OSError as error:
            log.debug("%s: gone before its connection was made: %s", peer, error)
        finally:
            sock.close()

    def _relay(self, sock: socket.socket, peer: str) -> None:
        """Raises SocksError, DialError, and OSError while there is no channel yet."""
        with gevent.Timeout(SOCKS_TIMEOUT, SocksError(f"no whole request in {SOCKS_TIMEOUT:g} s")):
            request, early = self._negotiate(sock)
        if request.command is not Command.CONNECT:
            raise SocksError("UDP ASSOCIATE is not available yet, only CONNECT", reply(7))
        channel = self._pick_link().open()
        self._relays.add(cast("gevent.Greenlet[..., object]", gevent.getcurrent()))
        relay = Relay(channel, patient=True)
        log.debug("%s: connecting to %s", peer, shown((request.host, request.port)))
        channel.connect(request.host, request.port, ANSWER_TIMEOUT)
        try:
            sock.sendall(reply(0))
        except (OSError, gevent.GreenletExit):
            channel.abort("the application is gone")
            raise
        relay.run(sock, early)

    def _negotiate(self, sock: socket.socket) -> tuple[Request, bytes]:
        """The request, and what the application sent behind it."""
        machine = Socks5Server(self._username, self._password)
        while machine.request is None:
            data = sock.recv(_READ)
            if not data:
                raise ConnectionResetError("the application closed")
            answer = machine.feed(data)
            if answer:
                sock.sendall(answer)
        return machine.request, machine.leftover

    def _refuse(self, sock: socket.socket, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            sock.sendall(answer)
        end_politely(sock, _FAREWELL)
