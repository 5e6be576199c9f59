"""From the numbers of all rounds to medians, ratios and a table.

A value is the median over the rounds that have it. A ratio is the median of the ratios of each round by itself: the
two contenders were measured within seconds of each other, so what the machine did meanwhile cancels out.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from bench.cases import CASES, Result

REFERENCE: Final = "relay"

HIGHER_IS_BETTER: Final = frozenset({"MiB/s", "/s"})
"""Of all other numbers, less is better."""

_HEADROOM: Final = 2.0
"""Below this multiple of the reference the load itself may be what is measured."""

_LABEL: Final = 44  # columns for the case and the contenders
_REASON: Final = 160  # characters of a failure in the table; the JSON has all


@dataclass
class Results:
    """By case and contender, one result for each round."""

    rounds: dict[str, dict[str, list[Result]]] = field(default_factory=dict)

    def add(self, case: str, contender: str, result: Result) -> None:
        """An empty result is none: memory without a proxy, say."""
        if result:
            self.rounds.setdefault(case, {}).setdefault(contender, []).append(result)

    def metrics(self, case: str) -> list[str]:
        """Everything that was measured in a case, in the order of the longest result."""
        all_results = [result for results in self.rounds[case].values() for result in results]
        names = dict.fromkeys(
            name for result in sorted(all_results, key=len, reverse=True) for name in result
        )
        return [name for name in names if name != "error"]

    def values(self, case: str, contender: str, metric: str) -> list[float]:
        """What the rounds have."""
        return [result[metric] for result in self.rounds[case].get(contender, ()) if metric in result]

    def value(self, case: str, contender: str, metric: str) -> float | None:
        return _median(self.values(case, contender, metric))

    def ratio(self, case: str, contender: str, metric: str, to: str = REFERENCE) -> float | None:
        rounds = self.rounds[case]
        pairs = zip(rounds.get(contender, ()), rounds.get(to, ()), strict=False)  # the last round may be cut
        return _median(
            mine[metric] / theirs[metric] for mine, theirs in pairs if metric in mine and theirs.get(metric)
        )

    def failures(self, case: str, contender: str) -> list[str]:
        return [result["error"] for result in self.rounds[case][contender] if "error" in result]

    def as_json(self) -> dict[str, Any]:
        """All rounds, and for each number its median and ratio."""
        return {
            case: {
                contender: {
                    "rounds": rounds,
                    "median": {metric: self.value(case, contender, metric) for metric in self.metrics(case)},
                    "ratio": {metric: self.ratio(case, contender, metric) for metric in self.metrics(case)},
                }
                for contender, rounds in by_contender.items()
            }
            for case, by_contender in self.rounds.items()
        }


def table(results: Results) -> str:
    """A block for each case, a line for each contender."""
    return "\n\n".join(_block(results, case) for case in CASES if case in results.rounds)


def _block(results: Results, case: str) -> str:
    metrics, contenders = results.metrics(case), list(results.rounds[case])
    lines = [[f"{case}: {CASES[case].title}", *metrics]]
    lines += [_cells(results, case, contender, metrics) for contender in contenders]
    notes = ["", *(_failed(results, case, contender) for contender in contenders)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]

    def shown(line: list[str]) -> str:
        numbers = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        return "   ".join([line[0].ljust(_LABEL), *numbers]).rstrip()

    return "\n".join(shown(line) + note for line, note in zip(lines, notes, strict=True))


def _cells(results: Results, case: str, contender: str, metrics: list[str]) -> list[str]:
    cells = [f"    {contender}"]
    for metric in metrics:
        value, ratio = results.value(case, contender, metric), results.ratio(case, contender, metric)
        shown = "" if value is None else number(value)
        cells.append(shown + ("" if ratio is None else f"({factor(ratio)})".rjust(10)))
    return cells


def _failed(results: Results, case: str, contender: str) -> str:
    failures = results.failures(case, contender)
    if not failures:
        return ""
    reason = failures[0].strip().splitlines()[0][:_REASON]
    rounds = len(results.rounds[case][contender])
    return (
        f"  failed: {reason}"
        if len(failures) == rounds
        else f"  failed {len(failures)} of {rounds}: {reason}"
    )


def headroom(results: Results) -> str:
    """What the load reaches without a proxy, against the reference: could the load be the bottleneck?"""
    ratios = {
        case: results.ratio(case, "direct", metric)
        for case in results.rounds
        for metric in ("MiB/s", "/s")
        if metric in results.metrics(case)
    }
    shown = [
        f"{case} {factor(ratio)}" + (" (TOO LITTLE)" if ratio < _HEADROOM else "")
        for case, ratio in ratios.items()
        if ratio is not None
    ]
    return "the load without a proxy, as a multiple of the relay: " + ", ".join(shown) if shown else ""


def number(value: float) -> str:
    """Three digits that count, thousands in groups."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3g}"


def factor(ratio: float) -> str:
    """Two digits after the point, and one that counts for the very small."""
    return number(ratio) if ratio >= 1 else f"{ratio:.2f}" if ratio >= 0.095 else f"{ratio:.1g}"


def _median(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return statistics.median(numbers) if numbers else None
