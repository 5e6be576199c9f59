"""Opening ports: each failure is a ListenError that says what to do. Accepting: in the context of the server."""

from __future__ import annotations

import resource
import socket as stdlib_socket
from contextvars import ContextVar

import gevent
import pytest
from gevent import socket
from gevent.pywsgi import WSGIServer
from gevent.server import StreamServer

from linksocks.errors import ListenError
from linksocks.net.greenlets import Pool
from linksocks.net.listen import PatientAccept, bind, listen
from linksocks.net.sockets import owned
from tests.support.processes import linksocks


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_refuses_until_it_listens(host):
    sock = bind(host, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(sock.getsockname()[:2])
    listen(sock)
    socket.create_connection(sock.getsockname()[:2]).close()
    sock.close()


def test_an_empty_host_is_every_address():
    sock = bind("", 0)
    listen(sock)
    socket.create_connection(("127.0.0.2", sock.getsockname()[1])).close()
    sock.close()


def test_the_port_is_free_again_at_once():
    first = bind("127.0.0.1", 0)
    listen(first)
    port = first.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    served, _ = first.accept()
    served.close()  # the server's side closes first: its end is in TIME_WAIT
    client.close()
    first.close()
    bind("127.0.0.1", port).close()


def test_in_use():
    with bind("127.0.0.1", 0) as taken:
        listen(taken)
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=rf"127.0.0.1:{port}: the port is in use: stop"):
            bind("127.0.0.1", port)


def test_in_use_when_two_had_bound():
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with bind("127.0.0.1", port) as second:
            listen(taken)
            with pytest.raises(ListenError, match="the port is in use"):
                listen(second)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("192.0.2.1", "this machine has no such address"),
        ("nosuch.invalid", "can't listen on nosuch.invalid:0: "),
        ("a" * 70, "label"),
        ("\ud800", "can't listen"),
    ],
)
def test_no_such_address(host, said):
    with pytest.raises(ListenError, match=said):
        bind(host, 0)


def test_out_of_descriptors_is_one_line_and_passes():
    """The limit is the server process's own: connections wait in the kernel, and are served when some have ended."""
    with linksocks("server", "-t", "token", "-H", "127.0.0.1", "-P", "0") as server:
        port = int(server.wait_line(r"listening on 127.0.0.1:(\d+)")[1])
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (40, 40))
        waiting = [stdlib_socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
        server.wait_line(r"can't accept a connection: .*; raise the limit of open files")
        for sock in waiting:
            sock.close()
        with stdlib_socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(12) == b"HTTP/1.1 200"
        assert "Traceback" not in server.output


_word: ContextVar[str] = ContextVar("word", default="")


class Stream(PatientAccept, StreamServer):
    """Says the word of its context, and sets it."""

    def handle(self, sock: socket.socket, _address: object) -> None:
        assert sock._sock in dict(owned())
        sock.recv(1000)
        sock.sendall(_word.get().encode())
        _word.set("of a connection")
        sock.close()


class Web(PatientAccept, WSGIServer):
    """The same, by HTTP."""

    def __init__(self, listener: socket.socket, spawn: Pool) -> None:
        super().__init__(listener, self.say, spawn=spawn, log=None)

    def say(self, _environ: object, start_response) -> list[bytes]:
        word = _word.get().encode()
        _word.set("of a connection")
        start_response("200 OK", [("Connection", "close")])
        return [word]


@pytest.mark.parametrize("kind", [Stream, Web])
def test_each_connection_has_a_copy_of_the_context_in_which_the_server_was_started(kind):
    listener = bind("127.0.0.1", 0)
    listen(listener)
    server = kind(listener, spawn=Pool())

    def start() -> None:
        _word.set("of the server")
        server.start()
        _word.set("later")

    gevent.spawn(start).join()
    for _ in range(2):
        with socket.create_connection(listener.getsockname()) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while data := sock.recv(1000):
                answer += data
        assert answer.endswith(b"of the server")
        server.stop_accepting()
        server.start_accepting()  # as after a rest: the context stays
    server.stop()
