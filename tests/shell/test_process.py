"""The roles of a process through many plans, in the hub of the test."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest
from gevent import socket

from linksocks.config import resolve_all
from linksocks.config.secret import Secret
from linksocks.errors import AuthError, ConfigError, LinkSocksError
from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.shell.plan import Plan, plan_of
from linksocks.shell.process import Process
from linksocks.tunnel.access import AccessRules, parse_rules
from linksocks.tunnel.ends.inbound import REQUEST_TIMEOUT, Inbound
from linksocks.wire import messages as m
from tests.support.leaks import all_of
from tests.support.ports import free_port
from tests.support.roles import by_hand
from tests.support.targets import EchoTarget, refusing_port
from tests.support.tunnels import application, read_to_end
from tests.support.waits import eventually

MADE = Secret("made")


class Running:
    """A process with a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.text = ""

    def write(self, text: str) -> None:
        self.text = text
        self._file.touch(0o600)
        self._file.write_text(text)

    def read(self) -> Plan:
        return plan_of(resolve_all("run", {"config": str(self._file)}, {}), MADE)

    def begin(self) -> None:
        self.process = Process(self.read(), self.read)
        self.process.start()

    def reload(self, *pairs: tuple[str, str]) -> list[str]:
        text = self.text
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        self.write(text)
        return self.process.reload()

    @property
    def server(self) -> ServerRole:
        role = self.process.roles["server"]
        assert isinstance(role, ServerRole)
        return role


@pytest.fixture
def file(tmp_path: Path) -> Running:
    return Running(tmp_path / "test.ini")


@contextmanager
def running(file: Running, text: str) -> Iterator[Running]:
    file.write(text)
    file.begin()
    try:
        yield file
    finally:
        file.process.stop()


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


SERVER = "[server]\nws_host = 127.0.0.1\nws_port = 0\ngrace = 0\n"
A = "[token:a]\ntoken = a\n"
REVERSE = "[token:r]\ntype = reverse\ntoken = r\nport = {}\n"
CLIENT = "[client:{0}]\nurl = ws://127.0.0.1:{1}\ntoken = {2}\nsocks_port = {3}\ngrace = 0\n"


