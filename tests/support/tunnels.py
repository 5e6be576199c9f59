"""Tunnels inside the test's own process and hub, over a socket pair: both ends ours, or one played by hand.

============ ======================================================================================
`Tunnel`     SOCKS port, link, link, dialling side: an application and its target with all between
`Agent`      the same with a server between: SOCKS port, link, link, switch, link, link, dialling side
`Peer`       one real `Link`; the test is the other end and sends and expects single messages
`Target`     a listener whose connections the test takes one by one
============ ======================================================================================

All sockets are gevent's. Each `with` block checks, when it ends well, that no channel is left in a link's table.
"""

from __future__ import annotations

import contextlib
from typing import Self

import gevent
from gevent import socket

from linksocks.errors import LinkClosed
from linksocks.net.out.egress import Direct
from linksocks.net.out.resolve import Resolver
from linksocks.net.ws.websocket import WebSocket
from linksocks.tunnel.channels.link import NOBODY, Acceptor, Link
from linksocks.tunnel.channels.terms import Terms, offered
from linksocks.tunnel.ends.inbound import Inbound
from linksocks.tunnel.ends.outbound import Outbound
from linksocks.tunnel.ends.passage import Passage
from linksocks.tunnel.ends.switch import Switch
from linksocks.wire.extensions import Extensions
from linksocks.wire.frames import CloseCode
from tests.support import socks
from tests.support.hands import Hand

PATIENCE = 10.0
"""Seconds for anything that is to happen in this process."""

MAX_WINDOW = 1024 * 1024

FOREIGN = Extensions()

KINDS = ["ours", "foreign"]


def extensions(kind: str, max_window: int = MAX_WINDOW) -> Extensions:
    """What two ends agree on: all where both are ours, nothing where one is foreign."""
    return offered(max_window) if kind == "ours" else FOREIGN


class Target:
    """Listens on loopback; `receive_buffer` in bytes, where a test wants its connections full soon."""

    def __init__(self, receive_buffer: int = 0) -> None:
        self._listener = socket.socket()
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(1024)
        self._listener.settimeout(PATIENCE)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.close()

    def accept(self) -> socket.socket:
        connection = self._listener.accept()[0]
        connection.settimeout(PATIENCE)
        return connection

    def has_waiting(self) -> bool:
        """Whether somebody has connected whom the test has not taken yet."""
        self._listener.settimeout(0)
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return False
        finally:
            self._listener.settimeout(PATIENCE)
        return True


class Tunnel:
    """`kind` says whether both ends know each other's extensions."""

    def __init__(self, kind: str = "ours", max_window: int = MAX_WINDOW) -> None:
        self._resolver = Resolver()
        self.outbound = Outbound(Direct(self._resolver))
        self.wire, self.client, self.server = _linked(kind, max_window, server=self.outbound)
        self._begin(_listener(send_buffer=8192), self.client, self.server)

    def _begin(self, listener: socket.socket, *links: Link) -> None:
        self.passage = Passage(lambda: self.client)
        self.inbound = Inbound(listener, self.passage)
        self.inbound.start()
        self._links = links
        self._running = [gevent.spawn(_run, link) for link in links]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        try:
            if kind is None:
                for link in self._links:
                    assert link.drained(PATIENCE), f"{link.channels} channels are left"
        finally:
            self.inbound.stop()
            self.outbound.stop()
            for link in self._links:
                link.close(CloseCode.NORMAL)
            gevent.joinall(self._running, timeout=PATIENCE)
            self._resolver.close()

    def cut(self) -> None:
        """The connection between the two ends is gone."""
        self.wire.shutdown(socket.SHUT_RDWR)

    def connect(self, port: int) -> socket.socket:
        """An application, connected to a port of this machine."""
        return application(self.inbound.port, port)

    def join(self, target: Target) -> tuple[socket.socket, socket.socket]:
        """An application, and its connection as the target sees it."""
        waiting = gevent.spawn(target.accept)
        app = self.connect(target.port)
        return app, waiting.get()


