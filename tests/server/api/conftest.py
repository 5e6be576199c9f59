"""Every test here has a server with an API, in its own hub, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from linksocks.server.role import ServerRole
from tests.support.api import KEY, Api
from tests.support.roles import running, server_role


@pytest.fixture
def server(hub_is_clean: None, capfd: pytest.CaptureFixture[str]) -> Iterator[ServerRole]:
    """Whatever is asked: no traceback."""
    with running(server_role(token="", api_keys=[KEY, "ключ"], port_pool=range(20000, 30000))) as role:
        yield role
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.fixture
def api(server: ServerRole) -> Api:
    return Api(server.port)
