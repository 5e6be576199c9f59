"""How many partners there are, whatever a server says."""

import logging

import pytest

from linksocks.client import partners as module
from linksocks.client.partners import Partners
from linksocks.errors import MessageError
from linksocks.tunnel.events import Event, Observers, PartnersChanged
from linksocks.wire import messages as m
from linksocks.wire.codec import parse


def say(partners: Partners, count: int) -> None:
    partners.handlers[m.Partners.type](m.Partners(count))


def test_the_count_and_its_changes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    partners = Partners("provider", Observers())
    for count in (0, 2, 2, 1, 0):
        say(partners, count)
        assert partners.count == count
    assert caplog.messages == ["2 providers are there", "1 provider is there", "no providers are there"]


def test_a_server_can_not_fill_the_disk(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    partners = Partners("provider", Observers())
    for count in range(1, 1000):
        say(partners, count)
    assert len(caplog.messages) == module._LINES
    monkeypatch.setattr(module, "_SPAN", 0.0)
    say(partners, 1)
    assert caplog.messages[-1] == "1 provider is there"


@pytest.mark.parametrize(("said", "count"), [(-1, 0), (-(1 << 63), 0), ((1 << 63) - 1, (1 << 63) - 1)])
def test_rubbish_is_a_count_too(said: int, count: int) -> None:
    partners = Partners("connector", Observers())
    say(partners, said)
    assert partners.count == count


def test_what_is_no_count_never_gets_here() -> None:
    for body in (b'{"count":1e99}', b'{"count":"two"}', b'{"count":9223372036854775808}', b"[]"):
        with pytest.raises(MessageError):
            parse(b"\x01\x0a" + len(body).to_bytes(4) + body)


def test_without_a_link_there_are_none() -> None:
    partners = Partners("provider", Observers())
    say(partners, 3)
    partners.forget()
    assert partners.count == 0


def test_observers_hear_of_changes() -> None:
    heard: list[Event] = []
    observers = Observers()
    observers.add(heard.append)
    partners = Partners("provider", observers)
    partners.forget()
    for count in (0, 2, 2, -1, 3):
        say(partners, count)
    partners.forget()
    partners.forget()
    assert heard == [PartnersChanged(count) for count in (2, 0, 3, 0)]