class Agent(Tunnel):
    """`connector` and `provider` say whether each of them and the server know each other's extensions."""

    def __init__(self, connector: str = "ours", provider: str = "ours", max_window: int = MAX_WINDOW) -> None:
        self._resolver = Resolver()
        self.outbound = Outbound(Direct(self._resolver))
        self.switch = Switch(lambda: self.dialling)
        self.wire, self.client, self.asking = _linked(connector, max_window, server=self.switch)
        self.provider_wire, self.server, self.dialling = _linked(provider, max_window, client=self.outbound)
        self._begin(_listener(), self.client, self.asking, self.dialling, self.server)


class Peer(Hand):
    """The other end of `link`, by hand. `client`: which side the peer plays."""

    def __init__(
        self, kind: str, *, client: bool, acceptor: Acceptor = NOBODY, window: int = 0, max_window: int = 0
    ) -> None:
        max_window = max_window or MAX_WINDOW
        agreed = extensions(kind, window or max_window)
        ours, theirs = socket.socketpair()
        self.socket = theirs
        super().__init__(WebSocket(theirs, client=client, name="link under test"))
        self.link = Link(
            WebSocket(ours, client=not client, name="peer"), Terms(1, agreed, max_window), acceptor
        )
        self._run = gevent.spawn(_run, self.link)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        try:
            if kind is None:
                assert self.link.drained(PATIENCE), f"{self.link.channels} channels are left"
        finally:
            self.leave()
            self._run.join(PATIENCE)


def application(socks_port: int, port: int, *, receive_buffer: int = 0) -> socket.socket:
    """An application behind a SOCKS port, connected to another port of this machine."""

    def create(address: tuple[str, int], timeout: float) -> socket.socket:
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(timeout)
        sock.connect(address)
        return sock

    return socks.connect(socks_port, "127.0.0.1", port, timeout=PATIENCE, create=create)


def read_to_end(sock: socket.socket) -> tuple[bytes, bool]:
    """All that comes, and whether it ended in good order: False after a reset."""
    data = bytearray()
    try:
        while chunk := sock.recv(64 * 1024):
            data += chunk
    except ConnectionResetError:
        return bytes(data), False
    return bytes(data), True


def pour(sock: socket.socket, size: int = 1 << 40) -> None:
    """Sends until `size` bytes are out or the other side is gone."""
    block = bytes(64 * 1024)
    with contextlib.suppress(OSError):
        for _ in range(size // len(block)):
            sock.sendall(block)


def refuse_an_upload(app: socket.socket, conn: socket.socket) -> None:
    """As a server does that answers and closes over what it has not read: a reset follows, and the answer arrives."""
    upload = gevent.spawn(pour, app, 4 << 20)
    socks.read_exactly(conn, 1000)
    conn.sendall(b"413 too large")
    gevent.sleep(0)
    conn.close()
    assert read_to_end(app)[0] == b"413 too large"
    upload.join()
    app.close()


def reset(sock: socket.socket) -> None:
    """Closes with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


def _linked(
    kind: str, max_window: int, *, client: Acceptor = NOBODY, server: Acceptor = NOBODY
) -> tuple[socket.socket, Link, Link]:
    """The client's socket, its link and the server's, with an acceptor each."""
    terms = Terms(1, extensions(kind, max_window), max_window)
    near, far = socket.socketpair()
    return (
        near,
        Link(WebSocket(near, client=True, name="server"), terms, client),
        Link(WebSocket(far, client=False, name="client"), terms, server),
    )


def _listener(send_buffer: int = 0) -> socket.socket:
    """Its connections inherit a small buffer: what an application does not read soon waits in its relay.

    A stream through one is slow where PATIENCE counts, 2.4 MB/s.
    """
    listener = socket.socket()
    if send_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    listener.bind(("127.0.0.1", 0))
    return listener


def _run(link: Link) -> LinkClosed | None:
    try:
        link.run()
    except LinkClosed as error:
        return error
    return None
