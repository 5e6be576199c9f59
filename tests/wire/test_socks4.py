"""The SOCKS4 machine: 4 and 4a, every refusal, bounds, and that no cut of the bytes changes what comes out."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linksocks.errors import Cause, DialError, SocksError
from linksocks.wire.socks4 import Socks4Server
from linksocks.wire.socks5 import Command, Request

GRANTED = bytes.fromhex("00 5a 0000 00000000")
REJECTED = bytes.fromhex("00 5b 0000 00000000")
USER_REJECTED = bytes.fromhex("00 5d 0000 00000000")

TARGET = bytes.fromhex("04 01 1f90 7f000001")
NAMED = bytes.fromhex("04 01 01bb 00000001")


class Outcome(NamedTuple):
    """All that a request shows."""

    request: Request | None
    leftover: bytes
    reply: bytes
    error: str


def run(pieces: list[bytes], username: str = "", password: str = "") -> Outcome:
    machine = Socks4Server(username, password)
    late = b""
    for piece in pieces:
        if machine.request:
            late += piece
            continue
        try:
            assert machine.feed(piece) == b""
        except SocksError as error:
            return Outcome(machine.request, b"", error.reply, error.reason)
    return Outcome(machine.request, machine.leftover + late, b"", "")


def refuses(raw: bytes, reply: bytes, username: str = "", password: str = "") -> str:
    outcome = run([raw], username, password)
    assert outcome.request is None
    assert outcome.reply.hex() == reply.hex()
    assert outcome.error
    return outcome.error


@pytest.mark.parametrize(
    ("raw", "host", "port"),
    [
        (TARGET + b"\0", "127.0.0.1", 8080),
        (TARGET + b"somebody\0", "127.0.0.1", 8080),
        (TARGET[:4] + b"\0\0\0\0" + b"\0", "0.0.0.0", 8080),
        (TARGET[:4] + b"\0\0\1\0" + b"\0", "0.0.1.0", 8080),
        (NAMED + b"\0localhost\0", "localhost", 443),
        (NAMED + b"somebody\0localhost\0", "localhost", 443),
        (NAMED[:-1] + b"\xff" + b"\0::1\0", "::1", 443),
        (NAMED + b"\0" + "üx".encode() + b"\0", "üx", 443),
        (NAMED + b"u" * 255 + b"\0" + b"d" * 255 + b"\0", "d" * 255, 443),
    ],
)
def test_requests(raw: bytes, host: str, port: int) -> None:
    assert run([raw]) == Outcome(Request(Command.CONNECT, host, port), b"", b"", "")


@pytest.mark.parametrize("raw", [TARGET + b"user\0", NAMED + b"\0localhost\0"])
def test_early_data_is_kept_in_order(raw: bytes) -> None:
    assert run([raw + b"early\0data"]).leftover == b"early\0data"
    assert run([raw[:-1], raw[-1:] + b"early", b"\0data"]).leftover == b"early\0data"


def test_another_version_or_command_is_refused_at_its_first_byte() -> None:
    assert "got 5" in refuses(b"\5", REJECTED)
    assert "only CONNECT" in refuses(b"\4\2", REJECTED)
    assert run([b"\4"]) == run([b"\4\1"]) == Outcome(None, b"", b"", "")


@pytest.mark.parametrize("name", [b"", b"a\nb", b"\x7f", b"\xff", b"a\xc2\x85", b"\xed\xa0\x80"])
def test_bad_domain(name: bytes) -> None:
    refuses(NAMED + b"\0" + name + b"\0", REJECTED)


@pytest.mark.parametrize("texts", [b"u" * 256, b"\0" + b"d" * 256])
def test_texts_are_bounded(texts: bytes) -> None:
    refuses(NAMED + texts, REJECTED)
    refuses(NAMED + texts + b"\0", REJECTED)
    assert run([NAMED + texts[:-1]]).error == ""


@pytest.mark.parametrize(("username", "password"), [("u", ""), ("", "p"), ("u", "p")])
def test_with_credentials_nobody_gets_in(username: str, password: str) -> None:
    for raw in (b"\4", TARGET + b"u\0", TARGET + b"p\0"):
        error = refuses(raw, USER_REJECTED, username, password)
        assert "SOCKS5 or HTTP" in error


def test_replies() -> None:
    machine = Socks4Server()
    assert machine.success() == GRANTED
    assert {machine.refusal(DialError(cause, "x")) for cause in Cause} == {REJECTED}


def test_the_end_is_the_end() -> None:
    done = Socks4Server()
    done.feed(TARGET + b"\0")
    with pytest.raises(ValueError, match="over"):
        done.feed(b"more")
    failed = Socks4Server()
    with pytest.raises(SocksError):
        failed.feed(b"GET /")
    with pytest.raises(ValueError, match="over"):
        failed.feed(TARGET)


def test_the_buffer_holds_less_than_a_message() -> None:
    machine = Socks4Server()
    machine.feed(NAMED + b"u" * 255 + b"\0" + b"d" * 255)
    assert len(machine._buffer) == 519
    machine.feed(b"\0" + bytes(100_000))
    assert machine._buffer == b""
    assert len(machine.leftover) == 100_000


REQUESTS = st.one_of(
    st.tuples(
        st.sampled_from([TARGET, NAMED, b"\4\2" + TARGET[2:], b"\5\1" + TARGET[2:]]),
        st.sampled_from([b"\0", b"user\0", b"user", b"u" * 255 + b"\0", b"u" * 256 + b"\0"]),
        st.sampled_from([b"localhost\0", b"\0", b"a\nb\0", b"d" * 256 + b"\0"]) | st.binary(max_size=10),
        st.binary(max_size=20),
    ).map(b"".join),
    st.binary(max_size=40),
)


@settings(max_examples=1000)
@given(REQUESTS, st.booleans(), st.data())
def test_no_cut_changes_what_comes_out(raw: bytes, secured: bool, data: st.DataObject) -> None:
    credentials = ("u", "p") if secured else ("", "")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    whole = run([raw], *credentials)
    assert run(pieces, *credentials) == whole
    assert run([raw[at : at + 1] for at in range(len(raw))], *credentials) == whole
