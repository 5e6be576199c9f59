"""What the tests of homes share: one home, and no thread left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from linksocks.embed import Home, enter


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """By this test: one that another test has left is that one's fault."""
    before = homes()
    yield
    deadline = time.monotonic() + 5
    while homes() - before:
        assert time.monotonic() < deadline, "a home was not left"
        time.sleep(0.001)  # the pace of the polling, not what is waited for


@pytest.fixture
def home() -> Iterator[Home]:
    home = enter()
    yield home
    home.leave()


def homes() -> set[threading.Thread]:
    """The threads of homes that live."""
    return {thread for thread in threading.enumerate() if thread.name == "linksocks"}
