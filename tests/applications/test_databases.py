"""A database driver that takes a socket: PyMySQL, with a server of MySQL's protocol behind the tunnel."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
import pytest
from mysql_mimic import MysqlServer, Session

from linksocks import Client
from tests.support.ports import free_port

PATIENCE = 10.0
ROWS = [(number, f"größer {number} " * 20) for number in range(5000)]


class Table(Session):
    """One table, whatever is asked for."""

    async def query(self, expression: Any, sql: str, attrs: dict[str, str]) -> Any:
        return ROWS, ["number", "text"]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    loop, port = asyncio.new_event_loop(), free_port()
    server = MysqlServer(session_factory=Table)
    loop.run_until_complete(server.start_server(host="127.0.0.1", port=port))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield port
    server.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@contextmanager
def session(client: Client, port: int) -> Iterator[Any]:
    """As a program writes it."""
    connection = pymysql.connect(user="me", defer_connect=True, read_timeout=PATIENCE)
    connection.connect(client.create_connection(("127.0.0.1", port), PATIENCE))
    with connection, connection.cursor() as cursor:
        yield cursor


def test_a_table(client: Client, port: int) -> None:
    with session(client, port) as cursor:
        assert cursor.execute("SELECT number, text FROM anywhere") == len(ROWS)
        assert cursor.fetchall() == tuple(ROWS)


def test_sessions_at_once(client: Client, port: int) -> None:
    with session(client, port) as first, session(client, port) as second:
        for cursor in (first, second, first):
            cursor.execute("SELECT * FROM anywhere")
            assert cursor.fetchone() == ROWS[0]
