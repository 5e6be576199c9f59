"""Direct mode: what can't be had is said, and what can be done without is passed over with one warning."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from linksocks import Client, ConfigError, Server
from linksocks.library import direct
from tests.support.programs import outcome

OPTIONS = {
    "direct_mode": "auto",
    "direct_discovery": "stun",
    "direct_host_candidates": "auto",
    "stun_servers": ["stun.example.org:3478"],
    "direct_only_action": "exit",
    "direct_upnp": True,
    "direct_upnp_lease": "30m",
    "direct_upnp_keep": True,
    "direct_upnp_external_port": 4000,
}


@pytest.mark.parametrize("mode", ["direct-only", "always"])
def test_what_needs_it_is_an_error_with_a_way_out(mode: str) -> None:
    with pytest.raises(ConfigError, match=f"'{mode}' is not available.*give 'relay-only'"):
        Client(direct_mode=mode)


def test_other_words_are_errors() -> None:
    with pytest.raises(ConfigError, match=r"^direct_mode: expected 'relay-only' or 'auto'"):
        Client(direct_mode="relay")


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """As in a process that has heard of nothing yet."""
    monkeypatch.setattr(direct, "_warnings", itertools.count())
    return caplog


def test_the_rest_is_ignored_with_one_warning_in_a_process() -> None:
    (line,) = outcome(
        f"""
        import logging, sys
        from linksocks import *
        logging.basicConfig(stream=sys.stdout)
        for _ in range(3):
            Client(**{OPTIONS!r})
        Server(direct_enable=True)
        """
    )
    assert "direct_mode: ignored" in line


@pytest.mark.parametrize("name", OPTIONS)
def test_each_alone_is_enough_for_it(name: str, warned: pytest.LogCaptureFixture) -> None:
    options: Any = {name: OPTIONS[name]}
    Client(**options)
    (line,) = warned.messages
    assert line.startswith(f"{name}: ignored")


def test_so_is_that_of_a_server(warned: pytest.LogCaptureFixture) -> None:
    Server(direct_enable=True)
    (line,) = warned.messages
    assert line.startswith("direct_enable: ignored")


def test_who_asks_for_nothing_hears_nothing(warned: pytest.LogCaptureFixture) -> None:
    Client()
    Client(direct_mode="relay-only", direct_upnp=False, stun_servers=[])
    Client(direct_mode="never")
    Server()
    Server(direct_enable=False)
    assert not warned.messages
