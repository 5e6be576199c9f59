"""A fork while tunnels are open: they stay with the parent.

The child has copies of their descriptors, which keep ports taken and links open when the parent has long closed them,
so they are closed here, without a word to the peer. How depends on what else the child has:

========================= ===================================================================================
the tunnel's hub          in the child
========================= ===================================================================================
of another thread         is dead: its sockets are taken from their objects and closed, its own descriptors too;
                          a later garbage collection finds nothing to close
of the thread that forks  lives on with all its greenlets, if the program is patched: behind their sockets' numbers
                          comes a dead end, where reads end and writes fail, and they are killed
========================= ===================================================================================

A number is not just closed under a greenlet that lives: another file could get it, and then what the greenlet writes.
"""

from __future__ import annotations

import _socket
import contextlib
import gc
import os
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, TypeVar

import gevent
from gevent import socket
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Hub

from linksocks.embed.native import close_now
from linksocks.embed.runner import Runner, runner_of
from linksocks.embed.thread import HubThread
from linksocks.errors import LinkSocksError
from linksocks.net.sockets import owned

_T = TypeVar("_T")

_dead: Final[list[HubThread]] = []
"""Threads of parents. Their hubs are never freed: that would close numbers which are others' by now."""


def leave_to_parent(
    runners: Collection[Runner], thread: HubThread | None, why: Callable[[], LinkSocksError]
) -> None:
    """In the child, at once after the fork; who calls a runner of the parent gets `why`."""
    living: Hub | None = get_hub_if_exists()
    _close_sockets(living)
    if thread is not None and thread.runner.hub is not living:
        _dead.append(thread)
        for number in thread.descriptors:
            with contextlib.suppress(OSError):
                close_now(number)
    for runner in runners:
        runner.end(why)
    ours = [runner for runner in runners if runner.hub is living]
    if living is not None and ours:
        _end_greenlets(living, ours, why)


def _close_sockets(living: Hub | None) -> None:
    """All that tunnels own; those whose hub is not `living` have nobody who could use them."""
    end, other = _socket.socketpair()
    other.close()
    for sock, hub in owned():
        with contextlib.suppress(OSError):
            if hub is living:
                os.dup2(end.fileno(), sock.fileno(), inheritable=False)
            else:
                close_now(sock.detach())
    end.close()


def _end_greenlets(living: Hub, runners: Collection[Runner], why: Callable[[], LinkSocksError]) -> None:
    living.loop.reinit()  # libev sees a fork by itself, but first takes what had come: words for the parent's loop
    _forget_events()
    for runner in runners:
        runner.expel_guests(why)
    for greenlet in _live_objects(gevent.Greenlet):
        if greenlet.parent is living and not greenlet.ready() and runner_of(greenlet) in runners:
            greenlet.kill(block=False)


def _forget_events() -> None:
    """What has come for our sockets: greenlets would hear of the end, and do something about it, before they are
    killed."""
    ours = {sock for sock, _ in owned()}
    sockets: Iterator[Any] = _live_objects(socket.socket)
    for sock in sockets:
        if sock._sock in ours:
            sock._read_event.stop()
            sock._write_event.stop()


def _live_objects(kind: type[_T]) -> Iterator[_T]:
    """All of the process: gevent keeps no list."""
    # By type(): isinstance asks a weak proxy for its class, which fails once its object is gone.
    return (thing for thing in gc.get_objects() if issubclass(type(thing), kind))
