"""The HTTP proxy's machine: what is asked for, what is changed on the way, what is refused, and every cut."""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linksocks.errors import Cause, DialError, HttpError, NoLinkError
from linksocks.wire.http_proxy import MAX_FIELDS, MAX_HEAD, Forward, HttpProxyServer, for_application
from linksocks.wire.socks5 import Command, Request

SECRET = base64.b64encode(b"u:p").decode()


def head(line: str, *fields: str, host: str = "x") -> bytes:
    return "\r\n".join([line, f"Host: {host}", *fields, "\r\n"]).encode("latin-1")


def fed(raw: bytes, username: str = "", password: str = "") -> HttpProxyServer:
    machine = HttpProxyServer(username, password)
    assert machine.feed(raw) == b""
    return machine


def forwarded(raw: bytes, username: str = "", password: str = "") -> tuple[Forward, list[bytes]]:
    """The request, and the head that the target gets, line by line."""
    request = fed(raw, username, password).request
    assert isinstance(request, Forward)
    written = h11.Connection(h11.CLIENT).send(request.head)
    assert written is not None
    assert written.endswith(b"\r\n\r\n")
    return request, written[:-4].split(b"\r\n")


def refused(raw: bytes, status: int, username: str = "", password: str = "") -> bytes:
    """The body of the answer, which says what the error says."""
    machine = HttpProxyServer(username, password)
    with pytest.raises(HttpError) as caught:
        machine.feed(raw)
    first, _, rest = caught.value.reply.partition(b"\r\n")
    fields, _, body = rest.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 %d " % status), caught.value.reply
    assert b"Connection: close" in fields
    assert b"Content-Length: %d" % (len(caught.value.reason) + 12) in fields
    assert body in (b"", f"linksocks: {caught.value.reason}\n".encode())
    return body


class TestConnect:
    @pytest.mark.parametrize(
        ("target", "host", "port"),
        [
            ("example.com:443", "example.com", 443),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("[::1]:65535", "::1", 65535),
            ("a_b-c.d:0080", "a_b-c.d", 80),
        ],
    )
    def test_targets(self, target: str, host: str, port: int) -> None:
        for version in ("1.0", "1.1"):
            machine = fed(head(f"CONNECT {target} HTTP/{version}"))
            assert machine.request == Request(Command.CONNECT, host, port)

    @pytest.mark.parametrize(
        "target",
        [
            *("example.com", "example.com:", "example.com:0", "example.com:65536", "example.com:443x"),
            *("::1:443", "[::1]", "[::1]:", "[::g]:1", "[127.0.0.1]:1", "[fe80::1%25lo]:1", "[]:1", ":443"),
            *("a b:1", "u@h:1", "u:p@h:1", "http://h:1", "h:+1", "h:1/", "/", "*", "%68:1", f"{'h' * 256}:1"),
        ],
    )
    def test_bad_targets(self, target: str) -> None:
        refused(head(f"CONNECT {target} HTTP/1.1"), 400)

    def test_early_data(self) -> None:
        machine = fed(head("CONNECT h:1 HTTP/1.1") + b"\x16\x03 early\r\n\r\n")
        assert machine.leftover == b"\x16\x03 early\r\n\r\n"

    @pytest.mark.parametrize("field", ["Content-Length: 1", "Transfer-Encoding: chunked"])
    def test_it_has_no_body(self, field: str) -> None:
        refused(head("CONNECT h:1 HTTP/1.1", field), 400)
        assert fed(head("CONNECT h:1 HTTP/1.1", "Content-Length: 0") + b"early").leftover == b"early"


