"""conf/Caddyfile in a real Caddy, where there is one: links over TLS through it, its reload and its logs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from linksocks.wire.auth import token_hash
from tests.conf.samples import sample
from tests.support import socks
from tests.support.applications import curl
from tests.support.certificates import Files
from tests.support.ports import free_port
from tests.support.processes import Process, linksocks
from tests.support.targets import EchoTarget, refusing_port

CADDY = shutil.which("caddy")

TOKEN = "a-token-of-the-tests"


def _lacks() -> str:
    """Why there is nothing to test; empty if there is."""
    if CADDY is None:
        return "there is no caddy here"
    command = [CADDY, "version"]
    version = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
    found = re.match(r"v?(\d+)\.(\d+)", version)
    old = found is not None and (int(found[1]), int(found[2])) < (2, 7)
    return f"this caddy is older than 2.7: {version.strip()}" if old else ""


pytestmark = pytest.mark.skipif(bool(_lacks()), reason=_lacks())


class Caddy:
    """Before the server at `ws_port`, below `folder`."""

    def __init__(self, folder: Path, ws_port: int) -> None:
        files = Files(folder, trustme.CA())
        self.port = free_port()
        self.ca = str(files.ca)
        self.log = folder / "linksocks.log"
        self._file = folder / "Caddyfile"
        self._admin = f"unix/{folder}/a"
        places = {
            "\nproxy.example.org {": f"\nhttps://127.0.0.1:{self.port} {{\n tls {files.cert} {files.key}",
            "127.0.0.1:8765": f"127.0.0.1:{ws_port}",
            "/var/log/caddy": str(folder),
            "\n{\n": f"\n{{\n admin {self._admin}\n auto_https off\n",
        }
        self._file.write_text(sample("Caddyfile", places))
        self._home: dict[str, str | None] = {
            "HOME": str(folder),
            "XDG_DATA_HOME": None,
            "XDG_CONFIG_HOME": None,
        }
        self.process = self._caddy("run")

    @contextmanager
    def running(self) -> Iterator[Caddy]:
        with self.process:
            self.process.wait_port(self.port)
            yield self

    def reload(self) -> None:
        """Reads its file again, though nothing in it has changed."""
        with self._caddy("reload", "--force", "--address", self._admin) as command:
            assert command.wait_exit() == 0, command.output

    @contextmanager
    def client(self) -> Iterator[Process]:
        url = f"wss://127.0.0.1:{self.port}"
        with linksocks("client", "-t", TOKEN, "-u", url, "--ca-file", self.ca, "-p", "0") as process:
            yield process

    @property
    def logs(self) -> str:
        return (self.log.read_text() if self.log.exists() else "") + self.process.output

    def _caddy(self, command: str, *args: str) -> Process:
        assert CADDY is not None
        argv = [CADDY, command, "--adapter", "caddyfile", "--config", str(self._file), *args]
        return Process(argv, env=self._home)


def test_a_link_lives_over_a_reload_and_its_hash_gets_into_no_log(tmp_path: Path) -> None:
    flags = ["-t", TOKEN, "-H", "127.0.0.1", "-P", "0", "--max-handshakes-per-address", "0"]
    with linksocks("server", *flags) as server:
        ws_port = int(server.wait_line(r"listening on 127\.0\.0\.1:(\d+)")[1])
        with Caddy(tmp_path, ws_port).running() as caddy, caddy.client() as client, EchoTarget() as echo:
            port = int(client.wait_line(r"applications' port 127\.0\.0\.1:(\d+) is open")[1])
            with socks.connect(port, "127.0.0.1", echo.port) as app:
                caddy.reload()
                app.sendall(b"hello")
                assert socks.read_exactly(app, 5) == b"hello"
            for path in ("/", "/metrics", "/api/status", "/socket/"):
                answer = curl(
                    "--cacert", caddy.ca, "-w", "%{http_code}", f"https://127.0.0.1:{caddy.port}{path}"
                )
                assert answer.stdout == b"404"
            client.stop()
            assert "lost a link" not in client.output
    assert '"status":101' in caddy.logs or '"status":0' in caddy.logs
    assert token_hash(TOKEN) not in caddy.logs


def test_errors_do_not_log_the_hash_either(tmp_path: Path) -> None:
    with refusing_port() as port, Caddy(tmp_path, port).running() as caddy, caddy.client() as client:
        client.wait_line("502")
    assert '"status":502' in caddy.logs or '"status": 502' in caddy.logs
    assert token_hash(TOKEN) not in caddy.logs
