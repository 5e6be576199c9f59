"""/api/clients: who is connected, what each moves, and its disconnection.

`sent` and `received` are from the server's view, in bytes of payload: what went to the client and what came from it.
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any, Final

from flask import Blueprint, Response

from linksocks.net.sockets import shown
from linksocks.server.api.answers import answer, failure
from linksocks.server.api.controls import Controls
from linksocks.server.clients import Client
from linksocks.tunnel.channels.datagrams import AnyChannel, DatagramChannel
from linksocks.wire.frames import CloseCode

MAX_CHANNELS: Final = 1000
"""Channels of one client that are listed, the oldest of each link first; `channels_count` counts all."""


def add_pages(api: Blueprint, controls: Controls) -> None:
    """/api/clients."""

    @api.get("/api/clients")
    def list_clients() -> Response:
        return answer(success=True, clients=[_summary(client) for client in controls.clients])

    @api.get("/api/clients/<name>")
    def show_client(name: str) -> Response:
        client = controls.clients.find(name)
        if client is None:
            return _unknown()
        return answer(success=True, client=_summary(client) | {"channels": _channels(client)})

    @api.delete("/api/clients/<name>")
    def disconnect_client(name: str) -> Response:
        client = controls.clients.find(name)
        if client is None:
            return _unknown()
        for link in list(client.links):
            link.close(CloseCode.POLICY, "disconnected by the operator")
        return answer(success=True, client=name)


def _unknown() -> Response:
    return failure(404, "there is no such client")


def _summary(client: Client) -> dict[str, Any]:
    traffic = [link.traffic for link in client.links]
    return {
        "id": client.id,
        "role": client.token.grant.client,
        "token": client.token.spec.label,
        "instance": str(uuid.UUID(bytes=client.instance)),
        "since": _time(min(client.links.values())),
        "sent": sum(sent for sent, _ in traffic),
        "received": sum(received for _, received in traffic),
        "channels_count": sum(link.channels for link in client.links),
        "links": [{"address": link.name, "since": _time(since)} for link, since in client.links.items()],
    }


def _channels(client: Client) -> list[dict[str, Any]]:
    channels = [channel for link in client.links for channel in link.each_channel()]
    return [_channel(channel) for channel in channels[:MAX_CHANNELS]]


def _channel(channel: AnyChannel) -> dict[str, Any]:
    """The target of a UDP association is null: each of its datagrams has one of its own."""
    sent, received = channel.traffic
    return {
        "id": str(uuid.UUID(bytes=channel.id)),
        "transport": "udp" if isinstance(channel, DatagramChannel) else "tcp",
        "target": None if channel.target is None else shown(channel.target),
        "age": round(time.monotonic() - channel.began, 3),
        "sent": sent,
        "received": received,
    }


def _time(seconds: float) -> str:
    """RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
