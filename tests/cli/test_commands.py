"""The command line as a process: exit codes, which stream says what, and no traceback for a mistake."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from linksocks.version import __version__
from tests.support.processes import linksocks

ROOT = Path(__file__).resolve().parents[2]
START_SCRIPT = ROOT / "scripts" / "linksocks"


def mistake(*args: str, env: dict[str, str] | None = None) -> list[str]:
    """What a command line that is wrong says on stderr, without the name of the program."""
    with linksocks(*args, env=env) as process:
        assert process.wait_exit() == 2, process.output
    assert process.out == []
    assert all(line.startswith("linksocks: ") for line in process.err), process.output
    return [line.removeprefix("linksocks: ") for line in process.err]


@pytest.mark.parametrize(
    ("args", "mode", "first"),
    [
        (["--help"], "", "A proxy over WebSocket."),
        (["-h"], "", "A proxy over WebSocket."),
        (["server", "--help"], "", "Accepts links"),
        (["client", "-t", "x", "-h"], "", "Opens a port for applications"),
        (["provider", "--help"], "", "Lends this machine's network"),
        (["connector", "--help"], "", "Opens a port for applications to the network of a provider"),
        (["--help"], "server", "Accepts links"),
        (["--help"], "reverse", "Lends this machine's network"),
        (["client", "--help"], "server", "Opens a port for applications"),
        (["run", "--help"], "", "Runs all that an INI file"),
        (["check-config", "--help"], "", "A proxy over WebSocket."),
    ],
)
def test_help(args: list[str], mode: str, first: str) -> None:
    with linksocks(*args, env={"LINKSOCKS_MODE": mode}) as process:
        assert process.wait_exit() == 0
    assert process.err == []
    assert process.out[0].startswith(first)


def test_version() -> None:
    with linksocks("version") as process:
        assert process.wait_exit() == 0
    machine = f"{sys.platform}/{platform.machine()}"
    assert process.out == [f"linksocks version v{__version__} {machine} python {platform.python_version()}"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            [],
            "needs a command: server, client, provider, connector, run, check-config, show-config or version",
        ),
        (["sever"], "there is no command 'sever'; did you mean server?"),
        (["server", "--ws-prot", "1"], "--ws-prot: server has no such flag; did you mean --ws-port?"),
        (["server", "--ws-port", "x"], "--ws-port: expected a port"),
        (["client", "--threads", "65"], "--threads: expected a number from 1 to 64, not '65'"),
        (["client", "--direct-mode", "auto"], "--direct-mode: is not available yet"),
        (["server", "-k", "x", "-r"], "--reverse: is about --token, which nobody gave"),
        (["server", "-k", ""], "--api-key: is empty; give 1 to 255 bytes"),
        (["server", "-k", "x", "-p", "1080"], "--socks-port: has no effect without --reverse"),
        (["server", "-p", "1080"], "--socks-port: has no effect without --reverse"),
        (["server", "-a"], "--connector-autonomy: has no effect without --reverse"),
        (
            ["server", "-r", "-a", "-t", "x", "-n", "a"],
            "--socks-username: has no effect with --connector-auto",
        ),
        (
            ["server", "-r", "--connector-wait-provider", "1s"],
            "--connector-wait-provider: has no effect without",
        ),
        (["server", "-r", "-a", "-c", "x"], "--connector-token: with --connector-autonomy providers bring"),
        (
            ["server", "-r", "-p", "0", "-t", "x", "-c", "x"],
            "--connector-token: is the same token as --token",
        ),
        (["server", "-r", "--port-pool", "9-3"], "--port-pool: expected two ports"),
        (["provider", "-p", "9870"], "--socks-port: has no effect on a provider; leave it out"),
        (["client", "-r", "-i"], "--socks-no-wait: has no effect with --reverse; leave one of them out"),
        (["client", "-c", "x"], "--connector-token: has no effect without --reverse; add that or leave"),
        (["connector", "-c", "x"], "--connector-token: has no effect on a connector; leave it out"),
        (["connector", "-r"], "--reverse: has no effect on a connector; leave it out"),
        (["provider", "-r"], "--reverse: has no effect on a provider; leave it out"),
        (["provider", "-c", "anonymous"], "--connector-token: expected 1 to 255 bytes"),
        (["provider", "--nonsense"], "--nonsense: provider has no such flag"),
        (
            ["client", "--ca-file", "/nonexistent/ca.pem", "-u", "wss://127.0.0.1:1", "-R"],
            "CA file /nonexistent",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_exit_code_2(args: list[str], said: str) -> None:
    (line,) = mistake(*args)
    assert line.startswith(said)


def test_all_mistakes_in_a_file_come_at_once(tmp_path: Path) -> None:
    file = tmp_path / "x.ini"
    file.write_text("[server]\nws_prt = 1\ngrace = soon\n")
    first, second = mistake("server", "--config", str(file))
    assert first == f"{file}:2: ws_prt: [server] has no such setting; did you mean ws-port?"
    assert second.startswith(f"{file}:3: grace: expected a duration")


def test_the_mode_stands_for_the_command() -> None:
    for mode in ("reverse", "provider"):
        (line,) = mistake("-p", "1", env={"LINKSOCKS_MODE": mode})
        assert line == "--socks-port: has no effect on a provider; leave it out"
    assert mistake("-p", "x", env={"LINKSOCKS_MODE": "forward"})[0].startswith("--socks-port: expected")
    assert mistake("-P", "x", env={"LINKSOCKS_MODE": "server"})[0].startswith("--ws-port: expected")
    assert mistake(env={"LINKSOCKS_MODE": "both"})[0].startswith(
        "LINKSOCKS_MODE: expected server or client or"
    )


def test_a_reader_of_stdout_may_leave() -> None:
    command = f"{sys.executable} -m linksocks server --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


class TestStartScript:
    def test_from_any_directory_and_through_links(self, tmp_path: Path) -> None:
        (tmp_path / "first").symlink_to(START_SCRIPT)
        (tmp_path / "second").symlink_to("first")
        done = subprocess.run(
            [tmp_path / "second", "version"], cwd="/", capture_output=True, timeout=20, check=True
        )
        assert done.stdout.startswith(b"linksocks version v")

    def test_without_an_environment_it_says_what_to_run(self, tmp_path: Path) -> None:
        (tmp_path / "scripts").mkdir()
        copy = shutil.copy(START_SCRIPT, tmp_path / "scripts" / "linksocks")
        done = subprocess.run([copy, "version"], capture_output=True, timeout=20, check=False)
        assert done.returncode == 1
        assert b"run scripts/quickstart first" in done.stderr


def test_nothing_is_monkey_patched() -> None:
    program = (
        "import sys\nfrom linksocks import cli\ncli.main(['version'])\n"
        "import linksocks.server.role, linksocks.client.role\n"
        "from gevent import monkey\nassert not monkey.is_anything_patched()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_stdout_that_takes_nothing_is_one_line_and_exit_code_1() -> None:
    for shell in ("exec {0} -m linksocks version >/dev/full", "exec {0} -m linksocks version >&-"):
        run = subprocess.run(
            ["sh", "-c", shell.format(sys.executable)],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert (run.returncode, run.stderr.splitlines()[0][:24]) == (1, "linksocks: can't print: ")
        assert "Traceback" not in run.stderr


def test_the_start_script_runs_nothing_of_the_current_directory(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not ours')")
    run = subprocess.run([START_SCRIPT, "version"], cwd=tmp_path, capture_output=True, timeout=20, check=True)
    assert run.stdout.startswith(b"linksocks version")
