"""CONNECT: one request, and every answer that a proxy may give."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linksocks.errors import Cause, DialError, ProxyError
from linksocks.wire.http_connect import HttpConnect


def fed(answer: bytes, cut: int = 1 << 20, **login: str) -> HttpConnect:
    """A machine that got the answer in pieces, until it is done."""
    machine = HttpConnect("example.org", 80, **login)
    for start in range(0, len(answer), cut):
        machine.feed(answer[start : start + cut])
        if machine.done:
            break
    return machine


def refusal(answer: bytes, cut: int = 1 << 20, **login: str) -> DialError:
    with pytest.raises(DialError) as caught:
        fed(answer, cut, **login)
    return caught.value


@pytest.mark.parametrize(
    ("host", "authority"),
    [("example.org", b"example.org:80"), ("::1", b"[::1]:80"), ("10.0.0.1", b"10.0.0.1:80")],
)
def test_the_request(host, authority):
    hello = HttpConnect(host, 80).hello
    assert hello == b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (authority, authority)


def test_the_login():
    hello = HttpConnect("x", 80, "mé", "a:b").hello
    assert b"\r\nProxy-Authorization: Basic " + base64.b64encode("mé:a:b".encode()) + b"\r\n" in hello


@pytest.mark.parametrize("host", ["a b", "a\r\nX: y", "a\0", "é"])
def test_no_host(host):
    with pytest.raises(ValueError, match=r"no host name|ascii"):
        HttpConnect(host, 80)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_any_2xx_is_a_yes_and_what_follows_is_the_targets(head):
    assert fed(head + b"HTTP/1.1 403 early\r\n\r\n").leftover == b"HTTP/1.1 403 early\r\n\r\n"
    assert fed(head + b"early", 1).leftover == b""


@pytest.mark.parametrize(
    ("status", "cause", "said"),
    [
        (403, Cause.NOT_ALLOWED, "answered 403 Forbidden"),
        (407, Cause.NOT_ALLOWED, "answered 407 Proxy Authentication Required: asks for a user and password"),
        (502, Cause.HOST_UNREACHABLE, "answered 502 Bad Gateway"),
        (503, Cause.NETWORK_UNREACHABLE, "answered 503 Service Unavailable"),
        (504, Cause.TIMED_OUT, "answered 504 Gateway Timeout"),
        (500, Cause.GENERAL, "answered 500 Internal Server Error"),
        (302, Cause.GENERAL, "answered 302 Found"),
        (999, Cause.GENERAL, "answered 999"),
    ],
)
def test_a_no(status, cause, said):
    error = refusal(b"HTTP/1.1 %d 200 OK\r\nContent-Length: 3\r\n\r\n200" % status)
    assert (error.cause, str(error)) == (cause, said)
    assert isinstance(error, ProxyError) is (status == 407), "the others are about the target"


def test_a_login_that_is_refused_is_not_repeated():
    error = refusal(b"HTTP/1.1 407 secret\r\n\r\n", username="me", password="secret")
    assert str(error).endswith("refuses this user or password")


@pytest.mark.parametrize(
    "answer",
    [
        b"\x05\x00",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"XHTTP/1.1 200 OK\r\n\r\n",
        b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
@pytest.mark.parametrize("cut", [1, 1000])
def test_what_is_no_http(answer, cut):
    error = refusal(answer, cut)
    assert error.cause is Cause.GENERAL
    assert "does not speak HTTP" in str(error)


@pytest.mark.parametrize(
    "answer",
    [b"x" * 100_000, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000],
    ids=["line", "head", "many heads"],
)
def test_an_endless_answer(answer):
    assert refusal(answer, 1000).cause is Cause.GENERAL


@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_are_an_answer_or_a_dial_error(answer, cut):
    try:
        machine = fed(answer, cut)
    except DialError:
        return
    assert not machine.done or answer.startswith(b"HTTP/1.")


@given(st.integers(1, 60), st.binary(max_size=30))
def test_cuts_change_nothing(cut, early):
    answer = b"HTTP/1.1 200 OK\r\nVia: proxy\r\nX-Other: 1\r\n\r\n" + early
    machine = fed(answer, cut)
    assert machine.done
    assert early.startswith(machine.leftover)


def test_nothing_of_the_answer_is_repeated() -> None:
    """A proxy may send our own credentials back, and errors go to logs and to the other side."""
    machine = HttpConnect("target", 80, "joe", "s3cret")
    secret = base64.b64encode(b"joe:s3cret")
    with pytest.raises(DialError) as caught:
        machine.feed(b"Basic " + secret + b"\r\n\r\n")
    assert str(caught.value) == "does not speak HTTP/1.1"
