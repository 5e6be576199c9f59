"""Tokens over restarts: what was answered with success is so afterwards, however the server ended.

The processes are real, and so is the end: kill -9 while several programs make and remove tokens. The children are
talked to from threads, without a hub.
"""

from __future__ import annotations

import http.client
import json
import random
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from linksocks.server.specs import Kind, TokenSpec
from tests.support.processes import Process, linksocks

KEY = "a-key-of-the-tests"


class Server:
    """A server process with a state file."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.port = int(process.wait_line(r"listening on 127\.0\.0\.1:(\d+)")[1])

    def ask(self, method: str, path: str, **body: object) -> tuple[int, dict[str, object]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, json.dumps(body) if body else None, {"X-API-Key": KEY})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def make(self, token: str, **terms: object) -> dict[str, object]:
        status, answer = self.ask("POST", "/api/token", **{"type": "forward", "token": token} | terms)
        assert status == 200, answer
        assert answer["success"], answer
        return answer

    def items(self) -> dict[str, dict[str, object]]:
        """What /api/tokens says, by the label."""
        _, answer = self.ask("GET", "/api/tokens")
        return {str(item.pop("token")): item for item in answer["data"]}  # type: ignore[attr-defined]


@contextmanager
def running(path: Path, *args: str) -> Iterator[Server]:
    where = ("-H", "127.0.0.1", "-P", "0", "-s", "127.0.0.1", "--state-file", str(path))
    with linksocks("server", *where, *args, env={"LINKSOCKS_API_KEY": KEY}) as process:
        yield Server(process)
        assert "Traceback" not in process.output


def label(token: str) -> str:
    return TokenSpec(Kind.FORWARD, token).label


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


class TestRestart:
    def test_tokens_come_back_with_their_ports(self, path: Path) -> None:
        with running(path) as server:
            server.make("f")
            server.make("r", type="reverse", username="u", password="p")
            server.make("m", type="reverse", allow_manage_connector=True)
            server.make("c", type="connector", reverse_token="r")
            server.make("gone")
            server.ask("DELETE", "/api/token/gone")
            before = server.items()
        assert len(before) == 4
        with running(path) as server:
            assert server.items() == before
            status = server.ask("GET", "/api/status")[1]["tokens"]
            assert {item["token"] for item in status} == {label(token) for token in "rmf"}  # type: ignore[attr-defined]
            server.ask("DELETE", "/api/token/r")
            server.ask("DELETE", f"/api/token/{label('f')}")
        with running(path) as server:
            assert set(server.items()) == {label("m")}

    def test_those_of_the_settings_are_not_kept(self, path: Path) -> None:
        with running(path, "-t", "flag") as server:
            assert set(server.items()) == {label("flag")}
        with running(path) as server:
            assert server.items() == {}

    def test_one_that_the_settings_declare_too_is_theirs_and_no_longer_kept(self, path: Path) -> None:
        settings = ("-r", "-t", "both", "-p", "0")
        with running(path) as server:
            server.make("both", type="reverse")
            server.make("c", type="connector", reverse_token="both")
        with running(path, *settings) as server:
            assert set(server.items()) == {label("both"), label("c")}
        with running(path) as server:
            assert server.items() == {}
        with running(path, *settings) as server:
            assert set(server.items()) == {label("both"), label("c")}

    def test_a_connector_token_waits_for_the_reverse_token_of_the_settings(self, path: Path) -> None:
        settings = ("-r", "-t", "flag", "-p", "0")
        with running(path, *settings) as server:
            server.make("c", type="connector", reverse_token="flag")
        with running(path) as server:
            assert server.items() == {}
            server.process.wait_line(f"{label('c')} is left out: reverse token does not exist")
        with running(path, *settings) as server:
            assert set(server.items()) == {label("flag"), label("c")}

    def test_without_a_file_nothing_stays(self, tmp_path: Path) -> None:
        with linksocks("server", "-H", "127.0.0.1", "-P", "0", "-k", KEY) as process:
            Server(process).make("f")
        assert list(tmp_path.iterdir()) == []


class TestStart:
    def failure(self, path: Path) -> str:
        with linksocks(
            "server", "-H", "127.0.0.1", "-P", "0", "-k", KEY, "--state-file", str(path)
        ) as process:
            assert process.wait_exit() == 1, process.output
            assert "Traceback" not in process.output
            [line] = [line for line in process.err if line.startswith("linksocks: ")]
            return line.removeprefix("linksocks: ")

    def test_a_file_that_another_server_has(self, path: Path) -> None:
        with running(path) as server:
            server.make("f")
            assert self.failure(path).startswith(f"{path}: is in use by another process")
            assert set(server.items()) == {label("f")}

    def test_a_file_that_is_none_of_ours(self, path: Path) -> None:
        path.write_text("[server]\n" * 200)
        assert self.failure(path) == f"{path}: is no state file; name another one"

    def test_a_port_that_somebody_has_taken(self, path: Path) -> None:
        with running(path) as server:
            port = server.make("r", type="reverse")["port"]
        with socket.create_server(("127.0.0.1", int(str(port)))):
            line = self.failure(path)
        assert f":{port}: " in line
        assert line.endswith(f"the port belongs to {label('r')} in {path}")


def test_a_disk_that_is_full(path: Path) -> None:
    """What can't be kept is not done, and may be asked for again."""
    with running(path) as server:
        server.make("before")
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
        status, answer = server.ask("POST", "/api/token", type="forward", token="f")
        assert (status, answer["success"]) == (503, False)
        assert str(answer["error"]).startswith(f"{path}: can't be ")
        status, answer = server.ask("DELETE", "/api/token/before")
        assert (status, answer["success"]) == (503, False)
        assert set(server.items()) == {label("before")}
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
        server.make("f")
    with running(path) as server:
        assert set(server.items()) == {label("before"), label("f")}


