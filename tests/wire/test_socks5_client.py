"""The client's side of SOCKS5, against the RFCs byte by byte and against our own server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linksocks.errors import Cause, DialError, SocksError
from linksocks.wire.socks5 import Command, Socks5Server, reply
from linksocks.wire.socks5_client import Phase, Socks5Client

YES = bytes.fromhex("05 00 00 01 7f000001 1f90")


def client(username: str = "", password: str = "", host: str = "example.org") -> Socks5Client:
    return Socks5Client(Command.CONNECT, host, 80, username, password)


def refusal(machine: Socks5Client, *answers: bytes) -> DialError:
    for answer in answers[:-1]:
        machine.feed(answer)
    with pytest.raises(DialError) as caught:
        machine.feed(answers[-1])
    assert machine.phase is Phase.FAILED
    with pytest.raises(ValueError, match="failed"):
        machine.feed(b"")
    return caught.value


# What is sent


def test_without_a_login():
    machine = client()
    assert machine.hello == b"\x05\x01\x00"
    assert machine.feed(b"\x05\x00") == b"\x05\x01\x00\x03\x0bexample.org\x00\x50"
    assert machine.feed(YES + b"early") == b""
    assert machine.done
    assert machine.bound() == ("127.0.0.1", 8080)
    assert machine.leftover == b"early"


def test_with_a_login():
    machine = client("me", "secret")
    assert machine.hello == b"\x05\x02\x00\x02"
    assert machine.feed(b"\x05\x02") == b"\x01\x02me\x06secret"
    assert machine.feed(b"\x01\x00") == b"\x05\x01\x00\x03\x0bexample.org\x00\x50"


def test_a_proxy_may_waive_the_login():
    assert client("me", "secret").feed(b"\x05\x00").startswith(b"\x05\x01\x00\x03")


@pytest.mark.parametrize(
    ("host", "packed"), [("127.0.0.1", "01 7f000001"), ("::1", "04 00000000000000000000000000000001")]
)
def test_addresses_are_sent_as_such(host, packed):
    assert client(host=host).feed(b"\x05\x00") == b"\x05\x01\x00" + bytes.fromhex(packed) + b"\x00\x50"


@pytest.mark.parametrize(("username", "host"), [("u" * 256, "x"), ("", "x" * 256)])
def test_what_no_message_can_hold(username, host):
    with pytest.raises(ValueError, match="256"):
        client(username, host=host)


# Replies


@pytest.mark.parametrize(
    ("packed", "bound"),
    [
        ("01 7f000001 1f90", ("127.0.0.1", 8080)),
        ("03 03 612e62 0001", ("a.b", 1)),
        ("04 00000000000000000000000000000001 0002", ("::1", 2)),
    ],
)
@pytest.mark.parametrize("cut", [1, 3, 100])
def test_the_bound_address_of_each_type_is_read_exactly(packed, bound, cut):
    machine = client()
    stream = b"\x05\x00" + b"\x05\x00\x00" + bytes.fromhex(packed)
    for start in range(0, len(stream), cut):
        assert not machine.done
        machine.feed(stream[start : start + cut])
    assert machine.done
    assert machine.bound() == bound
    assert machine.leftover == b""


@pytest.mark.parametrize("name", [b"", b"\xff", b"\n"])
def test_a_bound_name_that_is_none_matters_only_to_who_asks(name):
    machine = client()
    machine.feed(b"\x05\x00" + b"\x05\x00\x00\x03" + bytes([len(name)]) + name + b"\x00\x01")
    assert machine.done
    with pytest.raises(DialError, match="its reply has no address"):
        machine.bound()


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (1, Cause.GENERAL),
        (2, Cause.NOT_ALLOWED),
        (3, Cause.NETWORK_UNREACHABLE),
        (4, Cause.HOST_UNREACHABLE),
        (5, Cause.REFUSED),
        (6, Cause.TIMED_OUT),
        (7, Cause.GENERAL),
        (8, Cause.GENERAL),
        (9, Cause.GENERAL),
        (255, Cause.GENERAL),
    ],
)
@pytest.mark.parametrize("rest", [b"", b"\x00\x01\x00\x00\x00\x00\x00\x00", b"garbage"])
def test_a_no_needs_no_more_than_its_code(code, cause, rest):
    error = refusal(client(), b"\x05\x00", bytes([5, code]) + rest)
    assert error.cause is cause


@pytest.mark.parametrize(
    ("login", "answers", "said"),
    [
        ("", [b"\x05\xff"], "asks for a user and password"),
        ("", [b"\x05\x02"], "asks for a user and password"),
        ("me", [b"\x05\xff"], "refuses user and password"),
        ("me", [b"\x05\x01"], "refuses user and password (method 0x01)"),
        ("me", [b"\x05\x02", b"\x01\x01"], "refuses this user or password"),
        ("me", [b"\x05\x02", b"\x01\xff"], "refuses this user or password"),
    ],
)
def test_a_login_that_fails(login, answers, said):
    error = refusal(client(login, "secret" if login else ""), *answers)
    assert error.cause is Cause.NOT_ALLOWED
    assert said in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([b"H"], "does not speak SOCKS5: 0x48 begins its method"),
        ([b"\x04\x00"], "0x04 begins its method"),
        ([b"\x05\x02\x05"], "0x05 begins its login"),
        ([b"\x05\x00\x00"], "0x00 begins its reply"),
        ([b"\x05\x00", b"\x05\x00\x00\x02"], "unknown type of address, 2"),
    ],
)
def test_what_is_no_socks5(answers, said):
    error = refusal(client("me", "secret"), *answers)
    assert error.cause is Cause.GENERAL
    assert said in str(error)


# Against our own server, however the bytes are cut


@given(
    login=st.sampled_from([("", ""), ("me", ""), ("", "pä"), ("u" * 255, "p" * 255)]),
    host=st.sampled_from(["127.0.0.1", "::1", "example.org", "x" * 255]),
    early=st.binary(max_size=20),
    cut=st.integers(1, 300),
)
def test_our_own_server_understands(login, host, early, cut):
    machine, server = client(*login, host=host), Socks5Server(*login)
    to_server = machine.hello
    while server.request is None:
        answer = server.feed(to_server)
        to_server = b"".join(machine.feed(answer[n : n + cut]) for n in range(0, len(answer), cut))
    assert (server.request.host, server.request.port) == (host, 80)
    answer = reply(0, "::1", 7)
    while answer and not machine.done:
        machine.feed(answer[:cut] + (early if len(answer) <= cut else b""))
        answer = answer[cut:]
    assert machine.done
    assert machine.bound() == ("::1", 7)
    assert machine.leftover == early


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_any_bytes_are_an_answer_or_a_dial_error(answers):
    machine = client("me", "secret")
    for answer in answers:
        if machine.done:
            return
        try:
            machine.feed(answer)
        except DialError:
            return
        except SocksError as error:
            raise AssertionError from error
        assert len(machine._buffer) <= 261
