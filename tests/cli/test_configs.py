"""check-config and show-config as processes, and what is said of mistakes in JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.processes import Process, linksocks

SECRET = "Geheim-47110815"


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    file = tmp_path / "test.ini"
    file.touch(0o600)
    return file


def done(*args: str, env: dict[str, str] | None = None, code: int = 0) -> Process:
    with linksocks(*args, env=env) as process:
        assert process.wait_exit() == code, process.output
    assert SECRET not in process.output
    assert "Traceback" not in process.output
    return process


GOOD = f"""\
[server]
ws_port = 9000
[token:alice]
token = {SECRET}
[token:office]
type = reverse
token = {SECRET}2
port = 9001
[client:home]
url = wss://example.org
token = {SECRET}
[provider]
token = x
"""


class TestCheck:
    def test_a_good_file_says_what_would_run(self, ini: Path) -> None:
        ini.write_text(GOOD)
        process = done("check-config", str(ini))
        assert [" ".join(line.split()) for line in process.out] == [
            f"{ini} is good. linksocks run --config {ini} runs:",
            "server accepts ws:// on 0.0.0.0:9000",
            "client:home serves applications on 127.0.0.1:9870 through wss://example.org",
            "provider is a provider at ws://localhost:8765",
            "token:alice a forward token",
            "token:office a reverse token, with port 9001 for applications",
        ]
        assert process.err == []

    def test_a_token_that_is_made_up(self, ini: Path) -> None:
        ini.write_text("[server]\n")
        assert (
            done("check-config", str(ini)).out[-1].endswith("a forward token, which is made up and printed")
        )

    def test_a_bad_file(self, ini: Path) -> None:
        ini.write_text(GOOD.replace("url", "ulr").replace("9001", "nine"))
        process = done("check-config", str(ini), code=2)
        assert process.err == [
            f"linksocks: {ini}:8: port: expected a port from 1 to 65535, or 0 to let the system choose, not 'nine'",
            f"linksocks: {ini}:10: ulr: [client:home] has no such setting; did you mean url?",
        ]

    def test_what_only_shows_when_a_role_begins(self, ini: Path) -> None:
        ini.write_text(
            "[server]\ntls_cert = a.pem\ntls_key = b.pem\n[client]\nca_file = c.pem\nurl = wss://h\n"
        )
        first, second = done("check-config", str(ini), code=2).err
        assert first.startswith("linksocks: [server]: ")
        assert second.startswith("linksocks: [client]: CA file")

    def test_a_warning_is_no_mistake(self, ini: Path) -> None:
        ini.write_text(GOOD)
        ini.chmod(0o644)
        (line,) = done("check-config", str(ini)).err
        assert line.startswith(
            f"linksocks: warning: {ini} holds secrets, and its group and everybody can read it"
        )

    @pytest.mark.parametrize("args", [[], ["a", "b"], ["--config"]])
    def test_it_needs_a_file(self, args: list[str]) -> None:
        (line,) = done("check-config", *args, code=2).err
        assert line == "linksocks: check-config: needs one argument, the name of an INI file"


class TestShow:
    def shown(self, process: Process) -> dict[str, list[str]]:
        return {words[0]: words[1:] for line in process.out if (words := line.split())}

    def test_where_each_value_comes_from(self, ini: Path) -> None:
        ini.write_text(f"[server]\ngrace = 3\ntoken = {SECRET}\nws_port = 1\n")
        env = {"LINKSOCKS_WEBSOCKET_PORT": "2", "LINKSOCKS_BUFFER_SIZE": "8192"}
        found = self.shown(done("show-config", "server", "--config", str(ini), "-P", "3", env=env))
        assert found["ws-port"] == ["3", "--ws-port"]
        assert found["buffer-size"] == ["8192", "LINKSOCKS_BUFFER_SIZE"]
        assert found["grace"] == ["3", f"{ini}:2:", "grace"]
        assert found["token"] == ["***", f"{ini}:3:", "token"]
        assert found["ws-host"] == ["0.0.0.0", "default"]
        assert "socks-port" not in found

    def test_all_sections_of_a_file(self, ini: Path) -> None:
        ini.write_text(GOOD)
        process = done("show-config", "--config", str(ini))
        sections = [line for line in process.out if line.startswith("[")]
        assert sections == ["[server]", "[client:home]", "[provider]", "[token:alice]", "[token:office]"]

    def test_a_secret_from_a_file(self, ini: Path) -> None:
        ini.with_name("word").write_text(SECRET)
        ini.with_name("word").chmod(0o600)
        ini.write_text("[client]\ntoken_file = word\nheader = Cookie: " + SECRET + "\n")
        found = self.shown(done("show-config", "client", "--config", str(ini)))
        assert found["token"][:3] == ["***", f"{ini}:2:", "token_file:"]
        assert found["header"][0] == "***"

    def test_mistakes(self) -> None:
        assert done("show-config", code=2).err[0].startswith("linksocks: run needs --config FILE")
        assert (
            done("show-config", "client", "--threads", "0", code=2).err[0].startswith("linksocks: --threads")
        )


class TestLastLine:
    @pytest.mark.parametrize(
        ("args", "code", "said"),
        [
            (["client", "-R", "-u", "ws://127.0.0.1:1", "-p", "0", "--log-format", "json"], 1, "TCP: "),
            (["client", "--threads", "0", "--log-format", "json"], 2, "--threads: expected a number"),
        ],
    )
    def test_it_is_json_like_the_logs(self, args: list[str], code: int, said: str) -> None:
        process = done(*args, code=code)
        lines = [json.loads(line) for line in process.err]
        assert lines[-1]["message"].startswith(said)
        assert (lines[-1]["level"], lines[-1]["logger"]) == ("error", "linksocks")


def test_a_variable_that_nobody_knows_is_a_warning() -> None:
    env = {"LINKSOCKS_TOKN": SECRET, "LINKSOCKS_SOCKS_PORT": "0"}
    process = done("client", "-R", "-u", "ws://127.0.0.1:1", env=env, code=1)
    process.wait_line(
        "WARN  process: LINKSOCKS_TOKN: there is no such variable; did you mean LINKSOCKS_TOKEN"
    )
