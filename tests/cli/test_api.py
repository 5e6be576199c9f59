"""The API on the command line: keys, their file, the state file, and what a server with an API begins with."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.processes import Process, linksocks

WHERE = ("-H", "127.0.0.1", "-P", "0")


def ask(process: Process, key: str, method: str = "GET", path: str = "/api/status", body: Any = None) -> Any:
    """The status, and what came."""
    port = int(process.wait_line(r"listening on 127\.0\.0\.1:(\d+)")[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, json.dumps(body) if body else None, {"X-API-Key": key})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_server_with_an_api_makes_no_token_of_its_own() -> None:
    with linksocks("server", *WHERE, "-k", "key") as process:
        assert ask(process, "key")[1]["tokens"] == []
    assert process.out == []


def test_one_that_is_given_is_there() -> None:
    with linksocks("server", *WHERE, "-k", "key", "-t", "mine") as process:
        assert [item["token"] for item in ask(process, "key")[1]["tokens"]] == ["mine"]


@pytest.mark.parametrize("how", ["flags", "file", "variable", "section"])
def test_several_keys(tmp_path: Path, how: str) -> None:
    (tmp_path / "keys").write_text("one\n\ntwo\n")
    (tmp_path / "server.ini").write_text("[server]\napi_key = one\n    two\n")
    args = {
        "flags": ("-k", "one", "--api-key", "two"),
        "file": ("--api-key-file", str(tmp_path / "keys")),
        "variable": (),
        "section": ("--config", str(tmp_path / "server.ini")),
    }[how]
    env = {"LINKSOCKS_API_KEY": "one\ntwo"} if how == "variable" else {}
    with linksocks("server", *WHERE, *args, env=env) as process:
        assert [ask(process, key)[0] for key in ("one", "two", "three")] == [200, 200, 401]
    assert "one" not in "".join(process.err)


def test_settings_for_reverse_tokens_are_for_those_of_the_api_too(tmp_path: Path) -> None:
    port = free_port()
    args = ("-k", "key", "-s", "127.0.0.1", "--port-pool", f"{port}-{port}", "-i", "-f")
    with linksocks("server", *WHERE, *args) as process:
        made = ask(process, "key", "POST", "/api/tokens", {"reverse": True})[1]["data"]
        assert made["port"] == port
        socket.create_connection(("127.0.0.1", port), timeout=20).close()


def test_the_state_file_of_a_section_is_beside_its_ini_file(tmp_path: Path) -> None:
    (tmp_path / "server.ini").write_text("[server]\napi_key = key\nstate_file = state.db\n")
    with linksocks("server", *WHERE, "--config", str(tmp_path / "server.ini")) as process:
        ask(process, "key")
    assert (tmp_path / "state.db").exists()


def test_a_state_file_holds_up_no_end(tmp_path: Path) -> None:
    """The port is taken, and the file was open already."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        args = ("-H", "127.0.0.1", "-P", str(port), "-k", "key", "--state-file", str(tmp_path / "state.db"))
        with linksocks("server", *args) as process:
            assert process.wait_exit() == 1
            assert process.err[-1].startswith(f"linksocks: can't listen on 127.0.0.1:{port}: ")
