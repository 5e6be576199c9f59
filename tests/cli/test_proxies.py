"""Proxies on the way, between processes: to the server, to targets, from flag, file and environment."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import socks
from tests.support.ports import free_port
from tests.support.processes import Process, linksocks
from tests.support.targets import EchoTarget, HttpTarget, seeded_sha256

TOKEN = "a-token-of-the-tests"
PASSWORD = "p@ss/9e2d4411"
QUOTED = "p%40ss%2F9e2d4411"


@contextmanager
def server(*args: str) -> Iterator[str]:
    """The URL of a server."""
    with linksocks("server", "-t", TOKEN, "-H", "127.0.0.1", "-P", "0", *args) as process:
        yield f"ws://{process.wait_line(r'listening on (127.0.0.1:[0-9]+)')[1]}"


@contextmanager
def client(url: str, *args: str) -> Iterator[int]:
    """The port of a client."""
    port = free_port()
    with linksocks("client", "-t", TOKEN, "-u", url, "-p", str(port), *args) as process:
        process.wait_port(port)
        yield port


def works(port: int, host: str = "127.0.0.1") -> int:
    """A new connection goes through; returns the port of its target."""
    with EchoTarget() as echo, socks.connect(port, host, echo.port) as app:
        app.sendall(b"hello")
        assert socks.read_exactly(app, 5) == b"hello"
        return echo.port


@dataclass
class Proxy:
    """A proxy that asks for a password: a tunnel of our own."""

    process: Process
    port: int

    def url(self, scheme: str) -> str:
        return f"{scheme}://me:{QUOTED}@127.0.0.1:{self.port}"

    def was_asked_for(self, port: int) -> None:
        self.process.wait_line(rf"connecting to .+:{port}$")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    port = free_port()
    args = ["-t", TOKEN, "-p", str(port), "-n", "me", "-w", PASSWORD, "-d"]
    with server() as url, linksocks("client", "-u", url, *args) as process:
        process.wait_port(port)
        yield Proxy(process, port)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "http"])
def test_a_client_reaches_its_server_through_a_proxy(proxy: Proxy, scheme: str) -> None:
    with server() as url, client(url, "-x", proxy.url(scheme)) as port:
        works(port)
        proxy.was_asked_for(int(url.rpartition(":")[2]))


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "http"])
def test_a_server_reaches_targets_through_a_proxy(proxy: Proxy, scheme: str, tmp_path: Path) -> None:
    secret = tmp_path / "proxy"
    secret.write_text(f"{proxy.url(scheme)}\nsecond line\n")
    with server("--upstream-proxy-file", str(secret)) as url, client(url) as port:
        proxy.was_asked_for(works(port, "localhost"))
        with HttpTarget() as target:
            done = socks.curl(port, target.url("/bytes/5000000?seed=7"))
        assert hashlib.sha256(done.stdout).hexdigest() == seeded_sha256(5_000_000, 7)


def failed(process: Process, code: int) -> str:
    """The one line that a client ends with; no secret is in anything it said."""
    assert process.wait_exit() == code, process.output
    said = "\n".join(process.out + process.err)
    for word in (PASSWORD, QUOTED, "Traceback"):
        assert word not in said
    return process.err[-1]


@pytest.mark.parametrize("way", ["flag", "variable", "ini"])
def test_a_bad_address_is_one_line_without_the_password(tmp_path: Path, way: str) -> None:
    address = f"https://me:{QUOTED}@proxy"
    ini = tmp_path / "client.ini"
    ini.write_text(f"[client]\nupstream_proxy = {address}\n")
    args, env, where = {
        "flag": (["-x", address], {}, "--upstream-proxy"),
        "variable": ([], {"LINKSOCKS_UPSTREAM_PROXY": address}, "LINKSOCKS_UPSTREAM_PROXY"),
        "ini": (["--config", str(ini)], {}, f"{ini}:2: upstream_proxy"),
    }[way]
    with linksocks("client", *args, env=env) as process:
        line = failed(process, 2)
    assert line.startswith(f"linksocks: {where}: TLS to the proxy itself (https://) is not supported")


def test_the_environments_proxy() -> None:
    """Nobody is there: it is what the error is about, unless -E says that it does not count."""
    dead = free_port()
    env = {"HTTP_PROXY": f"http://me:{QUOTED}@127.0.0.1:{dead}"}
    args = ["client", "-R", "-t", TOKEN, "-u", "ws://nosuch.invalid", "-p", "0"]
    with linksocks(*args, env=env) as process:
        line = failed(process, 1)
        assert line == (
            f"linksocks: TCP: can't reach upstream proxy 127.0.0.1:{dead}: Connection refused; "
            "check the upstream proxy, or the environment's"
        )
    with linksocks(*args, "-E", env=env) as process:
        assert "TCP: no such host nosuch.invalid" in failed(process, 1)


@pytest.mark.parametrize(
    ("scheme", "said"),
    [("socks5", "connection refused; is the server running there?"), ("http", "answered 502 Bad Gateway")],
)
def test_a_proxy_that_works_is_not_to_blame_for_a_server_that_is_not_there(
    proxy: Proxy, scheme: str, said: str
) -> None:
    dead = free_port()
    url = f"ws://127.0.0.1:{dead}"
    with linksocks("client", "-R", "-t", TOKEN, "-u", url, "-p", "0", "-x", proxy.url(scheme)) as process:
        line = failed(process, 1)
    where = f"upstream proxy 127.0.0.1:{proxy.port} could not reach 127.0.0.1:{dead}"
    assert line == f"linksocks: TCP: {where}: {said}"


def test_a_mistake_shows_our_example_whole() -> None:
    """What hides passwords leaves it alone."""
    with linksocks("client", "-x", "ftp://foo") as process:
        assert failed(process, 2) == (
            "linksocks: --upstream-proxy: expected a proxy's address such as socks5h://host:1080 or "
            "http://host:8080, with USER:PASSWORD@ before the host if it asks"
        )


def test_a_bad_proxy_of_the_environment_names_its_variable() -> None:
    env = {"HTTPS_PROXY": f"http://me:{QUOTED}@proxy:port"}
    with linksocks("client", "-u", "wss://nosuch.invalid", env=env) as process:
        assert failed(process, 2).startswith("linksocks: HTTPS_PROXY: expected a proxy's address")


def test_a_password_in_the_url_is_refused_with_its_reason() -> None:
    with linksocks("client", "-u", f"ws://me:{PASSWORD.replace('/', '')}@127.0.0.1") as process:
        line = failed(process, 2)
    assert line == (
        "linksocks: --url: a server's URL holds no user name or password: the token says who you are"
    )


def test_headers_of_the_user(tmp_path: Path) -> None:
    """A header from each place gets the client through; a bad one is named, and not shown."""
    ini = tmp_path / "client.ini"
    ini.write_text("[client]\nheader = X-One: 1\n    X-Two: 2\n")
    with server() as url:
        with client(url, "--header", "X-A: 1", "--header=X-B: 2", "--user-agent", "mine/1") as port:
            works(port)
        with client(url, "--config", str(ini)) as port:
            works(port)
    with linksocks("client", "--header", f"Host: {PASSWORD}") as process:
        assert failed(process, 2) == (
            "linksocks: --header: the header Host is not yours to set; use --host-header"
        )
    with linksocks("client", env={"LINKSOCKS_HEADER": f"X {PASSWORD}"}) as process:
        assert failed(process, 2) == "linksocks: LINKSOCKS_HEADER: expected a header such as `Name: value`"


def test_an_ipv6_address_may_stand_in_brackets() -> None:
    with linksocks("server", "-t", TOKEN, "-H", "[::1]", "-P", "0") as process:
        process.wait_line(r"listening on \[::1\]:[0-9]+$")


def test_a_proxy_has_no_effect_on_a_server_that_does_not_dial() -> None:
    with linksocks("server", "-r", "-x", f"http://me:{QUOTED}@proxy") as process:
        assert failed(process, 2).startswith("linksocks: --upstream-proxy: has no effect with --reverse")
