"""The library from its user's side: real tunnels in the shared thread, and they leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from linksocks import Client, Server
from tests.support.leaks import nothing_left
from tests.support.targets import EchoTarget


@pytest.fixture
def clean() -> Iterator[None]:
    """For each test of tunnels."""
    with nothing_left():
        yield


@pytest.fixture
def server(clean: None) -> Iterator[Server]:
    with Server(ws_host="127.0.0.1", ws_port=0) as server:
        yield server


@pytest.fixture
def url(server: Server) -> str:
    return url_of(server)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A forward client with a link, and without a port."""
    with Client(server.add_forward_token(), ws_url=url_of(server), socks=False) as client:
        client.wait_ready(10)
        yield client


@pytest.fixture
def echo() -> Iterator[EchoTarget]:
    with EchoTarget() as target:
        yield target


def url_of(server: Server) -> str:
    return f"ws://127.0.0.1:{server.ws_port}"
