"""Who hears of clients that come and go, and what is said of them."""

from __future__ import annotations

import re

import pytest

from linksocks.errors import AuthError
from linksocks.server.grants import Forward
from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.events import Event, LinkDown, LinkUp
from linksocks.wire import messages as m
from tests.support.roles import (
    TOKEN,
    at_the_door,
    by_hand,
    client_role,
    logs_in_too_late,
    running,
    server_role,
    stopping,
)
from tests.support.tunnels import PATIENCE
from tests.support.waits import eventually

REVERSE, CONNECTOR = "a-reverse-token", "a-connector-token"


@pytest.mark.parametrize(
    ("token", "role"), [(TOKEN, "forward client"), (REVERSE, "provider"), (CONNECTOR, "connector")]
)
def test_a_link_is_told_with_its_client_and_role(token: str, role: str) -> None:
    server = server_role()
    server.add(TokenSpec(Kind.REVERSE, REVERSE))
    server.add(TokenSpec(Kind.CONNECTOR, CONNECTOR, reverse_token=REVERSE))
    told: list[Event] = []
    server.observers.add(told.append)
    with running(server):
        with by_hand(server, token, reverse=token == REVERSE):
            eventually(lambda: len(told) == 1)
            (client,) = server.controls.clients
            (link,) = client.links
        eventually(lambda: len(told) == 2)
    up, down = told
    assert up == LinkUp(f"{role} {client.id} at {link.name}")
    assert down == LinkDown(up.name, "link closed with code 1000")
    assert token not in repr(told)
    assert re.fullmatch(r"127\.0\.0\.1:\d+", link.name)


def test_who_counts_when_told_counts_the_link_while_it_is_there() -> None:
    server = server_role()
    counts: list[tuple[type[Event], int]] = []
    server.observers.add(lambda event: counts.append((type(event), server.clients())))
    with running(server), by_hand(server) as hand:
        eventually(lambda: len(counts) == 1)
        server.remove(TOKEN)
        assert hand.closed().code == 1008
        eventually(lambda: len(counts) == 2)
    assert counts == [(LinkUp, 1), (LinkDown, 0)]


def test_who_is_refused_is_no_link() -> None:
    server = server_role()
    told: list[Event] = []
    server.observers.add(told.append)
    with running(server), running(client_role(server.port, token="wrong")) as client:
        with pytest.raises(AuthError):
            client.wait_ready(PATIENCE)
        assert not told


def test_whose_token_goes_during_the_login_does_not_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    server = server_role()
    monkeypatch.setattr(Forward, "prepare", lambda _: server.remove(TOKEN))
    with running(server), by_hand(server) as hand:
        assert hand.closed().code == 1008
        assert server.clients() == 0


def test_who_is_at_the_login_when_the_server_stops_does_not_come_in() -> None:
    server = server_role()
    with running(server), by_hand(server) as first, at_the_door(server) as late:
        logs_in_too_late(server, first, late, m.Auth(TOKEN, False, b"2" * 16))


def test_a_link_whose_beginning_was_not_told_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    server = server_role()
    told: list[Event] = []
    server.observers.add(told.append)

    def present(*_: object) -> None:
        raise ValueError("as a bug would")

    monkeypatch.setattr(server.controls.clients, "present", present)
    with running(server), by_hand(server) as hand:
        hand.closed()
    assert not told


def test_an_observer_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    server = server_role()

    def fail(_event: Event) -> None:
        raise ValueError("as programs do")

    server.observers.add(fail)
    with running(server), by_hand(server) as hand:
        hand.send(m.Connect(b"a" * 16, resume=True))
        assert hand.expect(m.Disconnect)
    assert "an observer failed" in caplog.text


def test_a_stop_ends_links_for_their_observers() -> None:
    server = server_role()
    told: list[Event] = []
    server.observers.add(told.append)
    with running(server), by_hand(server) as hand:
        with stopping(server):
            assert hand.closed().code == 1001
            hand.leave()
        assert [type(event) for event in told] == [LinkUp, LinkDown]
