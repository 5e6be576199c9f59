"""What every socket of ours needs at its end: what we said last arrives, and no peer can hold us there."""

from __future__ import annotations

import gevent
import pytest
from gevent import socket

from linksocks.net.sockets import end_politely, has_news, own, owned, shown


def test_the_last_words_arrive_over_unread_bytes():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    theirs.sendall(bytes(100_000))
    ours.sendall(b"no")
    ender = gevent.spawn(end_politely, ours, 5)
    assert theirs.recv(10) == b"no"
    assert theirs.recv(10) == b""
    theirs.close()
    ender.get()
    ours.close()


class AlwaysReady:
    """A socket that always has more: reading it never waits."""

    def shutdown(self, _how: int) -> None:
        pass

    def recv(self, size: int) -> bytes:
        return bytes(size)


def test_an_endless_peer_is_left_in_time():
    end_politely(AlwaysReady(), 0.01)


@pytest.mark.parametrize(
    ("address", "text"),
    [(("127.0.0.1", 80), "127.0.0.1:80"), (("::1", 80, 0, 0), "[::1]:80"), (("a", 1), "a:1")],
)
def test_shown(address, text):
    assert shown(address) == text


def test_what_is_owned_is_listed_until_its_descriptor_is_closed():
    before = owned()
    sock = own(socket.socket())
    plain = sock._sock
    assert (plain, gevent.get_hub()) in owned()
    del sock  # gevent's servers keep the plain one alone
    assert (plain, gevent.get_hub()) in owned()
    plain.close()
    assert owned() == before
    own(socket.socket())
    assert owned() == before


def test_what_came_and_was_not_read_is_news():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far = listener.accept()[0]
    with near, far:
        assert not has_news(near)
        far.sendall(b"bytes")
        assert has_news(near)
        assert near.recv(10) == b"bytes"
        assert not has_news(near)
        far.close()
        assert has_news(near)
