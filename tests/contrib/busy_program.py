"""A program whose threads all use one tunnel: `busy_program.py threads|gevent URL SHA256`.

In the second case it is patched, and the threads are greenlets. It says what it has done, and ends by itself.
"""

import sys

if sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()

import hashlib
import socket
import threading

import gevent.monkey
import requests

from linksocks import Client, Server
from linksocks.contrib.requests import TunnelAdapter

THREADS = 20
REQUESTS = 10


def main(url: str, expected: str) -> None:
    with Server(ws_host="127.0.0.1", ws_port=0) as server:
        link = f"ws://127.0.0.1:{server.ws_port}"
        with (
            Client(server.add_forward_token(), ws_url=link, socks=False) as client,
            requests.Session() as session,
        ):
            session.mount("http://", TunnelAdapter(client, pool_maxsize=THREADS))
            right = [0] * THREADS

            def work(place: int) -> None:
                for _ in range(REQUESTS):
                    body = session.get(url, timeout=30).content
                    right[place] += hashlib.sha256(body).hexdigest() == expected

            threads = [threading.Thread(target=work, args=(place,)) for place in range(THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            own = "gevent" if "gevent" in socket.socket.__module__ else "threads"
            sys.stdout.write(
                f"{sum(right)} right answers, {own}, {len(gevent.monkey.saved)} modules patched\n"
            )


main(*sys.argv[2:])
