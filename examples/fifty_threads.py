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


def fetch(client: Client, port: int) -> int:
    """The length of the page at `port` of the machine at the far end."""
    connection = HTTPConnection("127.0.0.1", port)
    connection.sock = client.create_connection(("127.0.0.1", port), timeout=10)
    try:
        connection.request("GET", "/")
        return len(connection.getresponse().read())
    finally:
        connection.close()


if __name__ == "__main__":
    main()
