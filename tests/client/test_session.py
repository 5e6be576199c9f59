"""How a client says who it is, link after link, to a server played by hand."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import gevent
import pytest

from linksocks.client.session import Session
from linksocks.errors import AuthError, ConfigError, LinkClosed, LinkError
from linksocks.net.out.resolve import Resolver
from linksocks.net.tls.trust import Trust
from linksocks.tunnel.channels.link import Link
from linksocks.wire import messages as m
from linksocks.wire.auth import token_hash
from tests.support.roles import TOKEN, uplink
from tests.support.visitors import YES, PlayedServer, Visitor

ASSIGNED = "a-token-that-the-server-made"
NO = m.AuthResponse(False, "invalid token")


@contextmanager
def session(
    server: PlayedServer, *, reverse: bool = False, recognised: bool = False, **said: Any
) -> Iterator[Session]:
    resolver = Resolver()
    yield Session(uplink(server.port, **said), resolver, reverse=reverse, recognised=recognised)
    resolver.close()


def linked(made: Session, server: PlayedServer, answer: m.AuthResponse = YES) -> Visitor:
    """The server's end of a link that was made and ended again."""
    making = gevent.spawn(made.link)
    visitor = server.admit(answer)
    if not answer.success:
        visitor.leave()
    end(making.get(), visitor)
    return visitor


def end(link: Link, visitor: Visitor) -> None:
    running = gevent.spawn(_run, link)
    visitor.leave()
    running.get()


def leave(making: list[gevent.Greenlet], visitors: list[Visitor]) -> None:
    """All links end; any visitor may be the other end of any."""
    running = [gevent.spawn(_run, greenlet.get()) for greenlet in making]
    for visitor in visitors:
        visitor.leave()
    gevent.joinall(running, raise_error=True)


def _run(link: Link) -> None:
    with pytest.raises(LinkClosed):
        link.run()


@pytest.mark.parametrize("reverse", [False, True])
def test_it_logs_in_by_the_url_as_one_instance(reverse: bool) -> None:
    with PlayedServer() as server, session(server, reverse=reverse) as made:
        first, second = linked(made, server), linked(made, server)
        assert first.query == second.query
        assert first.query["token"] == token_hash(TOKEN)
        assert first.query["reverse"] == str(reverse).lower()
        assert UUID(first.query["instance"])


def test_two_sessions_are_two_instances() -> None:
    with PlayedServer() as server, session(server) as one, session(server) as other:
        assert linked(one, server).query["instance"] != linked(other, server).query["instance"]


def test_who_must_be_recognised_logs_in_by_a_message() -> None:
    """LinkSocks (Go) never reads the instance in a URL."""
    with PlayedServer() as server, session(server, reverse=True, recognised=True) as made:
        said = []
        for _ in range(2):
            making = gevent.spawn(made.link)
            visitor = server.next()
            assert visitor.query == {}
            said.append(visitor.expect(m.Auth))
            visitor.send(YES)
            end(making.get(), visitor)
        assert said[0] == said[1]
        assert (said[0].token, said[0].reverse) == (TOKEN, True)
        assert said[0].instance != m.NO_ID


def test_without_a_token_it_is_anonymous_in_the_url() -> None:
    with PlayedServer() as server, session(server, token="", recognised=True) as made:
        assert linked(made, server).query["token"] == token_hash("anonymous")


class TestAssignedToken:
    def test_it_is_for_all_later_links_and_for_no_log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG - 5)
        with PlayedServer() as server, session(server, token="", reverse=True) as made:
            first = linked(made, server, m.AuthResponse(True, token=ASSIGNED))
            assert first.query["token"] == token_hash("anonymous")
            for _ in range(2):
                later = linked(made, server)
                assert later.query["token"] == token_hash(ASSIGNED)
                assert later.query["instance"] == first.query["instance"]
        assert ASSIGNED not in caplog.text

    def test_a_server_that_does_not_know_it_any_more_is_asked_for_another(self) -> None:
        with PlayedServer() as server, session(server, token="") as made:
            linked(made, server, m.AuthResponse(True, token=ASSIGNED))
            with pytest.raises(LinkError, match="does not know the token any more") as caught:
                linked(made, server, NO)
            assert not isinstance(caught.value, AuthError)
            assert linked(made, server).query["token"] == token_hash("anonymous")

    def test_a_token_of_our_own_that_is_refused_is_refused(self) -> None:
        with PlayedServer() as server, session(server) as made:
            linked(made, server)
            with pytest.raises(AuthError):
                linked(made, server, NO)


def test_until_it_is_admitted_it_tries_one_link_at_a_time() -> None:
    """Several links without a token would else become as many clients."""
    with PlayedServer() as server, session(server, token="") as made:
        making = [gevent.spawn(made.link) for _ in range(3)]
        first = server.next()
        gevent.sleep(0.05)
        assert server.waiting == 0
        first.send(m.AuthResponse(True, token=ASSIGNED))
        others = [server.admit() for _ in range(2)]
        assert {visitor.query["token"] for visitor in others} == {token_hash(ASSIGNED)}
        leave(making, [first, *others])


def test_an_admitted_one_makes_links_at_once() -> None:
    with PlayedServer() as server, session(server) as made:
        linked(made, server)
        making = [gevent.spawn(made.link) for _ in range(3)]
        visitors = [server.next() for _ in range(3)]
        for visitor in visitors:
            visitor.send(YES)
        leave(making, visitors)


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--tls-pin", {"trust": Trust(pin="0" * 64)}),
        ("--tls-client-cert", {"trust": Trust(client_cert="x", client_key="y")}),
        ("--ca-file", {"trust": Trust(ca_file="x")}),
        ("--tls-server-name", {"tls_server_name": "x"}),
        ("--insecure", {"trust": Trust(insecure=True)}),
    ],
)
def test_what_is_said_about_tls_needs_tls(
    flag: str, said: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match=f"^{flag}: has no effect on a ws:// URL, .*; give a wss:// URL"):
        Session(uplink(1, **said), Resolver(), reverse=False)
    assert not caplog.records, "there is no certificate to be warned of"
