"""A server and a provider, as processes of their own, that lead to an intranet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.examples.intranet import Intranet
from tests.support.processes import PATIENCE, Process, linksocks

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

_SERVER = """
[server]
ws_host = 127.0.0.1
ws_port = 0
upstream_proxy = {proxy}
[token:forward]
token = forward
[token:lent]
type = reverse
token = lent
[token:key]
type = connector
token = key
reverse_token = lent
"""


@dataclass(frozen=True)
class World:
    """The server at `url`: `forward` lets a client in, `key` a connector, whose provider logs in with `lent`."""

    url: str
    server: Process
    ca_file: Path
    intranet: Intranet
    forward: str = "forward"
    key: str = "key"

    @property
    def env(self) -> dict[str, str | None]:
        """What the examples read: a connector's."""
        return {"LINKSOCKS_URL": self.url, "LINKSOCKS_TOKEN": self.key}

    @property
    def logins(self) -> int:
        """How many connectors have come so far."""
        return sum("connector logged in" in line for line in self.server.err)

    def wait_logins(self, count: int) -> None:
        """Until so many have come."""
        deadline = time.monotonic() + PATIENCE
        while self.logins < count:
            assert time.monotonic() < deadline, self.server.output
            time.sleep(0.02)  # the pace of the polling, not what is waited for


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    config, ca_file = folder / "linksocks.ini", folder / "ca.pem"
    with Intranet(ca_file) as intranet:
        config.write_text(_SERVER.format(proxy=intranet.proxy))
        config.chmod(0o600)
        with linksocks("run", "--config", str(config)) as server:
            url = "ws://" + server.wait_line(r"listening on (127\.0\.0\.1:\d+)")[1]
            with linksocks("provider", "-t", "lent", "-u", url, "-x", intranet.proxy) as provider:
                provider.wait_line("logged in at")
                yield World(url, server, ca_file, intranet)


def assert_silent(process: Process) -> None:
    """It said nothing on stderr: no warning, no traceback, no thread that was forgotten."""
    assert process.err == [], process.output