ROUNDS = 24
PROGRAMS = 4


@dataclass
class Diary:
    """What one program asked for, and what it was answered."""

    there: set[str] = field(default_factory=set)  # tokens that were made, with success
    gone: set[str] = field(default_factory=set)  # ... that were removed, with success
    open: set[str] = field(default_factory=set)  # what the last request was about: nobody knows


def work(server: Server, diary: Diary, name: str, choice: random.Random) -> None:
    """Makes and removes tokens until the server is gone."""
    try:
        for number in range(10_000):
            diary.open = {f"{name}.{number}"}
            server.make(*diary.open, type="reverse", allow_manage_connector=True)
            diary.there |= diary.open
            if choice.random() < 0.4:
                victim = choice.choice(sorted(diary.there))
                diary.open = {victim}
                status, _ = server.ask("DELETE", f"/api/token/{victim}")
                assert status == 200
                diary.there.discard(victim)
                diary.gone.add(victim)
            diary.open = set()
    except (OSError, http.client.HTTPException, ValueError):  # cut off, or half an answer
        diary.there -= diary.open
        diary.gone -= diary.open


@pytest.mark.timeout(180)
def test_killed_in_the_middle_of_writes(path: Path) -> None:
    choice = random.Random(1)
    there: set[str] = set()
    gone: set[str] = set()
    unknown: set[str] = set()
    for turn in range(ROUNDS):
        with running(path) as server:
            found = set(server.items())
            assert {label(token) for token in there} <= found
            assert not {label(token) for token in gone} & found
            assert found <= {label(token) for token in there | unknown}
            diaries = [Diary() for _ in range(PROGRAMS)]
            threads = [
                threading.Thread(
                    target=work, args=(server, diary, f"{turn}.{index}", random.Random(choice.random()))
                )
                for index, diary in enumerate(diaries)
            ]
            for thread in threads:
                thread.start()
            wanted = choice.randrange(1, 40)
            while sum(len(diary.there) + len(diary.gone) for diary in diaries) < wanted:
                threading.Event().wait(0.001)  # the pace of the polling
            server.process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join(20)
            assert not any(thread.is_alive() for thread in threads)
        for diary in diaries:
            there |= diary.there
            gone |= diary.gone
            unknown |= diary.open
    assert len(there) > ROUNDS
    assert len(gone) > ROUNDS
