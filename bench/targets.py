"""How good we want to be: ratios to others and bounds, each number of one run, and whether we are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bench.report import HIGHER_IS_BETTER, Results, factor, number

OURS: Final = "ours"

_BULK = ("bulk-down", "bulk-up")
_MIXED = ("mixed-down", "mixed-up", "mixed-4-down", "mixed-4-up")
_CONNECTS = ("connects-1", "connects-32")
_LINKSOCKS = ("linksocks-1.10.1", "linksocks-1.10.3")
_ROUNDS = ("rounds-1", "rounds-100")
_PYTHON, _PROGRAMS = ("pywssocks-1.5.1",), ("chisel", "wstunnel")
_RELAY = ("relay",)


@dataclass(frozen=True)
class Target:
    """Bounds the numbers called `metrics` in each case; their ratio to each contender in `to`, if there are any.

    It is a lower bound where more is better, else an upper one.
    """

    cases: tuple[str, ...]
    metrics: tuple[str, ...]
    to: tuple[str, ...]
    bound: float


TARGETS: Final = (
    Target(_BULK, ("MiB/s",), _RELAY, 0.90),
    Target(_BULK, ("MiB/s",), _PYTHON, 20),
    Target(_BULK, ("MiB/s",), _LINKSOCKS, 10),
    Target(_BULK, ("CPU s/GiB",), _RELAY, 1.25),
    Target(("rounds-1",), ("p50 ms",), _RELAY, 1.15),
    Target(("rounds-1",), ("p50 ms",), _PYTHON + _LINKSOCKS, 1),
    Target(("rounds-100",), ("/s",), _RELAY, 1.2),
    Target(("rounds-100",), ("/s",), _PYTHON, 1),
    Target(("responses",), ("20 kB ms", "300 kB ms"), _RELAY, 1.3),
    Target(_CONNECTS, ("/s",), _RELAY, 0.8),
    Target(_MIXED, ("p50 ms",), _RELAY, 0.25),
    Target(_MIXED, ("p99 ms",), _RELAY, 0.2),
    Target(_MIXED, ("MiB/s",), _RELAY, 0.90),
    Target(("idle-10000",), ("client KiB", "server KiB"), (), 40),
    Target(_BULK, ("MiB/s",), _PROGRAMS, 1),
    Target(_ROUNDS + _CONNECTS, ("/s",), _PROGRAMS, 1),
)


def judged(results: Results) -> Iterator[str]:
    """A line for each target that this run can tell about."""
    for target in TARGETS:
        for case in target.cases:
            if case in results.rounds:
                for metric in target.metrics:
                    yield from _lines(results, target, case, metric)


def _lines(results: Results, target: Target, case: str, metric: str) -> Iterator[str]:
    more = metric in HIGHER_IS_BETTER
    for other in target.to or ("",):
        got = results.ratio(case, OURS, metric, other) if other else results.value(case, OURS, metric)
        if got is not None:
            verdict = "met" if (got >= target.bound if more else got <= target.bound) else "MISSED"
            wanted = f"at {'least' if more else 'most'} {target.bound:g}"
            shown = f"{factor(got):>6} x {other}" if other else f"{number(got):>6}"
            yield f"{verdict:6}  {case:12}  {metric:10}  {shown}, {wanted}"
