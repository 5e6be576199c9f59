"""What all tests of sockets share: nothing may be left, and certificates to choose from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trustme

from tests.support.guard import guarded


@pytest.fixture(autouse=True)
def bounded_and_clean() -> Iterator[None]:
    with guarded():
        yield


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()
