"""The library as a program uses it, server and client in the test's own process, without a hub in its thread.

Fixtures for a conftest to import: the tests of a file share a tunnel; none of them, and not the tunnel either, leaves
a descriptor open.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from linksocks import Client, Server
from tests.support.certificates import Files
from tests.support.leaks import descriptors_closed


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """One with a link to a server, and without a SOCKS port."""
    with descriptors_closed(), Server(ws_host="127.0.0.1", ws_port=0) as server:
        url = f"ws://127.0.0.1:{server.ws_port}"
        with Client(server.add_forward_token(), ws_url=url, socks=False) as client:
            client.wait_ready(10)
            yield client


@pytest.fixture(autouse=True)
def leaves_nothing(client: Client) -> Iterator[None]:
    with descriptors_closed():
        yield


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """For a target that is `target.example`."""
    return Files(tmp_path, trustme.CA(), "target.example")
