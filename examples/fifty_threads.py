"""Fifty threads, one tunnel, no port for applications and nothing patched.

::

    python examples/fifty_threads.py

Both ends of the tunnel are in this process, and the page is the server's own: it needs nothing else.
"""

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

from linksocks import Client, Server

THREADS, REQUESTS = 50, 20


def main() -> None:
    with Server(ws_host="127.0.0.1", ws_port=0) as server:
        url = f"ws://127.0.0.1:{server.ws_port}"
        with Client(server.add_forward_token(), ws_url=url, socks=False) as client:

            def visit(_: int) -> int:
                """Fetches the page again and again, each time over a connection of its own."""
                return sum(fetch(client, server.ws_port) for _ in range(REQUESTS))

            with ThreadPoolExecutor(THREADS) as pool:
                fetched = sum(pool.map(visit, range(THREADS)))
            print(f"{fetched} bytes in {THREADS * REQUESTS} requests")


class TunnelConnection(HTTPConnection):
    """That of http.client, through the tunnel each time that it connects."""

    def __init__(self, client: Client, host: str, port: int) -> None:
        super().__init__(host, port, timeout=10)
        self._client = client

    def connect(self) -> None:
        self.sock = self._client.create_connection((self.host, self.port), self.timeout)


def fetch(client: Client, port: int) -> int:
    """The length of the page at `port` of the machine at the far end."""
    connection = TunnelConnection(client, "127.0.0.1", port)
    try:
        connection.request("GET", "/")
        return len(connection.getresponse().read())
    finally:
        connection.close()


if __name__ == "__main__":
    main()
