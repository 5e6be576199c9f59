"""No token, password or token hash in anything that the processes say, however much they say."""

import hashlib
from pathlib import Path

import pytest

from tests.support import socks
from tests.support.ports import free_port
from tests.support.processes import Process, linksocks
from tests.support.targets import EchoTarget

TOKEN = "Token-7b1f0c55"
PASSWORD = "Password-9e2d4411"
WRONG = "Wrong-5521aa07"


def assert_silent(*processes: Process) -> None:
    for process in processes:
        said = "\n".join(process.out + process.err)
        assert len(process.err) > 0
        for secret in (TOKEN, PASSWORD, WRONG):
            assert secret not in said
            assert hashlib.sha256(secret.encode()).hexdigest() not in said


def ways(tmp_path: Path, command: str) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Flags and variables that give the secrets in each of the ways."""
    login = command == "client"
    token, password, ini = tmp_path / "token", tmp_path / "password", tmp_path / f"{command}.ini"
    token.write_text(TOKEN)
    password.write_text(PASSWORD)
    ini.write_text(f"[{command}]\ntoken = {TOKEN}\n" + f"socks_password = {PASSWORD}\n" * login)
    files = ["--token-file", str(token)] + ["--socks-password-file", str(password)] * login
    return {
        "flag": (["-t", TOKEN] + ["-w", PASSWORD] * login, {}),
        "variable": (
            [],
            {"LINKSOCKS_TOKEN": TOKEN} | ({"LINKSOCKS_SOCKS_PASSWORD": PASSWORD} if login else {}),
        ),
        "file": (files, {}),
        "ini": (["--config", str(ini)], {}),
    }


@pytest.mark.parametrize("way", ["flag", "variable", "file", "ini"])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_tunnel_at_work(tmp_path: Path, way: str, log_format: str) -> None:
    logs = ["-dd", "--log-format", log_format]
    args, env = ways(tmp_path, "server")[way]
    with (
        EchoTarget() as echo,
        linksocks("server", "-H", "127.0.0.1", "-P", "0", *logs, *args, env=env) as server,
    ):
        url = f"ws://{server.wait_line(r'listening on (127.0.0.1:[0-9]+)')[1]}"
        port = free_port()
        args, env = ways(tmp_path, "client")[way]
        with linksocks("client", "-u", url, "-p", str(port), "-n", "me", *logs, *args, env=env) as client:
            client.wait_port(port)
            with socks.connect(port, "127.0.0.1", echo.port, login=("me", PASSWORD)) as connection:
                connection.sendall(b"x")
                assert socks.read_exactly(connection, 1) == b"x"
            with pytest.raises(socks.SocksRefused):
                socks.connect(port, "127.0.0.1", echo.port, login=("me", WRONG))
        with linksocks("client", "-u", url, "-p", "0", "-t", WRONG, *logs) as refused:
            assert refused.wait_exit() == 1
    assert_silent(server, client, refused)


@pytest.mark.parametrize("command", ["server", "client"])
def test_mistakes(tmp_path: Path, command: str) -> None:
    ini = tmp_path / "bad.ini"
    ini.write_text(f"[server]\ntoken {TOKEN}\ntoken={TOKEN}\ntoken={PASSWORD}\n[client]\napi_kee = {WRONG}\n")
    for args in (
        ["--config", str(ini)],
        [f"--tokken={TOKEN}"],
        [f"-dZ{TOKEN}"],
        ["-t", TOKEN, PASSWORD],
        ["-t", f"{TOKEN}\x07"],
        ["-t", TOKEN, "-t", WRONG],
        ["-c", TOKEN, f"--upstream-proxy=socks5://me:{PASSWORD}@h"],
        ["-u", f"ftp://me:{PASSWORD}@h/?token={TOKEN}"],
    ):
        with linksocks(command, *args) as process:
            assert process.wait_exit() == 2
        assert_silent(process)
