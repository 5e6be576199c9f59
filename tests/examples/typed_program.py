"""A program that uses the library, for test_types.py: each assert_type fails where a type is lost. Never run."""

from __future__ import annotations

import logging
import smtplib
import socket
from datetime import timedelta
from typing import assert_type

from linksocks import (
    AccessRule,
    Client,
    ClientStats,
    LinkDown,
    LinkUp,
    PartnersChanged,
    ReverseTokenResult,
    Server,
    ServerStats,
    __version__,
    set_log_level,
)

assert_type(__version__, str)
set_log_level(logging.DEBUG)
set_log_level("debug")


def servers() -> None:
    rules = [AccessRule(["10.0.0.0/8"], [22, (8000, 9000)]), AccessRule(addrs=["*"])]
    with Server(
        ws_host="127.0.0.1",
        ws_port=0,
        port_pool=range(20_000, 20_100),
        connect_timeout="1.5s",
        channel_timeout=timedelta(hours=1),
        connector_wait_provider=2,
        dial_access_control=rules,
    ) as server:
        assert_type(server, Server)
        assert_type(server.ws_port, int)
        assert_type(server.add_forward_token(), str)
        assert_type(server.add_forward_token_with_rules("token", rules), str)
        result = server.add_reverse_token(username="u", password="p", rules=rules)
        assert_type(result, ReverseTokenResult)
        assert_type(result.token, str)
        assert_type(result.port, int)
        assert_type(server.create_connection(("db", 5432), timeout=5, token=result.token), socket.socket)
        assert_type(server.stats(), ServerStats)
        assert_type(server.add_connector_token(None, result.token), str)
        assert_type(server.remove_token("token"), bool)
        assert_type(server.get_client_count(), int)
        assert_type(server.get_token_client_count(result.token), int)
        assert_type(server.get_connector_wait_count(result.token), int)
        assert_type(server.has_clients(), bool)
        assert_type(server.log, logging.Logger)
        assert_type(server.wait_ready("300ms"), None)
        assert_type(server.close(), None)


def clients() -> None:
    with Client("token", ws_url="ws://localhost:8765", socks_port=0, reconnect=True) as client:
        assert_type(client, Client)
        assert_type(client.wait_ready(timeout=timedelta(seconds=5)), None)
        assert_type(client.create_connection(("db.example.org", 5432), timeout=5), socket.socket)
        assert_type(client.proxies, dict[str, str])
        assert_type(client.socks_port, int | None)
        assert_type(client.is_connected, bool)
        assert_type(client.get_rtt(), int)
        assert_type(client.get_partners_count(), int)
        assert_type(client.get_server_token(), str)
        assert_type(client.add_connector(None), str)
        assert_type(client.log, logging.Logger)
        assert_type(client.stats(), ClientStats)
        assert_type(client.stats().bytes_sent, int)
        for event in client.events():
            assert_type(event, LinkUp | LinkDown | PartnersChanged)
        client.close(grace=5)


class Mailer(smtplib.SMTP):
    def __init__(self, client: Client) -> None:
        self.client = client
        super().__init__()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self.client.create_connection((host, port), timeout, self.source_address)


async def asynchronous() -> None:
    async with Server(ws_host="127.0.0.1", ws_port=0) as server:
        assert_type(server, Server)
        assert_type(await server.async_add_forward_token(), str)
        assert_type(await server.async_add_reverse_token(token="t"), ReverseTokenResult)
        assert_type(await server.async_remove_token("t"), bool)
    async with Client("token", ws_url="ws://localhost:8765") as client:
        assert_type(client, Client)
        assert_type(await client.async_create_connection(("db.example.org", 5432)), socket.socket)
        assert_type(await client.async_wait_ready(5), None)
        assert_type(await client.async_close(), None)
