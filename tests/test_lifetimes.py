"""Processes that are killed, frozen and cut off while they work, and what that is to all others."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

import gevent
import pytest
from gevent import socket

from linksocks.server.specs import Kind, TokenSpec
from tests.support import socks
from tests.support.cable import Cable
from tests.support.chains import CONNECTOR_TOKEN, LENT, TOKEN, Chain, said, stopped
from tests.support.flows import RESET, Baseline, Flow, Memory, descriptors
from tests.support.leaks import live_greenlets
from tests.support.roles import client_role, provider_role, running, server_role
from tests.support.targets import EchoTarget
from tests.support.tunnels import Target, application, read_to_end
from tests.support.waits import eventually

MIB = 1024 * 1024

BEAT, PROBE, FIRST = 0.2, 0.5, 0.1
"""Seconds for which a provider counts as heard lately, that it has to answer after that, and before a client tries
again. By default they are 5, 2 and 1."""

LIVENESS = BEAT + PROBE

PACE = (
    f"from linksocks.client import backoff; backoff.FIRST = {FIRST}\n"
    f"from linksocks.net.ws import heartbeat; heartbeat.PING_INTERVAL = 5 * {BEAT}\n"
    f"from linksocks.server import groups; groups.PROBE = {PROBE}"
)

SWITCHED = ["agent", "autonomy"]
SHARED = ["reverse", "agent"]
"""The modes in which providers stand in for each other."""

SOON = 5.0
"""Seconds for a new connection: far more than it needs, and less than an answer's deadline."""

_keys = count()


@pytest.fixture
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@pytest.fixture
def echo() -> Iterator[EchoTarget]:
    with EchoTarget() as target:
        yield target


class Visits:
    """New connections through `chain`, one begun each twentieth of a second, each with a word and its echo."""

    def __init__(self, chain: Chain, echo: EchoTarget) -> None:
        self._ports = chain.socks_port, echo.port
        self.good: list[float] = []
        """When those began that went well."""
        self.failed: list[tuple[float, Exception]] = []
        """When those began that did not, and why."""
        self._running: dict[gevent.Greenlet, float] = {}

    def __enter__(self) -> Visits:
        self._clock = gevent.spawn(self._begin)
        return self

    def __exit__(self, *exc: object) -> None:
        self._clock.kill()
        gevent.killall(list(self._running))

    def bad_since(self, moment: float) -> list[object]:
        """Those that began since then and failed, or have not ended SOON."""
        now = time.monotonic()
        late = [began for began in self._running.values() if moment <= began < now - SOON]
        return [error for began, error in self.failed if began >= moment] + late

    def good_since(self, moment: float) -> int:
        return sum(began >= moment for began in self.good)

    def _begin(self) -> None:
        while True:
            visit = gevent.spawn(self._visit, time.monotonic())
            self._running[visit] = time.monotonic()
            visit.rawlink(self._running.pop)
            gevent.sleep(0.05)

    def _visit(self, began: float) -> None:
        try:
            app = application(*self._ports)
            app.sendall(b"hello")
            assert socks.read_exactly(app, 5) == b"hello"
            app.close()
        except (OSError, socks.SocksRefused) as error:
            self.failed.append((began, error))
        else:
            self.good.append(began)


@contextmanager
def downloads(chain: Chain, target: Target, number: int) -> Iterator[list[Flow]]:
    with ExitStack() as stack:
        flows = []
        for _ in range(number):
            # What a buffer holds is read before a reset is seen.
            app, conn = chain.join(target, receive_buffer=4096)
            flows.append(Flow(next(_keys), conn, app, speed=200_000).start())
            stack.callback(flows[-1].close)
        eventually(lambda: all(flow.received for flow in flows), *chain.processes)
        yield flows


@contextmanager
def two_providers(mode: str) -> Iterator[Chain]:
    with Chain(mode, pace=PACE) as chain:
        chain.add_provider()
        yield chain


class TestTwoProviders:
    @pytest.mark.parametrize("mode", SHARED)
    def test_one_is_killed(self, mode: str, target: Target, echo: EchoTarget) -> None:
        """Eight streams are four through each; new connections are made all the time."""
        with (
            two_providers(mode) as chain,
            downloads(chain, target, 8) as flows,
            Visits(chain, echo) as visits,
        ):
            eventually(lambda: len(visits.good) > 10, *chain.processes)
            killed = time.monotonic()
            chain.kill(chain.providers[0])
            eventually(lambda: _outcomes(flows).count(RESET) >= 4, *chain.processes)
            received = [flow.received for flow in flows]
            eventually(lambda: _others_moved(flows, received), *chain.processes)
            assert sorted(_outcomes(flows)) == [""] * 4 + [RESET] * 4
            eventually(lambda: visits.good_since(killed + LIVENESS) > 10, *chain.processes)
            assert visits.bad_since(killed + LIVENESS) == []

    @pytest.mark.parametrize("mode", SHARED)
    def test_one_is_frozen(self, mode: str, target: Target, echo: EchoTarget) -> None:
        """What it had goes on when it does."""
        with (
            two_providers(mode) as chain,
            downloads(chain, target, 8) as flows,
            Visits(chain, echo) as visits,
        ):
            frozen = chain.providers[0]
            with stopped(frozen):
                good_again = time.monotonic() + 2 * LIVENESS
                eventually(lambda: visits.good_since(good_again) > 10, *chain.processes)
                assert visits.bad_since(good_again) == []
            received = [flow.received for flow in flows]
            eventually(lambda: all(flow.received > then for flow, then in zip(flows, received, strict=True)))
            assert _outcomes(flows) == [""] * 8
            before = descriptors(frozen)
            with downloads(chain, target, 8):
                eventually(lambda: descriptors(frozen) > before, *chain.processes)


