"""What all tests of sockets share: nothing may be left, and certificates to choose from."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
import trustme

from tests.support.leaks import nothing_left

PATIENCE = 20.0
"""Seconds for one test: a hang is the failure that these layers have."""


@pytest.fixture(autouse=True)
def bounded_and_clean() -> Iterator[None]:
    with gevent.Timeout(PATIENCE, AssertionError(f"not done in {PATIENCE:g} s")), nothing_left():
        yield


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()
