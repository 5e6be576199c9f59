"""Turns: who gives way lets I/O run, too."""

from __future__ import annotations

import gevent
from gevent import socket

from linksocks.net.greenlets import give_way
from tests.support.rounds import rounds


def test_to_give_way_is_a_round_of_the_loop():
    with rounds() as passed:
        for _ in range(20):
            give_way()
        assert passed.count >= 20


def test_who_waits_for_a_socket_gets_a_turn():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = gevent.spawn(ours.recv, 1)
        give_way()  # it waits now
        theirs.sendall(b"x")
        for _ in range(3):
            give_way()
        assert reader.ready()
        assert reader.get() == b"x"
