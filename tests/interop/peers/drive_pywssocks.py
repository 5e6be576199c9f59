"""Plays pywssocks through its Python API, its event loop in a thread of its own; see driver.py."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

import driver
from pywssocks import WSSocksClient, WSSocksServer

_T = TypeVar("_T")


@contextmanager
def server(ws_port: int, token: str) -> Iterator[None]:
    """A server that dials for forward clients with `token`."""
    peer = WSSocksServer(ws_host="127.0.0.1", ws_port=ws_port)
    peer.add_forward_token(token)
    with _loop_thread() as loop:
        loop.wait(_up(peer.serve(), peer.ready))
        yield


@contextmanager
def reverse_server(ws_port: int, token: str, socks_port: int) -> Iterator[None]:
    """A server with a SOCKS port for the providers with `token`; it opens with the first of them."""
    peer = WSSocksServer(ws_host="127.0.0.1", ws_port=ws_port, socks_host="127.0.0.1")
    _expect((token, socks_port), peer.add_reverse_token(token, socks_port))
    with _loop_thread() as loop:
        loop.wait(_up(peer.serve(), peer.ready))
        yield


@contextmanager
def agent_server(ws_port: int, token: str, connector_token: str, socks_port: int) -> Iterator[None]:
    """A server between the providers with `token` and the connectors with `connector_token`.

    Its reverse token has a SOCKS port all the same, which the server would choose without a look at who has it.
    """
    peer = WSSocksServer(ws_host="127.0.0.1", ws_port=ws_port, socks_host="127.0.0.1")
    _expect((token, socks_port), peer.add_reverse_token(token, socks_port))
    _expect(connector_token, peer.add_connector_token(connector_token, token))
    with _loop_thread() as loop:
        loop.wait(_up(peer.serve(), peer.ready))
        yield


@contextmanager
def autonomy_server(ws_port: int, token: str) -> Iterator[None]:
    """A server whose providers with `token` bring their own connector tokens."""
    peer = WSSocksServer(ws_host="127.0.0.1", ws_port=ws_port, socks_host="127.0.0.1")
    peer.add_reverse_token(token, allow_manage_connector=True)
    with _loop_thread() as loop:
        loop.wait(_up(peer.serve(), peer.ready))
        yield


@contextmanager
def client(ws_port: int, token: str, socks_port: int, url: str = "") -> Iterator[None]:
    """A forward client or a connector, logged in, with its SOCKS port open."""
    url = url or f"ws://127.0.0.1:{ws_port}"
    peer = WSSocksClient(token, url, socks_host="127.0.0.1", socks_port=socks_port, reconnect=False)
    with _loop_thread() as loop:
        loop.wait(_up(peer.connect(), peer.connected))
        yield


@contextmanager
def provider(ws_port: int, token: str, connector_token: str = "", url: str = "") -> Iterator[None]:
    """A client that dials for others, logged in; `connector_token` is what it adds in autonomy."""
    peer = WSSocksClient(token, url or f"ws://127.0.0.1:{ws_port}", reverse=True, reconnect=False)
    with _loop_thread() as loop:
        loop.wait(_up(peer.connect(), peer.connected))
        if connector_token:
            _expect(connector_token, loop.wait(peer.add_connector(connector_token)))
        yield


class _Loop:
    """An event loop that runs elsewhere."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def wait(self, running: Coroutine[None, None, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(running, self.loop).result(driver.READY_SECONDS)


@contextmanager
def _loop_thread() -> Iterator[_Loop]:
    elsewhere = _Loop()
    threading.Thread(target=elsewhere.loop.run_forever, daemon=True).start()
    yield elsewhere


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


def _expect(wanted: object, granted: object) -> None:
    """What is refused comes back as None."""
    if granted != wanted:
        raise RuntimeError(f"granted {granted!r} instead of {wanted!r}")


# An event loop holds its tasks weakly.
_tasks: set[asyncio.Task[None]] = set()

driver.main(
    {
        "server": server,
        "reverse_server": reverse_server,
        "agent_server": agent_server,
        "autonomy_server": autonomy_server,
        "client": client,
        "connector": client,
        "provider": provider,
    }
)
