"""Memory is given back where there is some."""

from __future__ import annotations

import pytest

from linksocks.tunnel.channels import heap

MIB = 1024 * 1024


def test_only_much_is_worth_a_look_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    monkeypatch.setattr(heap, "_freed", 0)
    monkeypatch.setattr(heap, "_trim", trimmed.append)
    heap.freed(15 * MIB)
    heap.give_back()
    assert trimmed == []
    heap.freed(MIB)
    heap.give_back()
    heap.give_back()
    assert trimmed == [0]


def test_where_there_is_no_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_trim", None)
    heap.freed(16 * MIB)
    heap.give_back()
