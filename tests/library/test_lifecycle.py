"""The life of a tunnel, where its races are: what comes to the hub after the end was said."""

from __future__ import annotations

import asyncio
import logging

import pytest

from linksocks import Client, ClosedError, Server
from tests.support.targets import EchoTarget
from tests.support.threads import start
from tests.support.waits import eventually

PATIENCE = 10.0

pytestmark = pytest.mark.usefixtures("clean")


def test_a_call_that_comes_to_the_hub_after_the_end_was_said_makes_no_role() -> None:
    server = Server(ws_host="127.0.0.1", ws_port=0)
    life = server._life
    home = life._enter()
    life._closed = True  # as another thread may, between these two steps of a call
    for run, *role in ((life._do, life._running), (life._do, life._prepared), (life._get_ready,)):
        with pytest.raises(ClosedError):
            home.call(run, *role, lambda _role: None, timeout=10)
    assert life._role is None
    life.close(0)


class TestAnEndThatIsUnderWay:
    """One connection would go on through all of its grace."""

    @pytest.fixture(autouse=True)
    def begin(self, client: Client, echo: EchoTarget, caplog: pytest.LogCaptureFixture):
        caplog.set_level(logging.INFO, "linksocks")
        self.log = caplog
        with client.create_connection((echo.host, echo.port), PATIENCE):
            yield

    def under_way(self) -> bool:
        return "1 channels have 3600 s to end" in self.log.text

    def test_is_brought_nearer_by_a_shorter_grace(self, client: Client, server: Server) -> None:
        first = start(client.close, 3600)
        eventually(self.under_way)
        client.close(0.01)
        assert first.exception(PATIENCE) is None
        assert server.get_client_count() == 0
        assert "has not ended" not in self.log.text

    def test_is_not_put_off_by_a_longer_one(self, client: Client) -> None:
        closes = [start(client.close, 3600)]
        eventually(self.under_way)
        closes += [start(client.close, grace) for grace in (0.01, 3600, 7200)]
        assert [each.exception(PATIENCE) for each in closes] == [None] * 4

    def test_has_no_grace_any_more_when_its_caller_is_interrupted(
        self, client: Client, server: Server
    ) -> None:
        async def interrupted() -> None:
            closing = asyncio.create_task(client.async_close(3600))
            async with asyncio.timeout(PATIENCE):
                while not self.under_way():
                    await asyncio.sleep(0.001)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing

        asyncio.run(interrupted())
        client.close(3600)
        assert server.get_client_count() == 0
        assert "has not ended" not in self.log.text
