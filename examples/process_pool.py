"""A plain worker: four processes fetch pages, each through a tunnel of its own.

::

    LINKSOCKS_URL=ws://SERVER:8765 LINKSOCKS_TOKEN=key python examples/process_pool.py URL...
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor

import requests

from linksocks import Client

tunnel = Client(os.environ["LINKSOCKS_TOKEN"], ws_url=os.environ["LINKSOCKS_URL"], socks_port=0)


def size(url: str) -> int:
    """Runs in a process of the pool. Its first call there starts the tunnel, which ends with the process."""
    return len(requests.get(url, proxies=tunnel.proxies, timeout=10).content)


def main(urls: list[str]) -> None:
    with ProcessPoolExecutor(4) as pool:
        for url, length in zip(urls, pool.map(size, urls), strict=True):
            print(f"{length:8} {url}")


if __name__ == "__main__":
    main(sys.argv[1:])
