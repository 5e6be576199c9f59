"""Fast open in every mode: success is told before the target is reached, and taken back by a reset."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from tests.support import socks
from tests.support.applications import curl
from tests.support.chains import MODES, Chain
from tests.support.processes import PATIENCE
from tests.support.targets import EchoTarget, HttpTarget, refusing_port, unanswered_port

EAGER = ("-f",)


@pytest.fixture(scope="module", params=MODES)
def chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    with Chain(request.param, entry=EAGER) as chain:
        yield chain


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoTarget]:
    with EchoTarget() as target:
        yield target


def test_success_is_told_at_once(chain: Chain) -> None:
    with unanswered_port() as port:
        chain.connect(port, timeout=3).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_refused_target_is_a_reset(chain: Chain, host: str) -> None:
    with refusing_port() as port:
        assert _is_taken_back(chain.socks_port, port, host)


def test_a_refused_target_is_a_reset_behind_data_too(chain: Chain) -> None:
    broken = pytest.raises((ConnectionResetError, BrokenPipeError))
    with refusing_port() as port, chain.connect(port) as app, broken:
        _send_until_it_breaks(app)


def test_an_application_may_say_all_before_it_hears_anything(chain: Chain, echo: EchoTarget) -> None:
    """Greeting, request and data in one go; the data reach the target in order."""
    for number in range(5):
        data = random.Random(number).randbytes(1_000_000)
        with socket.create_connection(("127.0.0.1", chain.socks_port), PATIENCE) as app:
            request = b"\5\1\0" + b"\5\1\0\1\x7f\0\0\1" + struct.pack("!H", echo.port)
            sending = threading.Thread(target=_send_and_end, args=(app, request + data), daemon=True)
            sending.start()
            assert socks.read_exactly(app, 2) == b"\5\0"
            assert socks.read_reply(app) == socks.SUCCEEDED
            assert socks.read_exactly(app, len(data)) == data
            assert app.recv(1) == b""
            sending.join(PATIENCE)


@pytest.mark.parametrize("flags", [("-p", "-x"), ("--socks4a",)], ids="".join)
def test_the_other_protocols(chain: Chain, flags: tuple[str, ...]) -> None:
    address = f"127.0.0.1:{chain.socks_port}"
    with HttpTarget() as web, refusing_port() as port:
        assert curl(*flags, address, "--fail", web.url("/bytes/3", "localhost")).returncode == 0
        refused = curl(*flags, address, f"http://localhost:{port}/")
        assert refused.returncode in (52, 55, 56), refused.stderr  # no answer, or sending or receiving failed


def test_a_request_in_absolute_form_has_an_answer_that_tells_more(chain: Chain) -> None:
    with refusing_port() as port:
        got = curl("-x", f"http://127.0.0.1:{chain.socks_port}", "-i", f"http://127.0.0.1:{port}/")
    assert got.stdout.startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize("eager", ["connector", "server", "both"])
def test_each_port_of_agent_mode_has_its_own_way(eager: str, echo: EchoTarget) -> None:
    connector_is, server_is = eager != "server", eager != "connector"
    flags = {"entry": EAGER if connector_is else (), "server": EAGER if server_is else ()}
    with Chain("agent", **flags) as chain, refusing_port() as port:
        chain.works(echo)
        for socks_port, early in ((chain.socks_port, connector_is), (chain.server_s_port(), server_is)):
            if early:
                assert _is_taken_back(socks_port, port)
            else:
                with pytest.raises(socks.SocksRefused) as refused:
                    socks.connect(socks_port, "127.0.0.1", port)
                assert refused.value.reply == socks.REFUSED


def _is_taken_back(socks_port: int, port: int, host: str = "127.0.0.1") -> bool:
    """Whether the application hears of success, and then of a reset."""
    with socks.connect(socks_port, host, port) as app:
        try:
            app.recv(1)
        except ConnectionResetError:
            return True
    return False


def _send_and_end(app: socket.socket, data: bytes) -> None:
    app.sendall(data)
    app.shutdown(socket.SHUT_WR)


def _send_until_it_breaks(app: socket.socket) -> None:
    app.settimeout(PATIENCE)
    while True:
        app.sendall(bytes(1024))
