"""One process with several roles, and its file read again: real processes, real signals."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support import socks
from tests.support.processes import Process, free_port, linksocks
from tests.support.targets import EchoTarget, HttpTarget, refusing_port, seeded_chunks, seeded_sha256

SIZE = 24 * 1024 * 1024


class IniFile:
    """A file of a process under test; text goes in whole, as an editor does it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = ""

    def write(self, text: str) -> None:
        self.text = text
        self.path.touch(0o600)
        self.path.write_text(text)

    def replace(self, *pairs: tuple[str, str]) -> None:
        text = self.text
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        self.write(text)


@pytest.fixture
def ini(tmp_path: Path) -> IniFile:
    return IniFile(tmp_path / "linksocks.ini")


@contextmanager
def running(ini: IniFile, command: str = "run", *args: str) -> Iterator[Process]:
    with linksocks(command, "--config", str(ini.path), *args) as process:
        yield process


def reload(process: Process) -> list[str]:
    """Sends SIGHUP; what the process says of that reload."""
    before = len(process.err)
    process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while True:
        said = [line for line in process.err[before:] if ": reload: " in line]
        if said and re.search(r"reload: (done|nothing)", said[-1]):
            return [line.partition(": reload: ")[2] for line in said]
        assert time.monotonic() < deadline, process.output
        assert process.running, process.output
        time.sleep(0.01)


def works(port: int, login: tuple[str, str] | None = None) -> None:
    with EchoTarget() as echo, socks.connect(port, "127.0.0.1", echo.port, login=login) as app:
        app.sendall(b"hello")
        assert socks.read_exactly(app, 5) == b"hello"


def descriptors(process: Process) -> int:
    return len(os.listdir(f"/proc/{process.pid}/fd"))


class Download:
    """An HTTP download through a SOCKS port, which goes on in pieces."""

    def __init__(self, port: int, target: HttpTarget) -> None:
        number = int(target.url("/").rsplit(":", 1)[1].strip("/"))
        self._conn = socks.connect(port, "127.0.0.1", number)
        self._conn.sendall(f"GET /bytes/{SIZE}?seed=3 HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        self._hash, self._left, head = hashlib.sha256(), SIZE, b""
        while b"\r\n\r\n" not in head:
            head += self._conn.recv(1)

    def take(self, size: int) -> None:
        while size > 0:
            data = self._conn.recv(min(size, self._left, 65536))
            assert data, "the download was cut off"
            self._hash.update(data)
            self._left -= len(data)
            size -= len(data)

    def finish(self) -> str:
        self.take(self._left)
        self._conn.close()
        return self._hash.hexdigest()


SERVER = """\
[server]
ws_host = 127.0.0.1
ws_port = {ws}
[token:stays]
token = stays
[token:goes]
token = goes
[token:office]
type = reverse
token = office
port = {port}
[token:visitor]
type = connector
reverse_token = office
token = visitor
"""

CLIENTS = """\
[client:stays]
url = ws://127.0.0.1:{ws}
token = stays
socks_port = {stays}
[client:goes]
url = ws://127.0.0.1:{ws}
token = goes
socks_port = {goes}
[provider]
url = ws://127.0.0.1:{ws}
token = office
[connector]
url = ws://127.0.0.1:{ws}
token = visitor
socks_port = {visitor}
"""


def test_what_a_reload_does_not_concern_goes_on(ini: IniFile, tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("ws", "port", "stays", "goes", "visitor")}
    ini.write(SERVER.format(**ports))
    clients = IniFile(tmp_path / "clients.ini")
    clients.write(CLIENTS.format(**ports))
    new_port = free_port()
    with (
        HttpTarget() as target,
        EchoTarget() as echo,
        running(ini, "server") as server,
        running(clients) as run,
    ):
        for name in ("stays", "goes", "visitor", "port"):
            run.wait_port(ports[name]) if name != "port" else server.wait_port(ports[name])
        for name in ("goes", "visitor", "port"):
            works(ports[name])
        download = Download(ports["stays"], target)
        through = socks.connect(ports["port"], "127.0.0.1", echo.port)
        switched = socks.connect(ports["visitor"], "127.0.0.1", echo.port)
        doomed = socks.connect(ports["goes"], "127.0.0.1", echo.port)
        download.take(SIZE // 4)

        ini.replace(
            ("[token:goes]\ntoken = goes\n", "[token:comes]\ntoken = comes\n"),
            (f"port = {ports['port']}\n", f"port = {new_port}\nusername = me\npassword = secret\n"),
        )
        assert reload(server) == [
            "token:goes: removed",
            "token:office: changed: port, username, password",
            "token:comes: added",
            "done",
        ]
        download.take(SIZE // 4)
        with pytest.raises(ConnectionResetError):
            doomed.recv(1)
        works(new_port, ("me", "secret"))
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", ports["port"]), timeout=10)
        run.wait_line("client:goes has ended, the others go on: authentication failed")
        clients.replace(("token = goes", "token = comes"))
        assert reload(run) == ["client:goes: added", "done"]
        run.wait_port(ports["goes"])
        works(ports["goes"])
        for old in (through, switched):
            old.sendall(b"still there?")
            assert socks.read_exactly(old, 12) == b"still there?"
            old.close()
        doomed.close()
        assert download.finish() == seeded_sha256(SIZE, 3)
        for process in (run, server):
            process.send_signal(signal.SIGTERM)
            assert process.wait_exit() == 0, process.output
    for process in (run, server):
        assert "Traceback" not in process.output
        assert "secret" not in process.output
