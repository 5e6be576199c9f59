"""Every test here runs a hub in its own thread, ends in time and leaves nothing behind."""

from collections.abc import Iterator

import gevent
import pytest

from tests.support.leaks import nothing_left


@pytest.fixture(autouse=True)
def hub_is_clean() -> Iterator[None]:
    with nothing_left(), gevent.Timeout(20):
        yield
