"""The tests of a file share a tunnel; none of them, and not the tunnel either, leaves a descriptor open."""

from __future__ import annotations

import pytest

from linksocks.contrib.urllib3 import Way
from tests.applications.conftest import client, files, leaves_nothing
from tests.support.library import Elsewhere

__all__ = ["client", "files", "leaves_nothing"]


@pytest.fixture
def far(client: Way) -> Elsewhere:
    return Elsewhere(client)
