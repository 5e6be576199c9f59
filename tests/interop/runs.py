"""Runs the cells of the matrix, some at once: they wait much more than they compute.

A cell's processes are started once, and all its checks are made one after the other. Cells are begun in the order
of the tests that want them, so a test waits for little more than its own check.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from tests.interop.cells import Cell
from tests.interop.checks import BRIEF, PROMPT, Check, Path
from tests.interop.datagrams import Echo
from tests.interop.peer import OURS, Option, Peer
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.targets import HttpTarget

_AT_ONCE = 8

TOKEN, CONNECTOR_TOKEN = "the-token", "the-connector-token"


def need(peer: Peer) -> None:
    """Skips the test when this machine can't have the peer, and fails it when the peer was not made."""
    if not peer.made:
        if peer.why_skipped:
            pytest.skip(f"{peer}: {peer.why_skipped}")
        pytest.fail(f"{peer} is missing: run scripts/peers", pytrace=False)


class Runs:
    """The outcomes of `cells`."""

    def __init__(self, cells: Iterable[Cell], http: HttpTarget, echo: Echo) -> None:
        self._http = http
        self._echo = echo
        self._outcomes: dict[Cell, dict[Check, Future[None]]] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        for cell in cells:
            self._outcomes[cell] = {check: Future() for check in cell.mode.checks}
            self._pool.submit(self._run, cell)

    def check(self, cell: Cell, check: Check) -> None:
        """Raises what went wrong; waits for it."""
        self._outcomes[cell][check].result()

    def stop(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _run(self, cell: Cell) -> None:
        outcomes = self._outcomes[cell]
        try:
            with playing(cell) as (socks_port, processes):
                forgiven = 0 if cell.entry is OURS else 3
                for check, outcome in outcomes.items():
                    patience = BRIEF if cell.limit(check) else PROMPT
                    path = Path(socks_port, self._http, self._echo, cell.mode.fast_open, patience, forgiven)
                    try:
                        check(path)
                    except Exception as error:  # noqa: BLE001 - it is raised in the test
                        for process in processes:
                            error.add_note(process.output[-8000:])
                        outcome.set_exception(error)
                    else:
                        outcome.set_result(None)
        except Exception as error:  # noqa: BLE001 - the same: a part could not be played
            for outcome in outcomes.values():
                if not outcome.done():
                    outcome.set_exception(error)


@contextmanager
def playing(cell: Cell) -> Iterator[tuple[int, list[Process]]]:
    """All parts of `cell`, ready, and its SOCKS port."""
    with ExitStack() as stack:
        ws_port, spare_port = (stack.enter_context(_held_port()) for _ in range(2))
        socks_port = free_port() if cell.mode.entry == 0 else stack.enter_context(_held_port())
        common: dict[str, Option] = {"ws_port": ws_port, "token": TOKEN}
        entry: dict[str, Option] = {"socks_port": socks_port}
        if cell.mode.fast_open:
            entry["fast_open"] = True
        options: dict[str, dict[str, Option]] = {
            "server": {},
            "reverse_server": entry,
            # Nobody speaks to this port, but without one the server takes what may be another's.
            "agent_server": {"connector_token": CONNECTOR_TOKEN, "socks_port": spare_port},
            "autonomy_server": {},
            "client": entry,
            "connector": {"token": CONNECTOR_TOKEN, **entry},
            "provider": {"connector_token": CONNECTOR_TOKEN} if cell.mode.name == "autonomy" else {},
        }
        processes = [
            stack.enter_context(player.play(part, **common | options[part]))
            for part, player in zip(cell.mode.parts, cell.players, strict=True)
        ]
        try:
            processes[cell.mode.entry].wait_port(socks_port)
            yield socks_port, processes
        finally:
            for process in processes:  # an orderly stop takes its time, and nothing here looks at it
                process.send_signal(signal.SIGKILL)


@contextmanager
def _held_port() -> Iterator[int]:
    """A port that a program can listen on, which nobody else gets meanwhile.

    The holder is bound and does not listen. It sets SO_REUSEADDR, as all programs here do for all their listeners
    but one: the SOCKS port of pywssocks' server.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
