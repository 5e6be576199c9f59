"""Celery: a tunnel in each process of the pool, up before its first task.

::

    LINKSOCKS_URL=ws://SERVER:8765 LINKSOCKS_TOKEN=key celery --workdir examples --app celery_tasks worker
"""

import os
from typing import Any

import requests
from celery import Celery
from celery.signals import worker_process_init

from linksocks import Client

app = Celery("celery_tasks")  # with the broker of CELERY_BROKER_URL
tunnel = Client(
    os.environ["LINKSOCKS_TOKEN"], ws_url=os.environ["LINKSOCKS_URL"], socks_port=0, reconnect=True
)


@worker_process_init.connect
def start(**_: Any) -> None:
    """In each process of the pool, after the fork. Celery gives it four seconds."""
    tunnel.wait_ready(3)


@app.task
def size(url: str) -> int:
    return len(requests.get(url, proxies=tunnel.proxies, timeout=10).content)
