"""The tests of a file share a tunnel; none of them, and not the tunnel either, leaves a descriptor open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from linksocks.contrib.urllib3 import Way
from tests.support.certificates import Files
from tests.support.leaks import descriptors_closed
from tests.support.library import joined


@pytest.fixture(scope="module")
def client() -> Iterator[Way]:
    with descriptors_closed(), joined() as client:
        yield client


@pytest.fixture(autouse=True)
def leaves_nothing(client: Way) -> Iterator[None]:
    with descriptors_closed():
        yield


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """For a target that is `target.example`."""
    return Files(tmp_path, trustme.CA(), "target.example")
