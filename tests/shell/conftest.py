"""Every test here runs a hub in its own thread, ends in time and leaves nothing behind."""

from collections.abc import Iterator

import pytest

from tests.support.guard import guarded


@pytest.fixture(autouse=True)
def hub_is_clean() -> Iterator[None]:
    with guarded():
        yield
