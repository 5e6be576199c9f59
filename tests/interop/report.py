"""Prints the matrix as it was measured, in reStructuredText: a pytest plugin, `-p tests.interop.report`.

A pairing that did all it was checked for is `yes`, with a footnote for each limit of the peer that showed. `no` is
one that did nothing, `-` one that was not run, because of its peer or of the tests that were chosen. `FAILED` is
what nobody expected.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import pytest

from tests.interop.cells import CELLS, LIMITS, Cell, Limit
from tests.interop.checks import Check
from tests.interop.peer import OURS, PEERS, Peer

_measured: dict[Cell, dict[Check, str | Limit]] = {}
_PASSED, _FAILED = "passed", "failed"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Notes how each check of a cell went."""
    report = yield
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if call.when == "call" and "cell" in params:
        cell, check = params["cell"], params["check"]
        limit = cell.limit(check) if report.outcome == _PASSED else None
        _measured.setdefault(cell, {})[check] = limit or report.outcome
    return report


def pytest_unconfigure() -> None:
    """The last word, below the failures."""
    for line in _matrix():
        print(line)  # noqa: T201 - this is what the plugin is for


def _matrix() -> Iterator[str]:
    yield ""
    rows: dict[tuple[str, str], dict[Peer, str]] = {}
    mixes = []
    for cell in CELLS:
        if len(cell.peers) == 1:
            rows.setdefault((str(cell.mode), _pairing(cell)), {})[cell.peers[0]] = _verdict(cell)
        else:
            mixes.append((str(cell.mode), _pairing(cell), _verdict(cell)))
    titles = [_title(peer) for peer in PEERS]
    yield from _table(
        ("Mode", "Who", *titles),
        [(*row, *(verdicts.get(peer, "") for peer in PEERS)) for row, verdicts in rows.items()],
    )
    yield ""
    yield from _table(("Mode", "Who", "Works"), mixes)
    yield ""
    for limit in _shown_limits():
        yield f".. [{_number(limit)}] {limit.reason}"


def _pairing(cell: Cell) -> str:
    """Who plays which part; a peer that is the only one is `their`."""

    def name(player: object) -> str:
        if player is OURS:
            return "our"
        return "their" if len(cell.peers) == 1 else f"{player}"

    played = zip(cell.mode.parts, cell.players, strict=True)
    return ", ".join(f"{name(player)} {part.rpartition('_')[2]}" for part, player in played)


def _verdict(cell: Cell) -> str:
    outcomes = _measured.get(cell, {})
    failed = [check.__name__ for check, outcome in outcomes.items() if outcome == _FAILED]
    if failed:
        return f"FAILED: {', '.join(failed)}"
    limits = {outcome for outcome in outcomes.values() if isinstance(outcome, Limit)}
    notes = "".join(f" [{_number(limit)}]_" for limit in LIMITS if limit in limits)
    if _PASSED in outcomes.values():
        return "yes" + notes
    return f"no{notes}" if limits else "-"


def _shown_limits() -> list[Limit]:
    shown = {outcome for outcomes in _measured.values() for outcome in outcomes.values()}
    return [limit for limit in LIMITS if limit in shown]


def _number(limit: Limit) -> int:
    return _shown_limits().index(limit) + 1


def _title(peer: Peer) -> str:
    return f"{'LinkSocks' if peer.name == 'linksocks' else peer.name} {peer.version}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    rule = "  ".join("=" * width for width in widths)
    yield rule
    for row in (head, *rows):
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        if row is head:
            yield rule
    yield rule
