"""Observers: told in order, and none of them is in the way of the others."""

from __future__ import annotations

import logging

import pytest

from linksocks.tunnel.events import Event, LinkDown, LinkUp, Observers, PartnersChanged


def test_all_are_told_until_they_are_removed() -> None:
    told: list[tuple[str, Event]] = []
    observers = Observers()

    def first(event: Event) -> None:
        told.append(("first", event))
        observers.remove(first)

    def second(event: Event) -> None:
        told.append(("second", event))

    observers.add(first)
    observers.add(second)
    observers.tell(LinkUp("server"))
    observers.tell(LinkDown("server", "lost"))
    assert told == [
        ("first", LinkUp("server")),
        ("second", LinkUp("server")),
        ("second", LinkDown("server", "lost")),
    ]


def test_one_that_was_not_added() -> None:
    with pytest.raises(ValueError, match="not in list"):
        Observers().remove(print)


def test_one_that_fails_is_logged_and_the_others_hear(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Event] = []
    observers = Observers()
    observers.add(lambda _: 1 // 0)
    observers.add(told.append)
    observers.tell(PartnersChanged(2))
    assert told == [PartnersChanged(2)]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "ZeroDivisionError" in caplog.text
