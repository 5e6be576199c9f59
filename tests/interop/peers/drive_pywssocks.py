"""Plays pywssocks through its Python API, its event loop in a thread of its own; see driver.py."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager

import driver
from pywssocks import WSSocksClient, WSSocksServer


@contextmanager
def server(ws_port: int, token: str) -> Iterator[None]:
    """A server that dials for forward clients with `token`."""

    async def start() -> None:
        peer = WSSocksServer(ws_host="127.0.0.1", ws_port=ws_port)
        peer.add_forward_token(token)
        await _up(peer.serve(), peer.ready)

    with _loop_thread() as loop:
        asyncio.run_coroutine_threadsafe(start(), loop).result(driver.READY_SECONDS)
        yield


@contextmanager
def client(ws_port: int, token: str, socks_port: int) -> Iterator[None]:
    """A forward client, logged in, with its SOCKS port open."""

    async def start() -> None:
        url = f"ws://127.0.0.1:{ws_port}"
        peer = WSSocksClient(token, url, socks_host="127.0.0.1", socks_port=socks_port, reconnect=False)
        await _up(peer.connect(), peer.connected)

    with _loop_thread() as loop:
        asyncio.run_coroutine_threadsafe(start(), loop).result(driver.READY_SECONDS)
        yield


async def _up(running: Coroutine[None, None, None], ready: asyncio.Event) -> None:
    """Start a peer. When the login is refused it ends and only logs why; its wait_ready never returns."""
    said = _LastError()
    logging.getLogger().addHandler(said)
    task = asyncio.create_task(running)
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    if not ready.is_set():
        raise RuntimeError(said.text)
    _tasks.add(task)


class _LastError(logging.Handler):
    """Keeps the last error that was logged."""

    text = "ended without a word"

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            self.text = record.getMessage()


@contextmanager
def _loop_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    yield loop


# An event loop holds its tasks weakly.
_tasks: set[asyncio.Task[None]] = set()

driver.main({"server": server, "client": client})
