"""The waits between tries: from 1 s to 60 s, growing, and never the same for two clients."""

from __future__ import annotations

import random

import pytest

from linksocks.client.backoff import FIRST, LAST, Backoff


def test_the_spans_double_and_end():
    random.seed(1)
    for _ in range(200):
        backoff = Backoff()
        waits = [backoff.next() for _ in range(10)]
        for place, wait in enumerate(waits):
            span = min(2 * FIRST * 2**place, LAST)
            assert span / 2 <= wait <= span
            assert FIRST <= wait <= LAST


@pytest.mark.parametrize("first", [0.1, 5.0, 100.0])
def test_the_first_wait_may_be_chosen(first: float):
    backoff = Backoff(first)
    assert backoff.first == first
    waits = [backoff.next() for _ in range(20)]
    assert first <= waits[0] <= 2 * first
    assert all(first <= wait <= max(2 * first, LAST) for wait in waits)
    backoff.reset()
    assert first <= backoff.next() <= 2 * first


def test_a_success_begins_anew():
    backoff = Backoff()
    for _ in range(9):
        backoff.next()
    backoff.reset()
    assert FIRST <= backoff.next() <= 2 * FIRST


def test_two_clients_differ():
    assert len({Backoff().next() for _ in range(50)}) > 40
