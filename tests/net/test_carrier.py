"""A connection on its way: whoever drops it closes it, and who takes it has it alone."""

from __future__ import annotations

import gc
import os
import socket
import warnings

from linksocks.net.carrier import Carrier
from linksocks.net.pair import connected_pair
from tests.support.leaks import nothing_left


def test_what_nobody_takes_is_closed_without_a_word() -> None:
    gc.collect()  # what earlier tests have left is none of this one's
    with nothing_left(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        near, far = connected_pair()
        with near:
            carrier = Carrier(far)
            assert carrier.fileno() >= 0
            del carrier
            near.settimeout(10)
            assert near.recv(1) == b""
        assert said == []


def test_who_takes_it_has_it_alone() -> None:
    with nothing_left():
        near, far = connected_pair()
        carrier = Carrier(far)
        with near, socket.socket(fileno=carrier) as sock:  # type: ignore[arg-type]
            assert carrier.fileno() == -1
            assert os.get_blocking(sock.fileno())
            del carrier
            sock.sendall(b"hello")
            near.settimeout(10)
            assert near.recv(5) == b"hello"


def test_a_default_timeout_is_none_of_its_own() -> None:
    socket.setdefaulttimeout(5)
    try:
        near, far = connected_pair()
        with near, socket.socket(fileno=Carrier(far)) as sock:  # type: ignore[arg-type]
            assert os.get_blocking(sock.fileno()) is False
    finally:
        socket.setdefaulttimeout(None)