class TestForward:
    @pytest.mark.parametrize(
        ("line", "host", "port", "first", "authority"),
        [
            ("GET http://h/", "h", 80, "GET / HTTP/1.1", "h"),
            ("GET http://h", "h", 80, "GET / HTTP/1.1", "h"),
            ("GET http://h?q=/:@", "h", 80, "GET /?q=/:@ HTTP/1.1", "h"),
            ("POST HTTP://h:8080/a//b?c?d", "h", 8080, "POST /a//b?c?d HTTP/1.1", "h:8080"),
            ("GET http://[::1]:81/http://x/", "::1", 81, "GET /http://x/ HTTP/1.1", "[::1]:81"),
            ("GET http://[::1]/", "::1", 80, "GET / HTTP/1.1", "[::1]"),
            ("GET http://h:/", "h", 80, "GET / HTTP/1.1", "h:"),
            ("OPTIONS http://h:1", "h", 1, "OPTIONS * HTTP/1.1", "h:1"),
            ("OPTIONS http://h/", "h", 80, "OPTIONS / HTTP/1.1", "h"),
        ],
    )
    def test_origin_form_and_host(self, line: str, host: str, port: int, first: str, authority: str) -> None:
        request, lines = forwarded(head(f"{line} HTTP/1.1", host="somebody.else"))
        assert (request.host, request.port) == (host, port)
        assert lines == [first.encode(), f"Host: {authority}".encode(), b"Connection: close"]

    @pytest.mark.parametrize(
        "target",
        [
            *("http://", "http:///x", "http://:80/", "http://h:65536/", "http://h:0/", "http://h:8x/"),
            *("http://u:p@h/", "http://u@h/", "http://[::1/", "http://::1/", "http://h\\@x/", "http://h/#f"),
            *("ftp://h/", "h:80", "/", "*", "https://h/", "HTTPS://h/", "http:/h/", "http://a,b/"),
        ],
    )
    def test_bad_targets(self, target: str) -> None:
        refused(head(f"GET {target} HTTP/1.1"), 400)

    def test_advice(self) -> None:
        assert b"use CONNECT" in refused(head("GET https://h/ HTTP/1.1"), 400)
        assert b"no web server" in refused(head("GET / HTTP/1.1"), 400)

    def test_hop_by_hop_fields_end_here(self) -> None:
        fields = [
            *("Connection: X-Named, keep-alive", "connection: ,x-other ,", "X-Named: 1", "x-OTHER: 2"),
            *(
                "Keep-Alive: 5",
                "Proxy-Connection: keep-alive",
                "Proxy-Authorization: Basic eA==",
                "TE: trailers",
            ),
            *("Trailer: X", "Upgrade: websocket", "Proxy-Authenticate: x", "Proxy-Authentication-Info: x"),
        ]
        kept = [
            "Accept: */*",
            "X-Mine: \xfc",
            "x-mine: 2",
            "Authorization: Basic eA==",
            "Expect: 100-continue",
        ]
        _, lines = forwarded(head("GET http://h/ HTTP/1.1", *fields, *kept))
        kept_lines = [line.encode("latin-1") for line in kept]
        assert lines == [b"GET / HTTP/1.1", b"Host: h", *kept_lines, b"Connection: close"]

    def test_the_length_is_not_hop_by_hop_whatever_connection_says(self) -> None:
        raw = head("POST http://h/ HTTP/1.1", "Connection: content-length", "Content-Length: 3")
        assert b"Content-Length: 3" in forwarded(raw)[1]

    def test_a_chunked_body_stays_one(self) -> None:
        raw = head("POST http://h/ HTTP/1.1", "Transfer-Encoding: Chunked", "Connection: transfer-encoding")
        assert b"Transfer-Encoding: chunked" in forwarded(raw)[1]

    def test_http_1_0_expects_nothing(self) -> None:
        _, lines = forwarded(head("POST http://h/ HTTP/1.0", "Expect: 100-continue", "Content-Length: 3"))
        assert lines == [b"POST / HTTP/1.1", b"Host: h", b"Content-Length: 3", b"Connection: close"]