class TestTokens:
    def test_those_of_the_api_are_left_alone(self, file: Running) -> None:
        with running(file, SERVER + A) as it:
            it.server.add(TokenSpec(Kind.FORWARD, "of-the-api"))
            assert it.reload(("token = a", "token = b")) == ["token:a: ended and begun anew: token"]
            with by_hand(it.server, "of-the-api"), by_hand(it.server, "b"):
                assert it.reload((A.replace("= a", "= b"), "[token:c]\ntoken = c\n")) != []
            with by_hand(it.server, "of-the-api"):
                pass

    def test_one_that_the_api_made_can_t_be_declared(self, file: Running) -> None:
        with running(file, SERVER + A) as it:
            it.server.add(TokenSpec(Kind.FORWARD, "of-the-api"))
            with pytest.raises(ConfigError, match="token:b: the API has made the same token"):
                it.reload((A, "[token:b]\ntoken = of-the-api\n"))
            with by_hand(it.server, "a"):  # nothing has changed
                pass

    def test_one_that_the_api_removed_stays_away_until_it_is_another(self, file: Running) -> None:
        with running(file, SERVER + A) as it:
            assert it.server.remove("a")
            assert it.reload() == []
            (said,) = it.reload(("token = a", "token = a\nmax_links = 3"))
            assert said.endswith("failed: the API has removed this token; it is back at the next start")
            assert not it.server.remove("a")
            assert it.reload((A, "[token:b]\ntoken = b\n")) == ["token:a: removed", "token:b: added"]

    def test_two_may_change_places(self, file: Running) -> None:
        with running(file, SERVER + A + "[token:b]\ntoken = b\nmax_links = 2\n") as it:
            said = it.reload(
                ("token = a", "token = x"), ("token = b", "token = a"), ("token = x", "token = b")
            )
            assert said == [f"token:{name}: ended and begun anew: token" for name in "ab"]
            with by_hand(it.server, "a"), by_hand(it.server, "b"):
                pass

    def test_a_reverse_token_that_is_another_takes_its_connectors_along(self, file: Running) -> None:
        connector = "[token:c]\ntype = connector\nreverse_token = r\ntoken = c\n"
        with running(file, SERVER + REVERSE.format(0) + connector) as it:
            assert it.reload(("\ntoken = r\n", "\ntoken = rr\n")) == [
                "token:r: ended and begun anew: token",
                "token:c: ended and begun anew: reverse_token",
            ]
            with by_hand(it.server, "rr", reverse=True), by_hand(it.server, "c"):
                pass

    def test_a_new_port_that_is_in_use_leaves_the_old_one(self, file: Running) -> None:
        old = free_port()
        text = SERVER + REVERSE.format(old)
        with refusing_port() as taken, running(file, text) as it, by_hand(it.server, "r", reverse=True):
            (said,) = it.reload((f"port = {old}", f"port = {taken}"))
            assert said.startswith(f"token:r: changed: port: failed: can't listen on 127.0.0.1:{taken}")
            assert is_open(old)
            assert it.reload((f"port = {taken}", f"port = {old}")) == []

    def test_a_port_that_moves_leaves_nothing(self, file: Running, caplog) -> None:
        caplog.set_level("INFO", "linksocks")  # a record of an error keeps the frames that it went through
        others, ports = all_of(Inbound), [free_port(), free_port()]
        with running(file, SERVER + REVERSE.format(ports[0])) as it, by_hand(it.server, "r", reverse=True):
            for number in range(50):
                here, there = ports[number % 2], ports[1 - number % 2]
                assert it.reload((f"port = {here}", f"port = {there}")) == ["token:r: changed: port"]
                assert is_open(there)
                assert not is_open(here)
            eventually(lambda: len(all_of(Inbound) - others) == 1)  # the last one who came in has left

    def test_who_came_in_by_a_former_port_is_served_and_goes_with_the_token(self, file: Running) -> None:
        here, there = free_port(), free_port()
        with (
            running(file, SERVER + REVERSE.format(here)) as it,
            by_hand(it.server, "r", reverse=True) as provider,
            socket.create_connection(("127.0.0.1", here), REQUEST_TIMEOUT / 2) as silent,
            socket.create_connection(("127.0.0.1", here), REQUEST_TIMEOUT / 2) as app,
        ):
            app.sendall(b"\5\1\0")
            assert app.recv(2) == b"\5\0"
            assert it.reload((f"port = {here}", f"port = {there}")) == ["token:r: changed: port"]
            gc.collect()
            app.sendall(b"\5\1\0\1" + bytes(4) + b"\0\7")
            provider.expect(m.Partners)
            provider.expect(m.Connect)
            assert it.reload((REVERSE.format(there), A)) == ["token:r: removed", "token:a: added"]
            for sock in (app, silent):
                assert read_to_end(sock)[0] == b""

    def test_what_a_token_s_clients_share_changes_with_its_limits_only(self, file: Running) -> None:
        text = REVERSE.format(free_port()) + "rate_limit = 1M\n"
        with running(file, SERVER + text) as it:
            token = it.server.controls.tokens.named("r")
            assert token is not None
            with by_hand(it.server, "r", reverse=True):
                before = token.rates
                assert before is not None
                it.reload(("token = r", "token = r\nusername = me\npassword = p"))
                assert token.rates is before
                it.reload(("1M", "2M"))
                assert token.rates is before  # with all that goes on
                assert before.sent.limit == before.received.limit == 2 * 1024 * 1024
                assert token.spec.limits.rate == 2 * 1024 * 1024


def rules_of(it: Running, token: str) -> AccessRules:
    found = it.server.controls.tokens.named(token)
    assert found is not None
    return found.grant.gate.rules


