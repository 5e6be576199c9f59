"""Every pairing of the matrix in every check; see cells.py for both, and scripts/interop for the printed matrix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.cells import CELLS, Cell
from tests.interop.checks import Check
from tests.interop.datagrams import Echo
from tests.interop.runs import Runs, need
from tests.support.targets import HttpTarget


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, http: HttpTarget) -> Iterator[Runs]:
    """The cells of the tests that were asked for, each once."""
    tests = (item for item in request.session.items if isinstance(item, pytest.Function))
    wanted: dict[Any, None] = {
        test.callspec.params["cell"]: None for test in tests if test.originalname == "test_pairing"
    }
    with Echo() as echo:
        runs = Runs([cell for cell in wanted if all(peer.made for peer in cell.peers)], http, echo)
        yield runs
        runs.stop()


@pytest.mark.parametrize(
    ("cell", "check"),
    [
        pytest.param(cell, check, id=f"{cell}:{check.__name__}")
        for cell in CELLS
        for check in cell.mode.checks
    ],
)
def test_pairing(cell: Cell, check: Check, runs: Runs) -> None:
    """It works, or a limit of the peer's shows."""
    for peer in cell.peers:
        need(peer)
    limit = cell.limit(check)
    try:
        runs.check(cell, check)
    except Exception:
        if limit is None:
            raise
    else:
        if limit is not None and limit.sure:
            pytest.fail(f"it works, so this is no longer true: {limit.reason}", pytrace=False)
