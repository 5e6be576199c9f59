"""Who may use the API, and what guessing costs."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import RemoteDisconnected

import gevent
import pytest
from gevent.event import Event
from gevent.pool import Group

from linksocks.server.api import guard as module
from linksocks.server.role import ServerRole
from linksocks.server.web import create_app
from tests.support.api import KEY, Api
from tests.support.roles import running, server_role

REFUSED = {"success": False, "error": "invalid API key"}


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY", 0.001)


@pytest.mark.parametrize("key", [KEY, "ключ"])
def test_each_key_opens(server: ServerRole, key: str) -> None:
    api = Api(server.port, None)
    assert api.ask("GET", "/api/status", X_API_Key=key.encode().decode("latin-1")).status == 200


@pytest.mark.parametrize("key", ["", "x", KEY[:-1], KEY + "x", KEY.upper(), f"{KEY},{KEY}", None])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/status"),
        ("HEAD", "/api/status"),
        ("OPTIONS", "/api/status"),
        ("POST", "/api/token"),
        ("PUT", "/api/token"),
        ("GET", "/api/nothing"),
        ("GET", "//api/status"),
        ("GET", "/api/openapi.json"),
    ],
)
def test_nobody_else_learns_anything(server: ServerRole, key: str | None, method: str, path: str) -> None:
    answer = Api(server.port, key).ask(method, path, {"type": "forward"} if method == "POST" else None)
    assert answer.status == 401
    assert method == "HEAD" or answer.json == REFUSED
    assert list(server.controls.tokens) == []


def test_the_other_pages_need_no_key(server: ServerRole) -> None:
    assert Api(server.port, None).ask("GET", "/").status == 200
    assert Api(server.port, "wrong").ask("GET", "/nothing").status == 404


def test_without_keys_there_is_no_api() -> None:
    with running(server_role()) as server:
        assert Api(server.port).ask("GET", "/api/status").status == 404


class Gate:
    """A guard and the pauses that it makes, which last until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.guard = module.Guard([KEY])
        self.pauses: list[float] = []
        self.hurry = True
        self._go = Event()
        self._app = create_app()
        self._waiting = Group()
        monkeypatch.setattr(module, "sleep", self._pause)

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if not self.hurry:
            self._go.wait()

    def knock(self, host: str, key: str = "wrong") -> int:
        """The status of the answer; 200 stands for going on."""
        environ = {"REMOTE_ADDR": host}
        with self._app.test_request_context("/api/x", headers={"X-API-Key": key}, environ_base=environ):
            answer = self.guard.check()
            return 200 if answer is None else answer.status_code

    def knock_and_wait(self, host: str, times: int = 1) -> None:
        """Wrong keys whose answers are still to come."""
        self.hurry = False
        for _ in range(times):
            count = len(self.pauses)
            self._waiting.spawn(self.knock, host)
            gevent.sleep(0)
            assert len(self.pauses) == count + 1

    def let_go(self) -> None:
        self.hurry = True
        self._go.set()
        self._waiting.join()


class TestGuessing:
    @pytest.fixture
    def gate(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
        monkeypatch.setattr(module, "FIRST_DELAY", 0.25)
        gate = Gate(monkeypatch)
        yield gate
        gate.let_go()

    def test_each_wrong_key_costs_more_than_the_one_before_up_to_a_bound(self, gate: Gate) -> None:
        assert [gate.knock("192.0.2.1") for _ in range(6)] == [401] * 6
        assert gate.pauses == [0.25, 0.5, 1, 2, 4, 4]
        assert gate.knock("192.0.2.2") == 401
        assert gate.pauses[-1] == 0.25

    def test_no_number_of_them_makes_an_endless_pause(self, gate: Gate) -> None:
        for _ in range(3000):
            gate.knock("192.0.2.1")
        assert max(gate.pauses) == 4

    def test_a_right_key_costs_nothing(self, gate: Gate) -> None:
        gate.knock("192.0.2.1")
        gate.pauses.clear()
        assert gate.knock("192.0.2.1", KEY) == 200
        assert gate.pauses == []

    def test_those_of_one_address_can_not_be_tried_side_by_side(self, gate: Gate) -> None:
        gate.knock_and_wait("192.0.2.1", module.WAITING_OF_ONE)
        assert gate.knock("192.0.2.1") == 429
        assert gate.knock("192.0.2.1", KEY) == 429  # else a guess would be answered
        assert gate.knock("192.0.2.2", KEY) == 200
        gate.let_go()
        assert gate.knock("192.0.2.1", KEY) == 200

    def test_so_few_may_wait_in_all(self, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "WAITING", 2)
        gate.knock_and_wait("192.0.2.1")
        gate.knock_and_wait("192.0.2.2")
        assert gate.knock("192.0.2.3") == 429
        assert gate.knock("192.0.2.3", KEY) == 429  # it has failed before
        assert gate.knock("192.0.2.4", KEY) == 200

    def test_an_address_is_forgiven(self, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
        gate.knock("192.0.2.1")
        gate.knock("192.0.2.1")
        monkeypatch.setattr(module, "FORGIVEN", -1)
        gate.knock("192.0.2.1")
        assert gate.pauses == [0.25, 0.5, 0.25]

    def test_the_table_is_bounded(self, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_ADDRESSES", 3)
        for last in range(10):
            gate.knock(f"192.0.2.{last}")
        assert list(gate.guard._offenders) == ["192.0.2.7", "192.0.2.8", "192.0.2.9"]

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
            ("::ffff:192.0.2.1", "192.0.2.1", True),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
            ("fe80::1%eth0", "fe80::2%eth1", True),
        ],
    )
    def test_what_is_one_host(self, gate: Gate, one: str, other: str, same: bool) -> None:
        gate.knock(one)
        gate.knock(other)
        assert gate.pauses == [0.25, 0.5 if same else 0.25]

    def test_the_hub_goes_on_meanwhile_and_a_stop_waits_for_nobody(
        self, server: ServerRole, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun = Event()

        def pause(_seconds: float) -> None:
            begun.set()
            gevent.sleep(1000)

        monkeypatch.setattr(module, "sleep", pause)

        def guess() -> None:
            with pytest.raises(RemoteDisconnected):
                Api(server.port, "wrong").ask("GET", "/api/status")

        guessing = gevent.spawn(guess)
        begun.wait()
        assert Api(server.port).get("/api/status")
        server.stop(0)
        guessing.get(timeout=5)