class TestHostile:
    @pytest.mark.parametrize(
        "fields",
        [
            ["Content-Length: 3", "Transfer-Encoding: chunked"],
            ["Transfer-Encoding: chunked", "Content-Length: 0"],
            ["Content-Length: 3", "Content-Length: 4"],
            ["Content-Length: 3, 4"],
            ["Content-Length: +3"],
            ["Content-Length: -1"],
            ["Content-Length: 0x3"],
            ["Content-Length: 9" + "9" * 40],
            ["Host: y"],
            ["Transfer-Encoding : chunked"],
            ["X : y"],
            [": empty"],
            ["no colon"],
            ["X: a\0b"],
            ["X: a\rb"],
            ["X\xfc: y"],
        ],
    )
    def test_smuggling(self, fields: list[str]) -> None:
        refused(head("POST http://h/ HTTP/1.1", *fields), 400)

    @pytest.mark.parametrize(
        "coding", ["gzip, chunked", "chunked, chunked", "identity", "xchunked", "chunked;q=1"]
    )
    def test_other_codings(self, coding: str) -> None:
        refused(head("POST http://h/ HTTP/1.1", f"Transfer-Encoding: {coding}"), 501)

    def test_chunks_in_http_1_0(self) -> None:
        refused(head("POST http://h/ HTTP/1.0", "Transfer-Encoding: chunked"), 400)

    @pytest.mark.parametrize(
        ("line", "status"),
        [
            ("GET http://h/ HTTP/2.0", 505),
            ("GET http://h/ HTTP/1.2", 505),
            ("GET http://h/", 400),
            ("GET  http://h/ HTTP/1.1", 400),
            ("GET http://h/ x HTTP/1.1", 400),
            ("GET\thttp://h/ HTTP/1.1", 400),
            ("GET http://h/\xfc HTTP/1.1", 400),
            ("GET http://h/ http/1.1", 400),
            ("PRI * HTTP/2.0", 505),
            ("G=T http://h/ HTTP/1.1", 400),
        ],
    )
    def test_request_lines(self, line: str, status: int) -> None:
        refused(head(line), status)

    def test_http_1_1_needs_a_host(self) -> None:
        refused(b"GET http://h/ HTTP/1.1\r\n\r\n", 400)
        assert fed(b"GET http://h/ HTTP/1.0\r\n\r\n").request

    def test_bare_line_feeds_become_whole_ones(self) -> None:
        """RFC 9112 section 2.2 lets us take them; nobody behind us gets to see one."""
        _, lines = forwarded(b"GET http://h/ HTTP/1.1\nHost: x\nA: b\n\n")
        assert lines == [b"GET / HTTP/1.1", b"Host: h", b"A: b", b"Connection: close"]

    @pytest.mark.parametrize("start", ["GET http://h/", "GET http://h/ HTTP/1.1\r\nX: ", "G"])
    def test_an_endless_head(self, start: str) -> None:
        machine = HttpProxyServer()
        machine.feed(start.encode() + b"a" * (MAX_HEAD - len(start)))
        with pytest.raises(HttpError) as caught:
            machine.feed(b"a")
        assert caught.value.reply.startswith(b"HTTP/1.1 431 ")

    def test_a_head_of_the_longest_kind_is_taken(self) -> None:
        assert fed(head("GET http://h/ HTTP/1.1", "X: " + "a" * (MAX_HEAD - 100))).request

    def test_fields_are_counted_before_they_are_parsed(self) -> None:
        assert fed(head("GET http://h/ HTTP/1.1", *["a: b"] * (MAX_FIELDS - 1))).request
        refused(head("GET http://h/ HTTP/1.1", *["a: b"] * MAX_FIELDS), 431)
        machine = HttpProxyServer()
        with pytest.raises(HttpError, match="256 fields"):
            machine.feed(b"GET http://h/ HTTP/1.1\r\n" + b"a:\n" * 300)
        assert machine.http.their_state is h11.IDLE, "h11 has not seen them"

    def test_lines_of_a_body_are_no_fields(self) -> None:
        body = b"\n" * 1000
        assert fed(head("POST http://h/ HTTP/1.1", "Content-Length: 1000") + body).request


class TestMaxForwards:
    @pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
    def test_it_is_one_less(self, method: str) -> None:
        _, lines = forwarded(head(f"{method} http://h/ HTTP/1.1", "max-forwards: 10"))
        assert [line for line in lines if line.lower().startswith(b"max")] == [b"Max-Forwards: 9"]

    @pytest.mark.parametrize(("method", "status"), [("TRACE", 501), ("OPTIONS", 200)])
    def test_it_ends_here(self, method: str, status: int) -> None:
        refused(head(f"{method} http://h/ HTTP/1.1", "Max-Forwards: 0", "Cookie: secret"), status)

    @pytest.mark.parametrize("fields", [["-1"], ["x"], ["9" * 5000], ["1", "1"]])
    def test_odd_ones(self, fields: list[str]) -> None:
        refused(head("TRACE http://h/ HTTP/1.1", *[f"Max-Forwards: {each}" for each in fields]), 400)

    def test_it_means_nothing_to_others(self) -> None:
        _, lines = forwarded(head("GET http://h/ HTTP/1.1", "Max-Forwards: 0"))
        assert b"Max-Forwards: 0" in lines


