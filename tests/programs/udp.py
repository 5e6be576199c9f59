"""UDP: datagrams by SOCKS5's UDP ASSOCIATE, forward and reverse, to IPv4 and to IPv6."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from outside import Association, free_port

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()


@contextlib.contextmanager
def echo_datagrams(host: str) -> Iterator[int]:
    """A UDP port of `host` that answers each datagram with itself, reversed; an empty one ends it."""

    def serve() -> None:
        while (datagram := target.recvfrom(65_536))[0]:
            target.sendto(datagram[0][::-1], datagram[1])

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind((host, 0))
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield target.getsockname()[1]
        finally:
            target.sendto(b"", target.getsockname())
            thread.join()


def client(token: str, **options: Any) -> Client:
    return Client(
        token, ws_url=f"ws://127.0.0.1:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )


with Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
    result = server.add_reverse_token()
    with (
        client(server.add_forward_token(), socks_port=socks_port) as forward,
        client(result.token, reverse=True) as provider,
    ):
        forward.wait_ready(timeout=5)
        provider.wait_ready(timeout=5)
        size = 0
        for port in (socks_port, result.port):
            for host in ("127.0.0.1", "::1"):
                with echo_datagrams(host) as echo, Association(("127.0.0.1", port)) as association:
                    for question in (b"ping", bytes(range(256)) * 5):
                        answer = association.ask(host, echo, question)[2]
                        assert answer == question[::-1]
                        size += len(answer)
print(f"udp: {size} bytes")
