"""Turns: who gives way lets I/O run, too. Contexts: what holds for who spawns holds for the spawned."""

from __future__ import annotations

from contextvars import ContextVar

import gevent
import pytest
from gevent import socket

from linksocks.net.greenlets import Group, Pool, give_way, spawn, spawn_later
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


_word: ContextVar[str] = ContextVar("word", default="")


@pytest.mark.parametrize(
    "begin",
    [
        lambda run: spawn("x", run),
        lambda run: spawn_later("x", 0, run),
        lambda run: Group().spawn(run),
        lambda run: Pool(1).spawn(run),
    ],
    ids=["spawn", "spawn_later", "Group", "Pool"],
)
def test_the_spawned_have_a_copy_of_the_context(begin):
    seen = []

    def run() -> None:
        seen.append(_word.get())
        _word.set("theirs")

    def main() -> None:
        _word.set("ours")
        greenlet = begin(run)
        _word.set("later")
        greenlet.join()
        seen.append(_word.get())

    gevent.spawn(main).join()
    assert seen == ["ours", "later"]
