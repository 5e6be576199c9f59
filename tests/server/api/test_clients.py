"""/api/clients: who is connected, what each moved, and its disconnection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import gevent
import pytest
from gevent import socket

from linksocks.errors import LinkClosed
from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.wire import messages as m
from tests.support import socks
from tests.support.api import Api
from tests.support.roles import by_hand, client_role, running
from tests.support.tunnels import Target

INSTANCE = b"i" * 16


def the_one(api: Api) -> dict[str, object]:
    [client] = api.get("/api/clients")["clients"]
    return api.get(f"/api/clients/{client['id']}")["client"]


def test_nobody(api: Api) -> None:
    assert api.get("/api/clients") == {"success": True, "clients": []}


@pytest.mark.parametrize(
    ("token", "reverse", "role"),
    [("f", False, "forward client"), ("r", True, "provider"), ("c", False, "connector")],
)
def test_who_is_there(api: Api, server: ServerRole, token: str, reverse: bool, role: str) -> None:
    server.add(TokenSpec(Kind.FORWARD, "f"))
    server.add(TokenSpec(Kind.REVERSE, "r"))
    connector = server.add(TokenSpec(Kind.CONNECTOR, "c", reverse_token="r"))
    labels = {each.spec.token: each.spec.label for each in server.controls.tokens}
    assert connector.spec.label == labels["c"]
    with by_hand(server, token, reverse=reverse):
        client = the_one(api)
    assert (client["role"], client["token"], client["instance"]) == (
        role,
        labels[token],
        str(UUID(bytes=INSTANCE)),
    )
    [link] = client["links"]
    assert link["address"].startswith("127.0.0.1:")
    began = datetime.fromisoformat(link["since"])
    assert datetime.now(UTC) - began < timedelta(minutes=1)
    assert link["since"] == client["since"]
    assert client["since"].endswith("Z")
    assert api.get("/api/clients") == {"success": True, "clients": []}


def test_links_of_one_instance_are_one_client_and_those_of_two_tokens_are_not(
    api: Api, server: ServerRole
) -> None:
    for token in ("a", "b"):
        server.add(TokenSpec(Kind.FORWARD, token))
    with by_hand(server, "a"), by_hand(server, "a"), by_hand(server, "b"):
        clients = api.get("/api/clients")["clients"]
        assert [len(client["links"]) for client in clients] == [2, 1]
        ids = [client["id"] for client in clients]
    with by_hand(server, "b"), by_hand(server, "a"):
        assert [client["id"] for client in api.get("/api/clients")["clients"]] == ids[::-1]


def test_what_a_client_moves(api: Api, server: ServerRole) -> None:
    server.add(TokenSpec(Kind.FORWARD, "f"))
    with Target() as target, running(client_role(server.port, token="f", socks_no_wait=True)) as role:
        with (
            socks.connect(role.socks_port, "127.0.0.1", target.port, create=socket.create_connection) as sock,
            target.accept() as reached,
        ):
            sock.sendall(b"x" * 1000)
            socks.read_exactly(reached, 1000)
            reached.sendall(b"y" * 500)
            socks.read_exactly(sock, 500)
            client = the_one(api)
            [channel] = client["channels"]
            assert (channel["transport"], channel["target"]) == ("tcp", f"127.0.0.1:{target.port}")
            assert (channel["sent"], channel["received"]) == (500, 1000)
            assert channel["age"] >= 0
        while the_one(api)["channels_count"]:
            gevent.sleep(0.001)
        ended = the_one(api)
    assert ended["channels"] == []
    assert (ended["sent"], ended["received"]) == (500, 1000)  # what has ended still counts


def test_an_association(api: Api, server: ServerRole) -> None:
    server.add(TokenSpec(Kind.FORWARD, "f"))
    with by_hand(server, "f") as hand:
        hand.send(m.Connect(b"u" * 16, transport=m.Transport.UDP))
        assert hand.next() == m.ConnectResponse(True, b"u" * 16)
        [channel] = the_one(api)["channels"]
    assert (channel["transport"], channel["target"]) == ("udp", None)


def test_disconnecting_one(api: Api, server: ServerRole) -> None:
    server.add(TokenSpec(Kind.FORWARD, "f"))
    with (
        by_hand(server, "f") as first,
        by_hand(server, "f") as second,
        by_hand(server, "f", instance=b"o" * 16),
    ):
        [client] = [each for each in api.get("/api/clients")["clients"] if len(each["links"]) == 2]
        answer = api.ask("DELETE", f"/api/clients/{client['id']}")
        assert (answer.status, answer.json) == (200, {"success": True, "client": client["id"]})
        for hand in (first, second):
            with pytest.raises(LinkClosed) as closed:
                hand.next()
            assert (closed.value.code, closed.value.reason) == (1008, "disconnected by the operator")
        assert len(api.get("/api/clients")["clients"]) == 1


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_one_that_is_not_there(api: Api, method: str) -> None:
    answer = api.ask(method, "/api/clients/0123456789abcdef")
    assert (answer.status, answer.json) == (404, {"success": False, "error": "there is no such client"})


def test_no_token_is_shown(api: Api, server: ServerRole) -> None:
    server.add(TokenSpec(Kind.FORWARD, "secret-f"))
    with by_hand(server, "secret-f"):
        assert "secret" not in api.ask("GET", "/api/clients").text
        assert "secret" not in str(the_one(api))
