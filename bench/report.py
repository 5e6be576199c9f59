"""From the numbers of all rounds to medians, ratios and a table.

A value is the median over the rounds that succeeded. A ratio to the reference is the median of the ratios of each
round by itself: the two were measured within seconds of each other, so what the machine did meanwhile cancels out.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from bench.cases import CASES, Result

REFERENCE: Final = "relay"

HIGHER_IS_BETTER: Final = frozenset({"MiB/s", "/s", "new /s"})
"""Of all other numbers, less is better."""


@dataclass
class Results:
    """By case and contender, one result for each round."""

    rounds: dict[str, dict[str, list[Result]]] = field(default_factory=dict)

    def add(self, case: str, contender: str, result: Result) -> None:
        self.rounds.setdefault(case, {}).setdefault(contender, []).append(result)

    def metrics(self, case: str) -> list[str]:
        """Everything that was measured in a case, in order."""
        return list(
            dict.fromkeys(
                name for rounds in self.rounds[case].values() for r in rounds for name in r if name != "error"
            )
        )

    def value(self, case: str, contender: str, metric: str) -> float | None:
        """The median, None where nothing was measured."""
        return _median(r[metric] for r in self.rounds[case].get(contender, ()) if metric in r)

    def ratio(self, case: str, contender: str, metric: str, to: str = REFERENCE) -> float | None:
        """The median of each round's ratio to another contender."""
        pairs = zip(self.rounds[case].get(contender, ()), self.rounds[case].get(to, ()), strict=False)
        return _median(
            float(mine[metric]) / float(theirs[metric])
            for mine, theirs in pairs
            if metric in mine and theirs.get(metric)
        )

    def failures(self, case: str, contender: str) -> list[str]:
        return [str(r["error"]) for r in self.rounds[case][contender] if "error" in r]

    def as_json(self) -> dict[str, Any]:
        """All rounds, and for each number its median and ratio."""
        return {
            case: {
                contender: {
                    "rounds": rounds,
                    "median": {m: self.value(case, contender, m) for m in self.metrics(case)},
                    "ratio": {m: self.ratio(case, contender, m) for m in self.metrics(case)},
                }
                for contender, rounds in by_contender.items()
            }
            for case, by_contender in self.rounds.items()
        }


def table(results: Results) -> str:
    """For people: a block for each case, a line for each contender."""
    return "\n\n".join(_block(results, case) for case in CASES if case in results.rounds)


def _block(results: Results, case: str) -> str:
    metrics = results.metrics(case)
    head = [f"{case}: {CASES[case].title}", *metrics]
    lines = [_cells(results, case, contender, metrics) for contender in results.rounds[case]]
    widths = [max(len(line[n]) for line in [head, *lines]) for n in range(len(head))]
    widths[0] = max(widths[0], 40)
    shown = []
    for cells, contender in zip([head, *lines], ["", *results.rounds[case]], strict=True):
        row = cells[0].ljust(widths[0]) + "".join(
            f"  {c.rjust(w)}" for c, w in zip(cells[1:], widths[1:], strict=True)
        )
        shown.append(row + (_failed(results, case, contender) if contender else ""))
    return "\n".join(shown)


def _cells(results: Results, case: str, contender: str, metrics: list[str]) -> list[str]:
    cells = ["    " + contender]
    for metric in metrics:
        value, ratio = results.value(case, contender, metric), results.ratio(case, contender, metric)
        shown = "" if value is None else number(value)
        cells.append(shown + ("" if ratio is None else f" ({ratio:.2f})".rjust(9)))
    return cells


def _failed(results: Results, case: str, contender: str) -> str:
    failures = results.failures(case, contender)
    if not failures:
        return ""
    rounds = len(results.rounds[case][contender])
    reason = failures[0].splitlines()[0][:150]
    return (
        f"  failed: {reason}"
        if rounds == len(failures) == 1
        else f"  failed {len(failures)} of {rounds}: {reason}"
    )


def number(value: float) -> str:
    """Three digits that count, thousands in groups."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _median(values: Iterable[float | str]) -> float | None:
    numbers = [float(value) for value in values]
    return statistics.median(numbers) if numbers else None