class TestLogin:
    @pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "Basic  "])
    def test_the_right_one(self, scheme: str) -> None:
        for line in ("CONNECT h:1 HTTP/1.1", "GET http://h/ HTTP/1.1"):
            assert fed(head(line, f"Proxy-Authorization: {scheme} {SECRET}"), "u", "p").request
        _, lines = forwarded(head("GET http://h/ HTTP/1.1", f"proxy-authorization: Basic {SECRET}"), "u", "p")
        assert SECRET.encode() not in b"".join(lines)

    @pytest.mark.parametrize(("username", "password"), [("u", ""), ("", "p"), ("ü", "ß"), ("a:b", "c:d")])
    def test_odd_ones(self, username: str, password: str) -> None:
        code = base64.b64encode(f"{username}:{password}".encode()).decode()
        raw = head("CONNECT h:1 HTTP/1.1", f"Proxy-Authorization: Basic {code}")
        assert fed(raw, username, password).request
        refused(head("CONNECT h:1 HTTP/1.1"), 407, username, password)

    @pytest.mark.parametrize(
        "fields",
        [
            [],
            [f"Authorization: Basic {SECRET}"],
            [f"Proxy-Authorization: Bearer {SECRET}"],
            ["Proxy-Authorization: Basic"],
            ["Proxy-Authorization: Basic ????"],
            ["Proxy-Authorization: Basic \xfc\xfc\xfc\xfc"],
            ["Proxy-Authorization: Basic " + base64.b64encode(b"u:P").decode()],
            ["Proxy-Authorization: Basic " + base64.b64encode(b"u:p:").decode()],
            [f"Proxy-Authorization: Basic {SECRET}", f"Proxy-Authorization: Basic {SECRET}"],
            [f"Proxy-Authorization: Basic {SECRET}, Basic {SECRET}"],
        ],
    )
    def test_a_wrong_one(self, fields: list[str]) -> None:
        machine = HttpProxyServer("u", "p")
        with pytest.raises(HttpError) as caught:
            machine.feed(head("GET http://h/ HTTP/1.1", *fields))
        assert caught.value.reply.startswith(b"HTTP/1.1 407 ")
        assert b'\r\nProxy-Authenticate: Basic realm="linksocks"' in caught.value.reply
        assert SECRET not in str(caught.value)

    def test_it_comes_before_all_else(self) -> None:
        refused(head("CONNECT nonsense HTTP/1.1"), 407, "u", "p")

    def test_no_error_quotes_the_request(self) -> None:
        """h11's own words have the line that it can't read."""
        with pytest.raises(HttpError) as caught:
            fed(head("CONNECT h:1 HTTP/1.1", f"Proxy-Authorization : Basic {SECRET}"), "u", "p")
        assert SECRET not in str(caught.value)
        assert SECRET.encode() not in caught.value.reply


class TestAnswers:
    @pytest.mark.parametrize(
        ("cause", "status"),
        [
            (Cause.GENERAL, 502),
            (Cause.NOT_ALLOWED, 403),
            (Cause.NETWORK_UNREACHABLE, 502),
            (Cause.HOST_UNREACHABLE, 502),
            (Cause.REFUSED, 502),
            (Cause.TIMED_OUT, 504),
        ],
    )
    def test_causes(self, cause: Cause, status: int) -> None:
        machine = fed(head("CONNECT h:1 HTTP/1.1"))
        reply = machine.refusal(DialError(cause, "why \u20ac\n"))
        assert reply.startswith(b"HTTP/1.1 %d " % status)
        assert reply.endswith("linksocks: why \u20ac\n\n".encode())
        assert machine.refusal(NoLinkError(cause, "none")).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")

    def test_the_answer_to_head_has_no_body(self) -> None:
        assert refused(head("HEAD / HTTP/1.1"), 400) == b""
        assert (
            fed(head("HEAD http://h/ HTTP/1.1")).refusal(DialError(Cause.REFUSED, "x")).endswith(b"\r\n\r\n")
        )

    def test_success_is_a_head_and_nothing_else(self) -> None:
        assert fed(head("CONNECT h:1 HTTP/1.1")).success() == b"HTTP/1.1 200 Connection established\r\n\r\n"


