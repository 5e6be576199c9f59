"""The demonstration, as scripts/quickstart runs it once .venv is made."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.support import socks
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.targets import refusing_port

DEMO = Path(__file__).resolve().parents[2] / "scripts" / "quickstart.py"


@pytest.fixture
def ports() -> dict[str, str | None]:
    """Variables for ports that nobody uses."""
    web = free_port()
    return {
        "LINKSOCKS_WEBSOCKET_PORT": str(web),
        "LINKSOCKS_URL": f"ws://127.0.0.1:{web}",
        "LINKSOCKS_SOCKS_PORT": str(free_port()),
    }


def demo(*args: str, env: dict[str, str | None]) -> Process:
    return Process([sys.executable, str(DEMO), *args], env=env)


def test_check_fetches_the_page_and_ends(ports: dict[str, str | None]) -> None:
    with demo("--check", env=ports) as process:
        assert process.wait_exit(timeout=40) == 0, process.output
    said = "\n".join(process.out)
    assert "HTTP 200 OK: Hello from behind the tunnel." in said
    assert f"curl --socks5-hostname 127.0.0.1:{ports['LINKSOCKS_SOCKS_PORT']} http://localhost:" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_it_stays_up_until_a_signal(ports: dict[str, str | None], number: signal.Signals) -> None:
    with demo(env=ports) as process:
        page = int(process.wait_line(r"curl .* http://localhost:(\d+)/")[1])
        process.wait_line("until Ctrl-C")
        got = socks.curl(int(ports["LINKSOCKS_SOCKS_PORT"] or 0), f"http://localhost:{page}/")
        assert got.stdout == b"Hello from behind the tunnel.\n"
        process.send_signal(number)
        assert process.wait_exit(timeout=40) == 0, process.output
    assert "Traceback" not in process.output
    for name in ("LINKSOCKS_WEBSOCKET_PORT", "LINKSOCKS_SOCKS_PORT"):
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", int(ports[name] or 0)), timeout=10)


@pytest.mark.parametrize(
    ("name", "key"), [("LINKSOCKS_WEBSOCKET_PORT", "ws_port"), ("LINKSOCKS_SOCKS_PORT", "socks_port")]
)
def test_a_port_in_use_is_named_with_what_to_change(
    ports: dict[str, str | None], name: str, key: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo("--check", env=ports | {name: str(port)}) as process:
            assert process.wait_exit() == 1
    (line,) = process.err
    assert line.startswith(f"quickstart: can't listen on 127.0.0.1:{port}: ")
    assert key in line
    assert name in line


def test_a_process_that_ends_is_named(ports: dict[str, str | None]) -> None:
    with refusing_port() as nobody:
        lost = {"LINKSOCKS_URL": f"ws://127.0.0.1:{nobody}", "LINKSOCKS_NO_RECONNECT": "yes"}
        with demo("--check", env=ports | lost) as process:
            assert process.wait_exit(timeout=40) == 1
    assert process.err[-1].startswith("quickstart: the client ended with exit code 1"), process.output