class TestRules:
    """Those of [server] hold for each token that has none."""

    TOKENS = (
        REVERSE.format(0)
        + "[token:c]\ntype = connector\nreverse_token = r\ntoken = c\n"
        + "[token:n]\ntype = autonomy\ntoken = n\n"
    )

    @pytest.mark.parametrize("token", ["r", "c", "n"])
    def test_at_the_start_and_after_a_reload(self, file: Running, token: str) -> None:
        with running(file, SERVER + "block_private = yes\n" + self.TOKENS) as it:
            assert rules_of(it, token) == AccessRules(block_private=True)
            said = it.reload(("block_private = yes", "deny_rule = *:25"))
            assert said == ["server: changed: deny-rule, block-private"]
            assert rules_of(it, token) == AccessRules(deny=parse_rules("*:25"))

    @pytest.mark.parametrize("token", ["r", "c", "n"])
    def test_but_not_for_one_with_rules_of_its_own(self, file: Running, token: str) -> None:
        text = self.TOKENS.replace(f"\ntoken = {token}\n", f"\ntoken = {token}\naccess_rule = *:22\n")
        with running(file, SERVER + "block_private = yes\n" + text) as it:
            assert rules_of(it, token) == AccessRules(parse_rules("*:22"))


class TestRoles:
    def test_many_reloads_leave_nothing(self, file: Running) -> None:
        port = free_port()
        text = SERVER.replace("ws_port = 0", f"ws_port = {port}") + A
        with running(
            file, text + CLIENT.format("one", port, "a", 0) + CLIENT.format("two", port, "a", 0)
        ) as it:
            for _ in range(25):
                assert len(it.reload(("client:one", "client:three"))) == 2
                assert (
                    len(it.reload(("client:three", "client:one"), ("a\nsocks", "a\nthreads = 2\nsocks"))) == 3
                )
                assert len(it.reload(("threads = 2\n", ""))) == 2

    def test_a_provider_of_its_own_tokens_ends_before_the_next_one_begins(self, file: Running) -> None:
        port, socks_port = free_port(), free_port()
        server = (
            SERVER.replace("ws_port = 0", f"ws_port = {port}") + "[token:n]\ntype = autonomy\ntoken = n\n"
        )
        provider = f"[provider]\nurl = ws://127.0.0.1:{port}\ntoken = n\nconnector_token = c\ngrace = 300ms\n"
        connector = CLIENT.format("one", port, "c", socks_port).replace("client:one", "connector")
        with EchoTarget() as echo, running(file, server + provider) as it:
            eventually(lambda: it.server.controls.tokens.named("c") is not None)
            assert it.reload((server, server + connector)) == ["connector: added"]
            eventually(lambda: is_open(socks_port))
            app = application(socks_port, echo.port)  # holds the provider for its grace
            assert it.reload(("300ms", "300ms\nthreads = 2")) == ["provider: ended and begun anew: threads"]
            app.close()
            eventually(lambda: it.server.controls.tokens.named("c") is not None)
            assert "provider" in it.process.roles

    def test_a_port_for_metrics_is_free_before_the_next_one_begins(self, file: Running) -> None:
        client = CLIENT.format("one", 1, "a", 0) + f"metrics_address = 127.0.0.1:{free_port()}\n"
        with running(file, client) as it:
            assert it.reload(("grace = 0", "threads = 2")) == [
                "client:one: ended and begun anew: threads, grace"
            ]

    def test_a_server_may_come_and_go(self, file: Running) -> None:
        port = free_port()
        client = CLIENT.format("one", port, "a", 0)
        with running(file, client) as it:
            text = SERVER.replace("ws_port = 0", f"ws_port = {port}") + A
            it.write(text + client)
            assert it.process.reload() == ["server: added"]
            with by_hand(it.server, "a"):
                pass
            it.write(client)
            assert it.process.reload() == ["server: removed"]
            assert not is_open(port)

    def test_the_last_client_that_ends_ends_the_process(self, file: Running) -> None:
        port = free_port()
        with running(file, SERVER.replace("ws_port = 0", f"ws_port = {port}") + A) as server:
            other = Running(server._file.with_name("other.ini"))
            with running(
                other, CLIENT.format("one", port, "x", 0) + CLIENT.format("two", port, "x", 0)
            ) as it:
                eventually(lambda: len(it.process.roles) == 1)
                with gevent.Timeout(10), pytest.raises(AuthError):
                    it.process.wait()


def test_without_a_file_there_is_nothing_to_read(file: Running) -> None:
    file.write(SERVER + A)
    process = Process(file.read())
    process.start()
    try:
        with pytest.raises(LinkSocksError, match="no file to read again"):
            process.reload()
    finally:
        process.stop()