class TestResponses:
    def test_hop_by_hop_fields_end_here(self) -> None:
        fields = [
            "Connection: close, x-y",
            "X-Y: 1",
            "Keep-Alive: 2",
            "Set-Cookie: a",
            "Set-Cookie: b",
            "Upgrade: h2c",
        ]
        assert for_application(self._response(*fields)) == [(b"Set-Cookie", b"a"), (b"Set-Cookie", b"b")]

    def test_two_lengths_are_refused(self) -> None:
        with pytest.raises(h11.RemoteProtocolError):
            for_application(self._response("Content-Length: 3", "Transfer-Encoding: chunked"))
        with pytest.raises(h11.RemoteProtocolError):
            for_application(self._response("Transfer-Encoding: chunked", version="1.0"))

    @pytest.mark.parametrize("status", [103, 204])
    def test_some_have_no_length(self, status: int) -> None:
        kind = h11.InformationalResponse if status < 200 else h11.Response
        given = kind(status_code=status, headers=[("Content-Length", "5"), ("Link", "x")])
        assert for_application(given) == [(b"Link", b"x")]

    def test_others_keep_it(self) -> None:
        given = h11.Response(status_code=304, headers=[("Content-Length", "5")])
        assert for_application(given) == [(b"Content-Length", b"5")]

    def _response(self, *fields: str, version: str = "1.1") -> h11.Response:
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
        connection.receive_data("\r\n".join([f"HTTP/{version} 200 OK", *fields, "\r\n"]).encode())
        event = connection.next_event()
        assert isinstance(event, h11.Response)
        return event


def test_not_for_use_while_there_is_a_request() -> None:
    machine = fed(head("GET http://h/ HTTP/1.1"))
    with pytest.raises(ValueError, match="not served"):
        machine.feed(b"x")
    assert not machine.again()


# Fragmentation


class Outcome(NamedTuple):
    asked: Any
    leftover: bytes
    reply: bytes


def run(pieces: list[bytes]) -> Outcome:
    machine = HttpProxyServer("u", "p")
    late = b""
    for piece in pieces:
        if machine.request is not None:
            late += piece
            continue
        try:
            machine.feed(piece)
        except HttpError as error:
            return Outcome(None, b"", error.reply)
    asked = machine.request
    if isinstance(asked, Forward):
        asked = (asked.host, asked.port, asked.head)
        late = machine.http.trailing_data[0] + late
    return Outcome(asked, machine.leftover + late, b"")


HEADS = st.tuples(
    st.sampled_from(
        [
            *("GET http://h:81/a?b HTTP/1.1", "CONNECT h:1 HTTP/1.1", "CONNECT h HTTP/1.1", "GET / HTTP/1.0"),
            *("HEAD http://[::1] HTTP/1.1", "GET https://h/ HTTP/1.1", "GET", "GET http://h/ HTTP/1.1 x"),
        ]
    ),
    st.lists(
        st.sampled_from(
            ["Host: x", "Content-Length: 3", "Transfer-Encoding: chunked", "X:  y ", " fold", "bad"]
        ),
        max_size=4,
    ),
    st.sampled_from(["Host: x", f"Proxy-Authorization: Basic {SECRET}"]),
    st.sampled_from(["\r\n", "\n"]),
    st.binary(max_size=20),
).map(lambda drawn: drawn[3].join([drawn[0], *drawn[1], drawn[2], "", ""]).encode() + drawn[4])


@settings(max_examples=500)
@given(HEADS | st.binary(max_size=40).map(lambda tail: b"G" + tail), st.data())
def test_no_cut_changes_what_comes_out(raw: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(1, len(raw)), max_size=8, unique=True)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True) if start < end]
    whole = run([raw])
    for cut in (run(pieces), run([raw[at : at + 1] for at in range(len(raw))])):
        assert cut[0] == whole[0]
        assert cut[1:] == whole[1:]
