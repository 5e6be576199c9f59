"""The results as SVG: a row for each case, a panel for each number, a bar for each contender.

A bar is the ratio to the reference, which has a line of its own; the number beside it is the median. Bars that are
longer than the scale end in an arrow head. In the title of a panel an arrow shows which way is better.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from bench.cases import CASES
from bench.report import HIGHER_IS_BETTER, REFERENCE, Results, number
from bench.targets import OURS

_LABEL, _PANEL, _GAP = 150, 200, 20  # widths in pixels
_BARS: Final = 130  # of the panel's width; the number needs the rest
_LINE, _TITLE, _SPACE = 16, 34, 22  # heights in pixels
_SCALE: Final = 2.0  # the ratio at the end of the scale

_COLOURS: Final = {OURS: "#0b7285", REFERENCE: "#495057", "direct": "#ced4da"}
_OTHERS: Final = "#e8a23d"

_STYLE: Final = """
    text { font: 11px system-ui, sans-serif; fill: #343a40; dominant-baseline: central; }
    .case { font-weight: 600; font-size: 13px; }
    .metric { fill: #868e96; }
    .failed { fill: #c92a2a; }
    .reference { stroke: #adb5bd; stroke-dasharray: 2 2; }
"""


def plot(results: Results, when: str) -> str:
    cases = [case for case in CASES if case in results.rounds]
    width = _LABEL + max(len(results.metrics(case)) for case in cases) * (_PANEL + _GAP)
    explained = f"{when}: medians; bars are ratios to the two-hop {REFERENCE}, which is the dotted line"
    shapes = [_text(10, 16, explained, "metric")]
    top = 40
    for case in cases:
        shapes += _case(results, case, top)
        top += _TITLE + _LINE * len(results.rounds[case]) + _SPACE
    size = f'width="{width}" height="{top}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {top}">',
            f"<style>{_STYLE}</style>",
            f'<rect {size} fill="#fff"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def _case(results: Results, case: str, top: int) -> Iterator[str]:
    yield _text(10, top + 8, f"{case}: {CASES[case].title}", "case")
    contenders = list(results.rounds[case])
    middles = [top + _TITLE + _LINE * row + _LINE / 2 for row in range(len(contenders))]
    for contender, middle in zip(contenders, middles, strict=True):
        yield _text(_LABEL - 10, middle, contender, anchor="end")
    for column, metric in enumerate(results.metrics(case)):
        left = _LABEL + column * (_PANEL + _GAP)
        better = "↑" if metric in HIGHER_IS_BETTER else "↓"
        yield _text(left, top + 25, f"{metric} {better}", "metric")
        line, end = left + _BARS / _SCALE, middles[-1] + _LINE / 2
        yield f'<line class="reference" x1="{line}" x2="{line}" y1="{top + _TITLE}" y2="{end}"/>'
        for contender, middle in zip(contenders, middles, strict=True):
            yield from _bar(results, case, contender, metric, left, middle)


def _bar(results: Results, case: str, contender: str, metric: str, left: int, middle: float) -> Iterator[str]:
    value, ratio = results.value(case, contender, metric), results.ratio(case, contender, metric)
    if value is None:
        if results.failures(case, contender):
            yield _text(left, middle, "failed", "failed")
        return
    end: float = left
    if ratio is not None:
        end += _BARS * min(ratio, _SCALE) / _SCALE
        y, height = middle - _LINE * 0.35, _LINE * 0.7
        tip = end + 5 if ratio > _SCALE else end
        corners = f"{left},{y} {end:.1f},{y} {tip:.1f},{middle} {end:.1f},{y + height} {left},{y + height}"
        yield f'<polygon points="{corners}" fill="{_COLOURS.get(contender, _OTHERS)}"/>'
    yield _text(end + 9, middle, number(value))


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'
