"""Access rules of the command line, of variables and of the INI file, between processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support import socks
from tests.support.associations import Association, udp_socket
from tests.support.ports import free_port
from tests.support.processes import Process, linksocks
from tests.support.targets import EchoTarget

TOKEN, CONNECTOR = "a-token-of-the-tests", "a-connector-token-of-the-tests"


@contextmanager
def forward(
    server: list[str], client: list[str], env: dict[str, str] | None = None
) -> Iterator[tuple[int, Process]]:
    """The port of a client, and its server."""
    with ExitStack() as stack:
        far = stack.enter_context(
            linksocks("server", "-t", TOKEN, "-H", "127.0.0.1", "-P", "0", *server, env=env)
        )
        url = f"ws://{far.wait_line(r'listening on (127.0.0.1:[0-9]+)')[1]}"
        port = free_port()
        near = stack.enter_context(linksocks("client", "-t", TOKEN, "-u", url, "-p", str(port), *client))
        near.wait_port(port)
        yield port, far


def refused(port: int, host: str, target: int) -> int:
    with pytest.raises(socks.SocksRefused) as caught:
        socks.connect(port, host, target)
    return caught.value.reply


def works(port: int, host: str, target: int) -> None:
    with socks.connect(port, host, target) as app:
        app.sendall(b"hello")
        assert socks.read_exactly(app, 5) == b"hello"


def test_a_server_that_blocks_private_targets() -> None:
    with EchoTarget() as target, forward(["--block-private"], []) as (port, server):
        for host in (
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "169.254.169.254",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "localhost.",
            "LOCALHOST",
        ):
            assert refused(port, host, target.port) in (socks.NOT_ALLOWED, socks.HOST_UNREACHABLE)
        assert refused(port, "127.0.0.1", target.port) == socks.NOT_ALLOWED
        server.wait_line(
            rf"no connection to 127\.0\.0\.1:{target.port}: destination blocked by access control"
        )


@pytest.mark.parametrize("side", ["server", "client"])
def test_rules_as_flags(side: str) -> None:
    with EchoTarget() as target:
        flags = [
            "--access-rule",
            "127.0.0.1-5:1-65535",
            "--access-rule=*.example:80",
            "--deny-rule",
            "127.0.0.2:*",
        ]
        with forward(*((flags, []) if side == "server" else ([], flags))) as (port, _):
            works(port, "127.0.0.1", target.port)
            works(port, "localhost", target.port)
            for host in ("127.0.0.2", "127.0.0.6"):
                assert refused(port, host, target.port) == socks.NOT_ALLOWED


def test_rules_in_a_file_and_in_a_variable(tmp_path: Path) -> None:
    ini = tmp_path / "linksocks.ini"
    ini.write_text(
        "[server]\naccess_rule =\n    127.0.0.1:*\n    127.0.0.2 , 127.0.0.3:1 - 65535\nblock_private = no\n"
    )
    env = {"LINKSOCKS_DENY_RULE": "127.0.0.3:* 127.0.0.4:*"}
    with EchoTarget("0.0.0.0") as target, forward(["--config", str(ini)], [], env) as (port, _):
        works(port, "127.0.0.1", target.port)
        works(port, "127.0.0.2", target.port)
        for host in ("127.0.0.3", "127.0.0.4", "127.0.0.5"):
            assert refused(port, host, target.port) == socks.NOT_ALLOWED


def test_rules_of_a_reverse_server_hold_at_its_port_and_for_connectors() -> None:
    with ExitStack() as stack, EchoTarget("0.0.0.0") as target:
        args = ["server", "-t", TOKEN, "-H", "127.0.0.1", "-P", "0", "-r", "-c", CONNECTOR, "-p", "0", "-i"]
        server = stack.enter_context(linksocks(*args, "--access-rule", "127.0.0.1:*"))
        own = int(server.wait_line(r"applications' port (\d+) is open")[1])
        url = f"ws://{server.wait_line(r'listening on (127.0.0.1:[0-9]+)')[1]}"
        stack.enter_context(linksocks("provider", "-t", TOKEN, "-u", url))
        port = free_port()
        connector = stack.enter_context(linksocks("connector", "-t", CONNECTOR, "-u", url, "-p", str(port)))
        connector.wait_port(port)
        for at in (own, port):
            works(at, "127.0.0.1", target.port)
            assert refused(at, "127.0.0.2", target.port) == socks.NOT_ALLOWED


def test_a_provider_s_rules() -> None:
    with ExitStack() as stack, EchoTarget("0.0.0.0") as target:
        args = ["server", "-t", TOKEN, "-H", "127.0.0.1", "-P", "0", "-r", "-p", "0", "-i"]
        server = stack.enter_context(linksocks(*args))
        port = int(server.wait_line(r"applications' port (\d+) is open")[1])
        url = f"ws://{server.wait_line(r'listening on (127.0.0.1:[0-9]+)')[1]}"
        stack.enter_context(linksocks("provider", "-t", TOKEN, "-u", url, "--deny-rule", "127.0.0.2:*"))
        works(port, "127.0.0.1", target.port)
        assert refused(port, "127.0.0.2", target.port) == socks.NOT_ALLOWED


def test_datagrams_do_not_get_round_the_rules() -> None:
    """LinkSocks 1.10.3: the echo got through a server with 10.0.0.0/8:80 only."""
    flags = ["--access-rule", "10.0.0.0/8:80", "--access-rule", "127.0.0.1:*"]
    with (
        forward(flags, []) as (port, server),
        udp_socket("127.0.0.1") as good,
        udp_socket("127.0.0.2") as bad,
        Association(("127.0.0.1", port)) as app,
    ):
        app.send("127.0.0.2", bad.getsockname()[1], b"round the rules")
        app.send("127.0.0.1", good.getsockname()[1], b"ping")
        assert good.recvfrom(10)[0] == b"ping"
        server.wait_line("dropped a datagram: destination blocked by access control")
        bad.settimeout(0)
        with pytest.raises(BlockingIOError):
            bad.recv(10)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            "10.0.0.0/33:22",
            "'10.0.0.0/33' is no network, address, range of addresses or name; expected HOST:PORT",
        ),
        ("example.org", "expected HOST:PORT such as 10.0.0.0/8:22"),
        ("example.org:99999", "99999-99999 is no range of ports"),
    ],
)
@pytest.mark.parametrize("command", ["server", "client", "provider", "connector"])
def test_a_bad_rule_is_one_line(command: str, rule: str, said: str) -> None:
    with linksocks(command, "--deny-rule", "good.example:1", "--deny-rule", rule) as process:
        assert process.wait_exit() == 2
    assert len(process.err) == 1
    assert process.err[0].startswith(f"linksocks: --deny-rule: access rule {rule!r}: {said}")
