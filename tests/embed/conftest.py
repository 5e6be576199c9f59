"""What the tests of homes share: one home, and no thread left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from linksocks.embed import Home, enter


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 5
    while any(thread.name == "linksocks" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a home was not left"
        time.sleep(0.001)  # the pace of the polling, not what is waited for


@pytest.fixture
def home() -> Iterator[Home]:
    home = enter()
    yield home
    home.leave()
