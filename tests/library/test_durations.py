from __future__ import annotations

import contextlib
import math
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linksocks.errors import ConfigError
from linksocks.library.durations import LONGEST, seconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (5, 5.0),
        (0.25, 0.25),
        (timedelta(minutes=1, milliseconds=1), 60.001),
        ("0", 0.0),
        ("+0", 0.0),
        ("5", 5.0),
        ("1.5", 1.5),
        ("1.5s", 1.5),
        ("+1.5s", 1.5),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("300ms", 0.3),
        ("1h30m", 5400.0),
        ("1m1m", 120.0),
        ("2500000us", 2.5),
        ("3\N{MICRO SIGN}s", 3e-6),
        ("3\N{GREEK SMALL LETTER MU}s", 3e-6),
        ("7ns", 7e-9),
    ],
)
def test_what_a_duration_is(value: Any, expected: float) -> None:
    assert seconds(value) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "soon",
        "5 s",
        "1s ",
        "s",
        ".s",
        "1,5s",
        "-1s",
        "--1s",
        "1d",
        "1S",
        "1e3s",
        "٣s",
        "1s\n",
    ],
)
def test_texts_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^timeout: invalid duration"):
        seconds(text, "timeout")


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (-1, "negative"),
        (-0.001, "negative"),
        (timedelta(seconds=-1), "negative"),
        (math.nan, "no number"),
        (math.inf, "no number"),
        (-math.inf, "no number"),
        (LONGEST * 2, "292 years"),
        (10**400, "292 years"),
        ("9" * 20 + "h", "292 years"),
    ],
)
def test_numbers_that_are_none(value: Any, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        seconds(value, "timeout")


@pytest.mark.parametrize("value", [True, False, b"5s", [5], {}, object(), 1j, Fraction(1, 2)])
def test_other_types_are_none(value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^grace: expected .* got {type(value).__name__}"):
        seconds(value, "grace")


@given(st.text(max_size=80))
def test_no_text_does_anything_else(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert 0 <= seconds(text) <= LONGEST


def test_a_long_text_costs_nothing() -> None:
    with pytest.raises(ConfigError, match="invalid duration"):
        seconds("1s" * 1_000_000)
