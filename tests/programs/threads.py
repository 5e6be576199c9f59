"""Threads: a client with four links, and eight threads of the program that use it at once, forward and reverse.

A question at a time, and short ones: PyPI's linksocks may swap the parts of a longer answer, as they come by several
links.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from outside import EchoTarget, echo, free_port

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()


def client(token: str, **options: Any) -> Client:
    return Client(
        token,
        ws_url=f"ws://127.0.0.1:{ws_port}",
        threads=4,
        no_env_proxy=True,
        direct_mode="relay-only",
        **options,
    )


def talk(port: int) -> int:
    with echo(target, port) as ask:
        for number in range(10):
            assert ask(b"question %d" % number) == b"question %d" % number
    return number + 1


with EchoTarget() as target, Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
    result = server.add_reverse_token()
    with (
        client(server.add_forward_token(), socks_port=socks_port) as forward,
        client(result.token, reverse=True) as provider,
        ThreadPoolExecutor(8) as pool,
    ):
        forward.wait_ready(timeout=5)
        provider.wait_ready(timeout=5)
        print(f"threads: {sum(pool.map(talk, [socks_port, result.port] * 8))} answers")
