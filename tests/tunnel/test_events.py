"""Observers: told in order, and none of them is in the way of the others."""

from __future__ import annotations

import logging

import pytest

from linksocks.tunnel.events import Event, LinkDown, LinkUp, Observers, PartnersChanged


def test_all_are_told_in_the_order_in_which_they_came() -> None:
    told: list[tuple[str, Event]] = []
    observers = Observers()
    observers.add(lambda event: told.append(("first", event)))
    observers.add(lambda event: told.append(("second", event)))
    observers.tell(LinkUp("server"))
    observers.tell(LinkDown("server", "lost"))
    assert told == [
        ("first", LinkUp("server")),
        ("second", LinkUp("server")),
        ("first", LinkDown("server", "lost")),
        ("second", LinkDown("server", "lost")),
    ]


def test_one_that_fails_is_logged_and_the_others_hear(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Event] = []
    observers = Observers()
    observers.add(lambda _: 1 // 0)
    observers.add(told.append)
    observers.tell(PartnersChanged(2))
    assert told == [PartnersChanged(2)]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "ZeroDivisionError" in caplog.text
