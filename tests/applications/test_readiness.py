"""Many sockets of `create_connection` at once, waited for in each way that Python has."""

from __future__ import annotations

import asyncio
import select
import selectors
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from linksocks import Client
from tests.support.certificates import Files
from tests.support.targets import EchoTarget, HttpTarget, seeded_bytes

PATIENCE = 10.0
MANY = 50

Waiter = Callable[[list[socket.socket]], set[int]]


def by_select(socks: list[socket.socket]) -> set[int]:
    return {sock.fileno() for sock in select.select(socks, [], [], PATIENCE)[0]}


def by_poll(socks: list[socket.socket]) -> set[int]:
    poll = select.poll()
    for sock in socks:
        poll.register(sock, select.POLLIN)
    return {fd for fd, _ in poll.poll(PATIENCE * 1000)}


def by_epoll(socks: list[socket.socket]) -> set[int]:
    with select.epoll() as epoll:
        for sock in socks:
            epoll.register(sock, select.EPOLLIN | select.EPOLLET)
        return {fd for fd, _ in epoll.poll(PATIENCE)}


def by_selector(socks: list[socket.socket]) -> set[int]:
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ)
        return {key.fd for key, _ in selector.select(PATIENCE)}


@pytest.fixture
def socks(client: Client) -> Iterator[list[socket.socket]]:
    with EchoTarget() as echo, ExitStack() as stack:
        yield [
            stack.enter_context(client.create_connection(("127.0.0.1", echo.port), PATIENCE))
            for _ in range(MANY)
        ]


@pytest.mark.parametrize("wait", [by_select, by_poll, by_epoll, by_selector])
def test_those_that_have_something(socks: list[socket.socket], wait: Waiter) -> None:
    for sock in socks:
        sock.setblocking(False)
    talking = {sock.fileno(): sock for sock in socks[::2]}
    for fd, sock in talking.items():
        sock.send(b"%d" % fd)
    heard = {}
    while len(heard) < len(talking):
        ready = wait(socks)
        assert ready, "nothing in time"
        assert ready <= talking.keys()
        heard |= {fd: int(talking[fd].recv(100)) for fd in ready}
    assert heard == {fd: fd for fd in talking}


def test_all_can_be_written_to(socks: list[socket.socket]) -> None:
    assert select.select([], socks, [], PATIENCE)[1] == socks


def test_an_end_is_something_to_read(socks: list[socket.socket]) -> None:
    socks[7].shutdown(socket.SHUT_WR)
    assert by_poll(socks) == {socks[7].fileno()}
    assert socks[7].recv(1) == b""


def test_streams_of_asyncio(socks: list[socket.socket]) -> None:
    async def talk(number: int) -> bytes:
        reader, writer = await asyncio.open_connection(sock=socks[number])
        writer.write(b"%d" % number * 50_000)
        await writer.drain()
        writer.write_eof()
        data = await reader.read()
        writer.close()
        await writer.wait_closed()
        return data

    async def talk_all() -> list[bytes]:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.gather(*(talk(number) for number in range(MANY)))

    assert asyncio.run(talk_all()) == [b"%d" % number * 50_000 for number in range(MANY)]


def test_tls_of_asyncio(client: Client, files: Files) -> None:
    async def talk(port: int) -> bytes:
        sock = client.create_connection(("127.0.0.1", port), PATIENCE)
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=files.trusting(), server_hostname="target.example"
            )
            writer.write(b"GET /bytes/100?seed=1 HTTP/1.0\r\n\r\n")
            data = await reader.read()
            writer.close()
            await writer.wait_closed()
        return data

    with HttpTarget(tls=files.serving()) as target:
        answer = asyncio.run(talk(target.port))
    assert answer.endswith(b"\r\n\r\n" + seeded_bytes(100, 1))
