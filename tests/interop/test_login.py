"""A wrong token, with every peer and both ways round: who came with it ends, and says why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.interop.peer import OURS, Option, Ourselves, Peer, PeerError
from tests.support.ports import free_port
from tests.support.processes import Process, linksocks

TOKEN, CONNECTOR_TOKEN = "the-right-token", "the-connector-token"

ROLES = {"client": "server", "provider": "reverse_server", "connector": "agent_server"}
"""Who comes with a token, and whom to."""


@contextmanager
def _server(player: Peer | Ourselves, role: str) -> Iterator[tuple[int, Process]]:
    """Its port, and the server."""
    options: dict[str, Option] = {"ws_port": free_port(), "token": TOKEN}
    if role != "server":
        options["socks_port"] = free_port()
    if role == "agent_server":
        options["connector_token"] = CONNECTOR_TOKEN
    with player.play(role, **options) as process:
        yield int(options["ws_port"]), process


def _guest(role: str, ws_port: int) -> dict[str, Option]:
    """Its options, with the wrong token."""
    options: dict[str, Option] = {"ws_port": ws_port, "token": "wrong"}
    return options if role == "provider" else {**options, "socks_port": free_port()}


@pytest.mark.parametrize("role", ROLES)
def test_ours_at_their_server(peer: Peer, role: str) -> None:
    with (
        _server(peer, ROLES[role]) as (ws_port, _),
        linksocks(*OURS.command(role, **_guest(role, ws_port))) as ours,
    ):
        assert ours.wait_exit() == 1, ours.output
    said = "\n".join(ours.err)
    assert re.search(r"(?i)authentication failed: invalid token; check", said), "their reason, and what to do"
    assert "Traceback" not in said


@pytest.mark.parametrize("role", ROLES)
def test_theirs_at_our_server(peer: Peer, role: str) -> None:
    with _server(OURS, ROLES[role]) as (ws_port, server):
        with (
            pytest.raises(PeerError, match=r"(?i)invalid token"),
            peer.play(role, **_guest(role, ws_port)),
        ):
            pytest.fail(f"logged in\n{server.output}")
        assert "Traceback" not in server.output
