"""Direct mode: what can't be had is said, and what can be done without is passed over with one warning."""

from __future__ import annotations

import subprocess
import sys

import pytest

from linksocks import Client, ConfigError, Server

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


def warnings_of(program: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"import logging; logging.basicConfig(); from linksocks import *; {program}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return run.stderr.splitlines()


def test_the_rest_is_ignored_with_one_warning_in_a_process() -> None:
    program = f"options = {OPTIONS!r}; [Client(**options) for _ in range(3)]; Server(direct_enable=True)"
    (line,) = warnings_of(program)
    assert "direct_mode: ignored" in line


@pytest.mark.parametrize("name", OPTIONS)
def test_each_alone_is_enough_for_it(name: str) -> None:
    (line,) = warnings_of(f"Client(**{ ({name: OPTIONS[name]})!r})")
    assert f"{name}: ignored" in line


def test_who_asks_for_nothing_hears_nothing() -> None:
    quiet = "Client(); Server(); Client(direct_mode='relay-only', direct_upnp=False, stun_servers=[])"
    assert warnings_of(f"{quiet}; Server(direct_enable=False); Client(direct_mode='never')") == []
    assert Server(direct_enable=False) is not None
