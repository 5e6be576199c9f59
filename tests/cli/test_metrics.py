"""Metrics and limits of real processes, by their settings."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support import socks
from tests.support.ports import free_port
from tests.support.processes import Process, linksocks
from tests.support.scrapes import Scrape
from tests.support.targets import EchoTarget

TOKEN = "a-token-of-the-tests"
ADDRESS = ("--metrics-address", "127.0.0.1:0")


def pages(process: Process) -> str:
    """Where a process says that its pages are."""
    return process.wait_line(r"metrics are at (http://[\d.]+:\d+)/metrics")[1]


def status(url: str) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def scrape(base: str) -> Scrape:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{base}/metrics", timeout=10) as answer:
        return Scrape(answer.read().decode())


def test_a_client_is_ready_when_its_server_is_there() -> None:
    port, socks_port = free_port(), free_port()
    url = f"ws://127.0.0.1:{port}"
    with linksocks("client", "-t", TOKEN, "-u", url, "-p", str(socks_port), "-i", *ADDRESS) as client:
        base = pages(client)
        assert status(f"{base}/readyz") == 503
        assert status(f"{base}/healthz") == 200
        with linksocks("server", "-H", "127.0.0.1", "-P", str(port), "-t", TOKEN, *ADDRESS) as server:
            client.wait_line("logged in")
            assert status(f"{base}/readyz") == 200
            with EchoTarget() as target, socks.connect(socks_port, "127.0.0.1", target.port) as app:
                app.sendall(b"ping")
                assert socks.read_exactly(app, 4) == b"ping"
                of_server = scrape(pages(server))
            assert of_server.of("linksocks_bytes_total", peer="forward client", direction="sent") == 4
            assert of_server["linksocks_dial_seconds_count"] == 1
        client.wait_line("lost a link to the server")
        assert status(f"{base}/readyz") == 503


def test_limits_by_the_settings_of_a_server_and_of_a_token(tmp_path: Path) -> None:
    file = tmp_path / "linksocks.ini"
    file.write_text(
        f"[server]\nws-host = 127.0.0.1\nws-port = 0\nmax-channels = 1\nrate-limit = 10M\n"
        f"[token:free]\ntoken = {TOKEN}-free\nmax-channels = 0\n[token:tight]\ntoken = {TOKEN}-tight\n"
    )
    file.chmod(0o600)
    with linksocks("server", "--config", str(file)) as server, EchoTarget() as target:
        port = int(server.wait_line(r"listening on 127\.0\.0\.1:(\d+)")[1])
        for name, most in (("tight", 1), ("free", 3)):
            socks_port = free_port()
            url = f"ws://127.0.0.1:{port}"
            with linksocks("client", "-t", f"{TOKEN}-{name}", "-u", url, "-p", str(socks_port)) as client:
                client.wait_port(socks_port)
                held = [socks.connect(socks_port, "127.0.0.1", target.port) for _ in range(most)]
                if name == "tight":
                    with pytest.raises(socks.SocksRefused):
                        socks.connect(socks_port, "127.0.0.1", target.port)
                for app in held:
                    app.close()


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("--rate-limit", "12", "16K at least"),
        ("--rate-limit", "10X", "16K at least"),
        ("--idle-timeout", "5s", "from 10s"),
        ("--max-channels", "-1", "a number"),
        ("--metrics-address", "9100", "127.0.0.1:9100"),
        ("--metrics-address", "::1:9100", "127.0.0.1:9100"),
    ],
)
def test_values_that_can_not_be(flag: str, value: str, expected: str) -> None:
    with linksocks("server", "-t", TOKEN, f"{flag}={value}") as server:
        assert server.wait_exit() == 2
        assert expected in "\n".join(server.err)
