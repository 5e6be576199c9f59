"""Opening ports: each failure is a ListenError that says what to do."""

from __future__ import annotations

import pytest
from gevent import socket

from linksocks.errors import ListenError
from linksocks.net.listen import bind, listen


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