@pytest.mark.parametrize("mode", LENT)
class TestEverybody:
    def test_a_server_that_was_killed_leaves_nothing_and_comes_back(
        self, mode: str, target: Target, echo: EchoTarget
    ) -> None:
        """The same ports lead to the same providers, with nobody's help."""
        with Chain(mode, pace=PACE, comes_back=True) as chain:
            survivors = chain.processes[1:]
            chain.works(echo)
            idle = Baseline(*survivors)
            memory = [Memory(process) for process in survivors]
            with downloads(chain, target, 20) as flows:
                chain.kill(chain.server)
                for flow in flows:
                    flow.speed = 0
                assert [flow.wait() for flow in flows] == [RESET] * 20
            idle.wait()
            chain.start_server()
            for process in survivors:
                said(process, "logged in at", times=2)
            chain.works(echo)
            idle.wait()
            assert all(each.growth < 32 * MIB for each in memory)

    def test_a_provider_that_is_cut_off_comes_back(self, mode: str, target: Target, echo: EchoTarget) -> None:
        """It has its port, its connector token and its connectors as before."""
        with Cable() as cable, Chain(mode, pace=PACE, cable=cable) as chain:
            idle = Baseline(*chain.processes)
            with downloads(chain, target, 20) as flows:
                cable.wires[0].cut()
                assert [flow.wait() for flow in flows] == [RESET] * 20
            said(chain.providers[0], "logged in at", times=2)
            chain.works(echo)
            idle.wait()
            for connector in chain.connectors:
                assert len([line for line in connector.err if "logged in at" in line]) == 1


@pytest.mark.parametrize("mode", SWITCHED)
def test_a_connector_that_was_killed_leaves_nothing(mode: str, target: Target, echo: EchoTarget) -> None:
    with Chain(mode, pace=PACE) as chain:
        idle = Baseline(chain.server, *chain.providers)
        for _ in range(2):
            app_ends = [chain.join(target) for _ in range(20)]
            chain.kill(chain.connectors[0])
            for app, conn in app_ends:
                assert read_to_end(conn) == (b"", False)
                app.close()
                conn.close()
            idle.wait()
            chain.socks_port = chain.add_connector()
            chain.works(echo)
            idle.wait()


def test_a_provider_that_was_killed_is_replaced(target: Target, echo: EchoTarget) -> None:
    """By another process that brings its connector token; the connector comes to that by itself."""
    with Chain("autonomy", pace=PACE) as chain:
        with downloads(chain, target, 5) as flows:
            chain.kill(chain.providers[0])
            assert [flow.wait() for flow in flows] == [RESET] * 5
        chain.add_provider()
        chain.works(echo)


@pytest.mark.parametrize("lost", ["provider", "connector"])
def test_a_cut_link_leaves_no_greenlet(lost: str, target: Target) -> None:
    """All in one process, where they can be counted; some connections move, some stand still, some are half ended."""
    server = server_role(token="")
    server.add(TokenSpec(Kind.REVERSE, TOKEN))
    server.add(TokenSpec(Kind.CONNECTOR, CONNECTOR_TOKEN, reverse_token=TOKEN))
    with ExitStack() as stack:
        stack.enter_context(running(server))
        cable = stack.enter_context(Cable(server.port))
        provider = stack.enter_context(running(provider_role(cable.port, token=TOKEN)))
        eventually(lambda: len(cable.wires) == 1)
        client = stack.enter_context(running(client_role(cable.port, token=CONNECTOR_TOKEN)))
        eventually(lambda: (provider.partners, client.partners) == (1, 1))
        idle = len(live_greenlets())
        apps, conns, pouring = [], [], []
        for number in range(12):
            accepting = gevent.spawn(target.accept)
            app = application(client.socks_port, target.port)
            apps.append(app)
            conns.append(accepting.get())
            if number % 3 == 0:
                pouring.append(gevent.spawn(_pour, conns[-1]))
            elif number % 3 == 1:
                app.shutdown(socket.SHUT_WR)
        gevent.idle()
        assert len(live_greenlets()) >= idle + 12
        cable.wires[0 if lost == "provider" else 1].cut()
        gevent.joinall(pouring)
        assert [read_to_end(app)[1] for app in apps] == [False] * 12
        for sock in apps + conns:
            sock.close()
        eventually(lambda: (provider.partners, client.partners) == (1, 1))
        eventually(lambda: len(live_greenlets()) <= idle)


def _pour(sock: socket.socket) -> None:
    """Sends until it is reset."""
    with contextlib.suppress(OSError):
        while True:
            sock.sendall(bytes(64 * 1024))


def _outcomes(flows: list[Flow]) -> list[str]:
    return [flow.outcome for flow in flows]


def _others_moved(flows: list[Flow], since: list[int]) -> bool:
    return all(flow.outcome or flow.received > then for flow, then in zip(flows, since, strict=True))
