"""A fixture of pytest: a whole tunnel, for tests of programs that use one. For a conftest.py.

::

    pytest examples/pytest_tunnel.py
"""

from collections.abc import Iterator

import pytest

from linksocks import Client, Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with Server(ws_host="127.0.0.1", ws_port=0) as server:
        yield server


@pytest.fixture(scope="session")
def tunnel(server: Server) -> Iterator[Client]:
    """A client that is connected. Its targets are dialled by this process: `localhost` is where the tests run."""
    url = f"ws://127.0.0.1:{server.ws_port}"
    with Client(server.add_forward_token(), ws_url=url, socks_port=0) as client:
        client.wait_ready(10)
        yield client


def test_a_page_comes_through_the_tunnel(server: Server, tunnel: Client) -> None:
    with tunnel.create_connection(("127.0.0.1", server.ws_port), timeout=10) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert sock.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
