"""Providers and connectors as processes, at a server of ours."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support import socks
from tests.support.ports import free_port
from tests.support.processes import Process, linksocks
from tests.support.targets import EchoTarget

TOKEN = "Token-7b1f0c55"
CONNECTOR_TOKEN = "Connector-9e2d4411"


@contextmanager
def server(*args: str) -> Iterator[tuple[Process, str]]:
    """A server for providers, and its URL."""
    argv = ("-r", "-t", TOKEN, "-H", "127.0.0.1", "-P", "0", "-dd", *args)
    with linksocks("server", *argv) as process:
        yield process, f"ws://{process.wait_line(r'listening on (127.0.0.1:[0-9]+)')[1]}"


@contextmanager
def provider(url: str, *args: str, env: dict[str, str] | None = None) -> Iterator[Process]:
    """A provider that has logged in."""
    with linksocks(*(args or ("provider",)), "-t", TOKEN, "-u", url, "-dd", env=env) as process:
        process.wait_line("logged in")
        yield process


@contextmanager
def connector(url: str, *args: str) -> Iterator[tuple[Process, int]]:
    """A connector with a provider, and its port."""
    port = free_port()
    argv = ("-t", CONNECTOR_TOKEN, "-u", url, "-p", str(port), "-dd", *args)
    with linksocks("connector", *argv) as process:
        process.wait_line("1 provider is there")
        yield process, port


def assert_works(port: int) -> None:
    with EchoTarget() as echo, socks.connect(port, "127.0.0.1", echo.port) as app:
        app.sendall(b"hello")
        assert socks.read_exactly(app, 5) == b"hello"


def assert_silent(*processes: Process) -> None:
    for process in processes:
        for secret in (TOKEN, CONNECTOR_TOKEN):
            assert secret not in "\n".join(process.out + process.err)
            assert hashlib.sha256(secret.encode()).hexdigest() not in "\n".join(process.err)


@pytest.mark.parametrize(
    ("args", "env"),
    [
        (("provider",), {}),
        (("client", "-r"), {}),
        (("client",), {"LINKSOCKS_REVERSE": "1"}),
        (("-T", "2"), {"LINKSOCKS_MODE": "reverse"}),
    ],
    ids=" ".join,
)
def test_a_provider_lends_its_network(args: tuple[str, ...], env: dict[str, str]) -> None:
    port = free_port()
    with server("-p", str(port)) as (_, url), provider(url, *args, env=env) as lending:
        lending.wait_line("logged in")
        assert_works(port)
        lending.send_signal(signal.SIGTERM)
        assert lending.wait_exit() == 0, lending.output


@pytest.mark.parametrize("fast_open", [(), ("-f",)], ids=["patient", "fast"])
def test_a_connector_uses_it(fast_open: tuple[str, ...]) -> None:
    with (
        server("-p", "0", "-c", CONNECTOR_TOKEN) as (serving, url),
        provider(url) as lending,
        connector(url, *fast_open) as (using, port),
    ):
        assert_works(port)
        lending.wait_line("1 connector is there")
    assert_silent(serving, lending, using)


def test_a_provider_brings_its_connector_token() -> None:
    with server("-a") as (serving, url):
        for _ in range(2):  # the first takes it back, so that the second can bring it
            with provider(url, "provider", "-c", CONNECTOR_TOKEN) as lending:
                lending.wait_line("the server lets connectors in")
                with connector(url) as (using, port):
                    assert_works(port)
                lending.send_signal(signal.SIGTERM)
                assert lending.wait_exit() == 0, lending.output
            assert_silent(lending, using)
    assert_silent(serving)


def test_a_connector_token_of_somebody_else_is_one_line_and_exit_code_1() -> None:
    with server("-a") as (_, url), provider(url, "provider", "-c", CONNECTOR_TOKEN) as first:
        first.wait_line("the server lets connectors in")
        with linksocks("provider", "-t", TOKEN, "-u", url, "-c", CONNECTOR_TOKEN) as second:
            assert second.wait_exit() == 1, second.output
        assert second.err[-1].startswith("linksocks: the server did not add a connector token: ")
        assert "Traceback" not in second.output
        assert_silent(second)
        with connector(url) as (_, port):
            assert_works(port)


def test_a_server_that_lets_providers_bring_none_is_the_end() -> None:
    with (
        server("-p", "0") as (_, url),
        linksocks("provider", "-t", TOKEN, "-u", url, "-c", CONNECTOR_TOKEN) as lending,
    ):
        assert lending.wait_exit() == 1, lending.output
    assert lending.err[-1].startswith("linksocks: the server did not add a connector token: ")


def test_variables_of_the_other_commands_do_no_harm() -> None:
    """One environment for all, as in a compose file."""
    port = free_port()
    ambient = {
        "LINKSOCKS_SOCKS_PORT": str(port),
        "LINKSOCKS_SOCKS_USERNAME": "half-a-login",
        "LINKSOCKS_SOCKS_PASSWORD_FILE": "/nonexistent/password",
        "LINKSOCKS_SOCKS_NO_WAIT": "1",
        "LINKSOCKS_FASTOPEN": "1",
    }
    with server("-p", str(port)) as (_, url), provider(url, "provider", env=ambient):
        assert_works(port)
    args = ("-t", TOKEN, "-H", "127.0.0.1", "-P", "0")
    with linksocks("server", *args, env={**ambient, "LINKSOCKS_CONNECTOR_TOKEN": "x"}) as forward:
        forward.wait_line("listening on")
