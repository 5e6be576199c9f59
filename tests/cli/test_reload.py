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
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
import trustme

from tests.support import socks
from tests.support.certificates import Files
from tests.support.ports import free_port
from tests.support.processes import Process, linksocks
from tests.support.targets import EchoTarget, HttpTarget, refusing_port, seeded_sha256

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


def post_reload(port: int) -> tuple[int, dict[str, object]]:
    """What the API answers."""
    api = HTTPConnection("127.0.0.1", port, timeout=20)
    api.request("POST", "/api/reload", headers={"X-API-Key": "key"})
    response = api.getresponse()
    answer = response.status, json.loads(response.read())
    api.close()
    return answer


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
            "token:comes: added",
            "token:office: changed: port, username, password",
            "done",
        ]
        download.take(SIZE // 4)
        with pytest.raises(ConnectionResetError):
            doomed.recv(1)
        works(new_port, ("me", "secret"))
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", ports["port"]), timeout=10)
        clients.replace(("token = goes", "token = comes"))
        assert reload(run) == ["client:goes: ended and begun anew: token", "done"]
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


ONE = """\
[server]
ws_host = 127.0.0.1
ws_port = {ws}
token = own
[token:b]
token = b
[client:a]
url = ws://127.0.0.1:{ws}
token = own
socks_port = {a}
grace = 1
[client:b]
url = ws://127.0.0.1:{ws}
token = b
socks_port = {b}
"""


@contextmanager
def one_process(ini: IniFile, *args: str) -> Iterator[tuple[Process, dict[str, int]]]:
    """A server and two clients in one process, at work."""
    ports = {name: free_port() for name in ("ws", "a", "b")}
    ini.write(ONE.format(**ports))
    with running(ini, "run", *args) as process:
        for name in ("a", "b"):
            process.wait_port(ports[name])
            works(ports[name])
        yield process, ports


class TestOneProcess:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
    def test_a_signal_ends_them_all(self, ini: IniFile, number: signal.Signals) -> None:
        with one_process(ini) as (process, _):
            process.send_signal(number)
            assert process.wait_exit() == 0, process.output
        assert process.out == []
        assert "Traceback" not in process.output

    def test_a_client_that_ends_leaves_the_others(self, ini: IniFile) -> None:
        with one_process(ini) as (process, ports):
            ini.write(
                f"{ini.text}[client:c]\nurl = ws://127.0.0.1:{ports['ws']}\ntoken = c\nsocks_port = 0\n"
            )
            assert reload(process) == ["client:c: added", "done"]
            process.wait_line("client:c has ended, the others go on: authentication failed")
            works(ports["a"])
            works(ports["b"])
            assert reload(process) == ["client:c: added", "done"]  # which tries it again

    def test_the_last_one_ends_the_process(self, ini: IniFile) -> None:
        with refusing_port() as port:
            both = "[client:{0}]\nno_reconnect = yes\nsocks_port = 0\nurl = ws://127.0.0.1:{1}\n"
            ini.write(both.format("a", port) + both.format("b", port))
            with running(ini) as process:
                assert process.wait_exit() == 1, process.output
        process.wait_line("client:. has ended, the others go on")
        assert process.err[-1].startswith("linksocks: TCP: ")

    def test_one_that_can_t_start_ends_the_process(self, ini: IniFile) -> None:
        with refusing_port() as port:
            ini.write(f"[client:a]\nsocks_port = 0\n[client:b]\nsocks_port = {port}\n")
            with running(ini) as process:
                assert process.wait_exit() == 1
        assert process.err[-1].startswith(f"linksocks: can't listen on 127.0.0.1:{port}")

    def test_a_server_that_makes_its_token_up_prints_and_keeps_it(self, ini: IniFile) -> None:
        ini.write("[server]\nws_host = 127.0.0.1\nws_port = 0\n")
        with running(ini) as process:
            process.wait_line("^token: [0-9a-f]{32}$")
            assert reload(process) == ["nothing has changed"]
        assert len(process.out) == 1


class TestReload:
    def test_a_bad_file_changes_nothing_and_all_mistakes_are_said(self, ini: IniFile) -> None:
        with one_process(ini) as (process, ports):
            ini.replace(("token = b", "tokn = b"), ("grace = 1", "grace = soon"))
            where = str(ini.path)
            assert reload(process) == [
                f"{where}:6: tokn: [token:b] has no such setting; did you mean token?",
                f"{where}:11: grace: expected a duration such as 10, 1.5s, 300ms or 2m, a day at most, not 'soon'",
                f"{where}:14: tokn: [client:b] has no such setting; did you mean token?",
                f"{where}:5: [token:b]: needs token or token_file",
                "nothing was changed",
            ]
            works(ports["a"])
            works(ports["b"])

    def test_what_a_role_can_t_be_made_of_changes_nothing(self, ini: IniFile) -> None:
        with one_process(ini) as (process, ports):
            ini.replace(
                ("grace = 1", "ca_file = /nonexistent.pem"),
                ("token = b", "token = c"),
                (f"url = ws://127.0.0.1:{ports['ws']}\ntoken = own", "url = wss://127.0.0.1:1"),
            )
            first, last = reload(process)
            assert first.startswith("CA file /nonexistent.pem")
            assert last == "nothing was changed"
            works(ports["b"])

    def test_a_port_in_use_is_told_and_tried_again(self, ini: IniFile) -> None:
        with one_process(ini) as (process, ports), refusing_port() as taken:
            ini.replace((f"socks_port = {ports['b']}", f"socks_port = {taken}"))
            first, last = reload(process)
            assert first.startswith(
                f"client:b: ended and begun anew: socks-port: failed: can't listen on 127.0.0.1:{taken}"
            )
            assert last == "done"
            works(ports["a"])
            ini.replace((f"socks_port = {taken}", f"socks_port = {ports['b']}"))
            assert reload(process) == ["client:b: added", "done"]
            process.wait_port(ports["b"])
            works(ports["b"])

    def test_what_waits_for_a_restart_is_said_each_time(self, ini: IniFile) -> None:
        with one_process(ini) as (process, ports):
            ini.replace((f"ws_port = {ports['ws']}", "ws_port = 1\nblock_private = yes"))
            assert reload(process) == [
                "server: changed: block-private",
                "server: changes with a restart only: ws-port",
                "done",
            ]
            assert reload(process) == ["server: changes with a restart only: ws-port", "done"]
            with EchoTarget() as echo, pytest.raises(socks.SocksRefused):
                socks.connect(ports["a"], "127.0.0.1", echo.port)

    def test_logs(self, ini: IniFile) -> None:
        with one_process(ini) as (process, _):
            ini.replace(("grace = 1", "log_format = json\ndebug = 1\ngrace = 2"))
            process.send_signal(signal.SIGHUP)
            said = json.loads(process.wait_line(r'^\{.*"reload: logs: changed: .*')[0])
            assert said["message"] == "reload: logs: changed: debug, log-format"
            process.wait_line(r"^\{.*reload: done")

    def test_through_the_api(self, ini: IniFile) -> None:
        ini.write("[server]\nws_host = 127.0.0.1\nws_port = 0\napi_key = key\n[token:a]\ntoken = a\n")
        with running(ini, "server") as process:
            port = int(process.wait_line(r"listening on 127\.0\.0\.1:(\d+)")[1])
            ini.replace(("[token:a]\ntoken = a", "[token:b]\ntoken = b"))
            assert post_reload(port) == (
                200,
                {"success": True, "changed": ["token:a: removed", "token:b: added"]},
            )
            ini.replace(("token = b", "tokn = b"))
            status, answer = post_reload(port)
            assert status == 409
            assert "tokn: [token:b] has no such setting; did you mean token?" in json.dumps(answer)
            process.wait_line("reload: nothing was changed")

    def test_a_bad_certificate_changes_nothing_else_either(self, ini: IniFile, tmp_path: Path) -> None:
        files = Files(tmp_path, trustme.CA(), "localhost")
        cert, key = files.pair
        ini.write(
            f"[server]\nws_host = 127.0.0.1\nws_port = 0\ntls_cert = {cert}\ntls_key = {key}\n"
            "[token:a]\ntoken = a\n"
        )
        with running(ini, "server") as process:
            process.wait_line("listening on")
            good = Path(cert).read_text()
            Path(cert).write_text("broken")
            ini.replace(("[token:a]\ntoken = a", "[token:b]\ntoken = b"))
            first, last = reload(process)
            assert first.startswith(f"TLS: {cert}: expected certificates in PEM")
            assert last == "nothing was changed"
            Path(cert).write_text(good)
            assert reload(process) == ["token:a: removed", "token:b: added", "done"]

    def test_without_a_file_it_is_one_line(self) -> None:
        with linksocks("server", "-H", "127.0.0.1", "-P", "0", "-t", "x") as process:
            process.wait_line("listening on")
            process.send_signal(signal.SIGHUP)
            process.wait_line("SIGHUP: there is no file to read again")
            assert process.running

    def test_nothing_is_left_behind(self, ini: IniFile) -> None:
        with one_process(ini) as (process, ports):
            before = descriptors(process)
            for _ in range(25):
                ini.replace(
                    ("token = b", "token = c"), ("grace = 1", "grace = 2"), ("[client:a]", "[client:x]")
                )
                assert not [line for line in reload(process) if "failed" in line]
                ini.replace(
                    ("token = c", "token = b"), ("grace = 2", "grace = 1"), ("[client:x]", "[client:a]")
                )
                assert not [line for line in reload(process) if "failed" in line]
            for name in ("a", "b"):
                process.wait_port(ports[name])
                works(ports[name])
            deadline = time.monotonic() + 10
            while descriptors(process) > before:
                assert time.monotonic() < deadline, (
                    f"{before} descriptors before, {descriptors(process)} after"
                )
                time.sleep(0.05)
        assert "Traceback" not in process.output
