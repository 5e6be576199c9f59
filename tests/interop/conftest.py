"""Fixtures of the interop tests: one peer after the other, and the targets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.peer import PEERS, Peer
from tests.interop.runs import need
from tests.support.targets import HttpTarget


@pytest.fixture(scope="module", params=PEERS, ids=str)
def peer(request: pytest.FixtureRequest) -> Peer:
    """Each peer; one that this machine can't have is skipped, one that was not made is a failure."""
    peer: Peer = request.param
    need(peer)
    return peer


@pytest.fixture(scope="session")
def http() -> Iterator[HttpTarget]:
    with HttpTarget() as target:
        yield target
