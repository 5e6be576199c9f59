"""The SOCKS5 machine: every reply, credentials, and that no cut of the bytes changes what comes out."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linksocks.errors import Cause, SocksError
from linksocks.wire.socks5 import Command, Phase, Request, Socks5Server, reply

NO_AUTH = bytes.fromhex("05 01 00")
BOTH = bytes.fromhex("05 02 00 02")
TARGET = bytes.fromhex("05 01 00 01 7f000001 1f90")
FAILURE = bytes.fromhex("00 01 00000000 0000")


def login(username: bytes, password: bytes) -> bytes:
    return bytes((1, len(username))) + username + bytes((len(password),)) + password


def domain(name: bytes) -> bytes:
    return b"\5\1\0\3" + bytes((len(name),)) + name + b"\0\x50"


def refused(code: int) -> bytes:
    return bytes((5, code)) + FAILURE


class Outcome(NamedTuple):
    """All that a handshake shows."""

    replies: bytes
    request: Request | None
    leftover: bytes
    error: str


def run(pieces: list[bytes], username: str = "", password: str = "") -> Outcome:
    """Feeds the pieces as a caller does: what follows the request goes to the target in order."""
    machine = Socks5Server(username, password)
    replies = late = b""
    for piece in pieces:
        if machine.request:
            late += piece
            continue
        try:
            replies += machine.feed(piece)
        except SocksError as error:
            return Outcome(replies + error.reply, machine.request, b"", error.reason)
    return Outcome(replies, machine.request, machine.leftover + late, "")


def refuses(raw: bytes, replies: bytes, username: str = "", password: str = "") -> None:
    outcome = run([raw], username, password)
    assert outcome.error
    assert outcome.request is None
    assert outcome.replies.hex() == replies.hex()


# Requests


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("05 01 00 01 7f000001 1f90", Request(Command.CONNECT, "127.0.0.1", 8080)),
        ("05 01 00 04 00000000000000000000000000000001 0050", Request(Command.CONNECT, "::1", 80)),
        ("05 01 00 03 09 6c6f63616c686f7374 01bb", Request(Command.CONNECT, "localhost", 443)),
        ("05 01 00 03 03 c3bc78 01bb", Request(Command.CONNECT, "üx", 443)),
        ("05 01 ff 01 7f000001 0000", Request(Command.CONNECT, "127.0.0.1", 0)),
        ("05 03 00 01 00000000 0000", Request(Command.UDP_ASSOCIATE, "0.0.0.0", 0)),
    ],
)
def test_requests(raw: str, expected: Request) -> None:
    assert run([NO_AUTH, bytes.fromhex(raw)]) == Outcome(b"\5\0", expected, b"", "")


def test_the_longest_domain() -> None:
    assert run([NO_AUTH, domain(b"d" * 255)]).request == Request(Command.CONNECT, "d" * 255, 80)


def test_early_data_is_kept_in_order() -> None:
    machine = Socks5Server()
    assert machine.feed(NO_AUTH + TARGET + b"early data") == b"\5\0"
    assert machine.request
    assert machine.leftover == b"early data"


def test_methods_are_answered_before_the_request_comes() -> None:
    machine = Socks5Server("u", "p")
    assert machine.feed(BOTH[:3]) == b""
    assert machine.feed(BOTH[3:]) == b"\5\2"
    assert machine.feed(login(b"u", b"p")) == b"\1\0"
    assert machine.request is None
    assert machine.feed(TARGET) == b""
    assert machine.request == Request(Command.CONNECT, "127.0.0.1", 8080)


def test_the_end_is_the_end() -> None:
    done = Socks5Server()
    done.feed(NO_AUTH + TARGET)
    with pytest.raises(ValueError, match="done"):
        done.feed(b"more")
    failed = Socks5Server()
    with pytest.raises(SocksError):
        failed.feed(b"GET /")
    with pytest.raises(ValueError, match="failed"):
        failed.feed(NO_AUTH)


def test_the_buffer_holds_less_than_a_message() -> None:
    machine = Socks5Server("u" * 255, "p" * 255)
    machine.feed(BOTH + login(b"u" * 255, b"p" * 255)[:-1])
    assert len(machine._buffer) == 512
    machine.feed(b"p" + TARGET + bytes(100_000))
    assert machine._buffer == b""
    assert len(machine.leftover) == 100_000


# Refusals


def test_another_protocol_gets_no_reply() -> None:
    refuses(b"GET / HTTP/1.1\r\n\r\n", b"")
    refuses(b"\4\1\0\x50\x7f\0\0\1\0", b"")


def test_another_version_is_refused_at_its_first_byte() -> None:
    refuses(b"G", b"")
    refuses(NO_AUTH + b"\4", b"\5\0" + refused(1))
    refuses(BOTH + b"\5", b"\5\2\1\1", "u", "p")


def test_no_acceptable_method() -> None:
    refuses(b"\5\0", b"\5\xff")
    refuses(b"\5\1\2", b"\5\xff")
    refuses(b"\5\2\1\3", b"\5\xff")
    refuses(NO_AUTH, b"\5\xff", "u", "p")
    refuses(b"\5\0", b"\5\xff", "u", "p")


@pytest.mark.parametrize("code", [0, 2, 4, 255])
def test_unknown_command(code: int) -> None:
    refuses(NO_AUTH + bytes((5, code)) + TARGET[2:], b"\5\0" + refused(7))


@pytest.mark.parametrize("kind", [0, 2, 5, 255])
def test_unknown_address_type(kind: int) -> None:
    refuses(NO_AUTH + bytes((5, 1, 0, kind)), b"\5\0" + refused(8))


@pytest.mark.parametrize("name", [b"", b"a\0b", b"a\nb", b"\x7f", b"\xff", b"a\xc2\x85", b"\xed\xa0\x80"])
def test_bad_domain(name: bytes) -> None:
    refuses(NO_AUTH + domain(name), b"\5\0" + refused(1))


# Credentials


@pytest.mark.parametrize(
    ("username", "password"), [("u", "p"), ("u", ""), ("", "p"), ("ü", "p" * 255), ("u" * 255, "ß")]
)
def test_the_right_credentials(username: str, password: str) -> None:
    raw = [BOTH, login(username.encode(), password.encode()), TARGET]
    expected = Request(Command.CONNECT, "127.0.0.1", 8080)
    assert run(raw, username, password) == Outcome(b"\5\2\1\0", expected, b"", "")


@pytest.mark.parametrize(
    ("username", "password"),
    [
        (b"u", b""),
        (b"", b"p"),
        (b"", b""),
        (b"U", b"p"),
        (b"u", b"pp"),
        (b"p", b"u"),
        (b"up", b""),
        (b"\xff", b"p"),
    ],
)
def test_wrong_credentials(username: bytes, password: bytes) -> None:
    refuses(BOTH + login(username, password) + TARGET, b"\5\2\1\1", "u", "p")


@pytest.mark.parametrize(("username", "password"), [("u", ""), ("", "p"), ("u", "p")])
def test_half_a_credential_is_one(username: str, password: str) -> None:
    refuses(NO_AUTH + TARGET, b"\5\xff", username, password)


# Fragmentation

HANDSHAKES = st.one_of(
    st.tuples(
        st.sampled_from([NO_AUTH, BOTH, b"\5\0", b"\5\1\2", b"GET "]),
        st.sampled_from([b"", login(b"u", b"p"), login(b"u", b"x"), b"\1\0\0"]),
        st.sampled_from(
            [
                TARGET,
                domain(b"localhost"),
                domain(b""),
                domain(b"\0"),
                b"\5\2\0\1" + TARGET[4:],
                b"\5\1\0\x09",
            ]
        )
        | st.binary(max_size=10).map(lambda tail: b"\5\1\0" + tail),
        st.binary(max_size=20),
    ).map(b"".join),
    st.binary(max_size=40),
)


@settings(max_examples=2000)
@given(HANDSHAKES, st.booleans(), st.data())
def test_no_cut_changes_what_comes_out(raw: bytes, secured: bool, data: st.DataObject) -> None:
    credentials = ("u", "p") if secured else ("", "")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    whole = run([raw], *credentials)
    assert run(pieces, *credentials) == whole
    assert run([raw[at : at + 1] for at in range(len(raw))], *credentials) == whole


# Replies


@pytest.mark.parametrize(
    ("host", "raw"),
    [
        ("127.0.0.1", "05 05 00 01 7f000001 1f90"),
        ("::1", "05 05 00 04 00000000000000000000000000000001 1f90"),
        ("a.example", "05 05 00 03 09 612e6578616d706c65 1f90"),
    ],
)
def test_replies(host: str, raw: str) -> None:
    assert reply(Cause.REFUSED, host, 8080).hex(" ") == bytes.fromhex(raw).hex(" ")


def test_the_plain_reply_has_an_empty_ipv4_address() -> None:
    assert reply(0) == bytes.fromhex("05 00 00 01 00000000 0000")


@given(st.ip_addresses(), st.integers(0, 65535))
def test_a_bound_address_reads_as_a_requested_one(host: ipaddress.IPv4Address, port: int) -> None:
    raw = reply(1, str(host), port)
    assert run([NO_AUTH + raw]).request == Request(Command.CONNECT, str(host), port)


def test_phases_of_the_table_are_those_that_take_bytes() -> None:
    machine = Socks5Server("u", "p")
    seen = [machine.phase]
    for piece in (BOTH, login(b"u", b"p"), TARGET):
        machine.feed(piece)
        seen.append(machine.phase)
    assert seen == [Phase.GREETING, Phase.LOGIN, Phase.REQUEST, Phase.DONE]
