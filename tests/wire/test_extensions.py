"""The extensions' header: what we write is read, what others write harms nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linksocks.wire.extensions import MAX_WINDOW, Extensions, parse_extensions

NOTHING = Extensions()
ALL = Extensions(window=262144, half_close=True, cause=True, leave=True)


@given(st.builds(Extensions, st.integers(0, MAX_WINDOW), st.booleans(), st.booleans()))
def test_round_trip(extensions):
    assert parse_extensions(extensions.header()) == extensions


def test_the_header_as_documented():
    assert ALL.header() == "flow/1;window=262144, half-close/1, cause/1, leave/1"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", NOTHING),
        (",,; ,=", NOTHING),
        ("flow/2;window=10, half-close, cause/11", NOTHING),
        ("flow/1", NOTHING),
        ("flow/1;window=", NOTHING),
        ("flow/1;window=0", NOTHING),
        ("flow/1;window=-5", NOTHING),
        ("flow/1;window=1e6", NOTHING),
        ("flow/1;window=٣٣", NOTHING),
        ("flow/1;window=" + "9" * 5000, NOTHING),
        ("flow/1;window=9999999999999999999", Extensions(window=MAX_WINDOW)),
        (" flow/1 ; new=1 ; window=7 ,future/3;x=y,cause/1", Extensions(window=7, cause=True)),
    ],
)
def test_what_others_may_write(header, expected):
    assert parse_extensions(header) == expected


@given(st.text())
def test_random_text_is_read_as_something(header):
    assert 0 <= parse_extensions(header).window <= MAX_WINDOW


def test_agreed_is_what_both_know_and_the_peers_window():
    peer = Extensions(window=1000, cause=True)
    assert ALL.agreed(peer) == peer
    assert peer.agreed(ALL) == Extensions(window=262144, cause=True)
    assert ALL.agreed(NOTHING) == NOTHING.agreed(ALL) == NOTHING
