"""A port with TLS and its strangers: hostile handshakes are one line at most, bounded, and leave nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import ssl as stdlib_ssl
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import socket, ssl

from linksocks.net.sockets import cut
from linksocks.net.tls import handshakes as module
from linksocks.net.tls.certificate import Certificate
from linksocks.net.tls.context import end_tls, new_context
from linksocks.net.ws import accept
from linksocks.net.ws.lobby import Lobby
from tests.support.certificates import Files
from tests.support.leaks import open_fds, opened_since
from tests.support.processes import ran
from tests.support.rawsocket import BINARY, UPGRADE, RawPeer, frame, read_head
from tests.support.tunnels import reset
from tests.support.upgrades import Echo
from tests.support.waits import eventually

HELLO_HEAD = bytes.fromhex("16 0301 0200 01 0001fc 0303")
"""How a ClientHello of 512 bytes begins."""


@pytest.fixture
def files(authority, tmp_path) -> Files:
    return Files(tmp_path, authority)


@pytest.fixture
def server(files, caplog, capfd) -> Iterator[Echo]:
    """No test makes a traceback."""
    caplog.set_level(logging.DEBUG, "linksocks")
    echo = Echo(Certificate(*files.pair))
    yield echo
    echo.stop()
    output = capfd.readouterr()
    assert "Traceback" not in output.out + output.err
    assert not [record for record in caplog.records if record.exc_info]


def plain(server: Echo) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.settimeout(10)
    return sock


def client_context(files: Files) -> ssl.SSLContext:
    context = new_context(stdlib_ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(files.ca)
    return context


def secured(server: Echo, files: Files, **how: Any) -> ssl.SSLSocket:
    return client_context(files).wrap_socket(plain(server), server_hostname="localhost", **how)


def rest(sock: socket.socket) -> bytes:
    """All that comes, to the end; a reset is an end too."""
    got = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(65536):
            got += data
    return bytes(got)


def send_until_refused(sock: socket.socket, data: bytes, pace: float) -> None:
    """The patience of the folder's fixture bounds it."""
    with contextlib.suppress(ConnectionError):
        while True:
            sock.sendall(data)
            gevent.sleep(pace)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of handshakes, without the ports."""
    said = [record.getMessage() for record in caplog.records if record.name.endswith("net.tls.handshakes")]
    return [" ".join(word for word in line.split() if not word.startswith("127.0.0.1:")) for line in said]


# What works


@pytest.mark.parametrize("version", ["--tlsv1.2 --tls-max 1.2", "--tlsv1.3"])
def test_curl(server, files, version):
    argv = ["curl", "-sS", "--noproxy", "*", "-m", "10", "--cacert", files.ca, *version.split()]
    done = ran([*argv, f"https://localhost:{server.port}/"], text=True, check=True)
    assert done.stdout.startswith("LinkSocks v")


@pytest.mark.filterwarnings("ignore:.*TLSv1:DeprecationWarning", "ignore:.*TLSv1_1:DeprecationWarning")
@pytest.mark.parametrize("version", [stdlib_ssl.TLSVersion.TLSv1, stdlib_ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(server, files, version):
    context = client_context(files)
    context.minimum_version, context.maximum_version = version, version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with plain(server) as sock, pytest.raises(stdlib_ssl.SSLError):
        context.wrap_socket(sock, server_hostname="localhost")


@pytest.mark.parametrize("sizes", [(0,), (5,), (100, 3), (9_000, 5), (16_000,), (40_000, 7, 0, 60_000)])
def test_frames_glued_to_the_request(server, files, sizes):
    """They may be in the reader of HTTP, in OpenSSL (pending) and in the kernel, in that order."""
    payloads = [os.urandom(size) for size in sizes]
    with secured(server, files) as sock:
        sock.sendall(UPGRADE + b"".join(frame(BINARY, payload, masked=True) for payload in payloads))
        read_head(sock)
        peer = RawPeer(sock, masking=True)
        for payload in payloads:
            assert peer.read().payload == payload
        peer.close()
        assert peer.read().code == 1000


def test_a_request_in_many_records(server, files):
    with secured(server, files) as sock:
        for byte in UPGRADE + frame(BINARY, b"hello", masked=True):
            sock.sendall(bytes([byte]))
        read_head(sock)
        assert RawPeer(sock, masking=True).read().payload == b"hello"


def test_it_says_https_to_the_application(server):
    assert server.http.environ["wsgi.url_scheme"] == "https"


def test_a_slow_head_is_cut_in_mid_read(server, files, monkeypatch):
    """OpenSSL's object must stay until the reader has seen the end."""
    monkeypatch.setattr(accept, "REQUEST_TIMEOUT", 0.2)
    with secured(server, files) as sock:
        sock.sendall(b"GET / HTT")
        assert rest(sock) == b""


# Ends


def test_an_answer_ends_with_a_close_notify(server, files):
    """So that a body without a length is known to be whole."""
    with secured(server, files, suppress_ragged_eofs=False) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert rest(sock).startswith(b"HTTP/1.1 200")


def test_a_closing_handshake_ends_with_a_close_notify(server, files):
    with secured(server, files, suppress_ragged_eofs=False) as sock:
        sock.sendall(UPGRADE)
        read_head(sock)
        peer = RawPeer(sock, masking=True)
        peer.close()
        assert peer.read().code == 1000
        assert sock.recv(1) == b""


@pytest.mark.parametrize("how", ["close_notify", "FIN", "RST"])
def test_a_stream_that_is_cut_is_no_clean_end(server, files, how, monkeypatch):
    ends: list[BaseException] = []

    def serve(accepted):
        try:
            accepted.websocket.receive()
        except BaseException as error:
            ends.append(error)
            raise

    monkeypatch.setattr(server.http, "on_websocket", lambda accepted: _swallow(serve, accepted))
    sock = secured(server, files)
    sock.sendall(UPGRADE)
    read_head(sock)
    sock.sendall(frame(BINARY, bytes(1000), masked=True)[:-1])
    if how == "close_notify":
        end_tls(sock)
    elif how == "RST":
        reset(sock)
    sock.close()
    eventually(lambda: bool(ends))
    [end] = ends
    assert getattr(end, "code", None) == 1006
    end.__traceback__ = None


def _swallow(serve: Callable[[Any], None], accepted: Any) -> None:
    with contextlib.suppress(Exception):
        serve(accepted)


# Strangers


def test_plain_http_is_told(server, caplog):
    with plain(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"this port speaks TLS" in rest(sock)
    assert lines(caplog) == ["TLS: sent plain HTTP; clients of this port need wss:// or https:// URLs"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 100,
        b"\x05\x01\x00",
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x01\xff\xff" + bytes(70_000),
        HELLO_HEAD + bytes(2000),
    ],
)
def test_garbage_is_one_line(server, caplog, garbage):
    with plain(server) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(garbage)
            sock.shutdown(socket.SHUT_WR)
        rest(sock)
    eventually(lambda: bool(lines(caplog)))
    [line] = lines(caplog)
    assert line.startswith("TLS: ")


def test_who_does_not_trust_us_is_one_line(server, files, caplog):
    with plain(server) as sock, pytest.raises(stdlib_ssl.SSLCertVerificationError):
        new_context(stdlib_ssl.PROTOCOL_TLS_CLIENT).wrap_socket(sock, server_hostname="localhost")
    eventually(lambda: lines(caplog) == ["TLS: does not trust our certificate"])


def test_a_probe_of_the_port_is_not_worth_a_line(server, caplog):
    plain(server).close()
    eventually(lambda: bool(lines(caplog)))
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


def test_half_a_hello_holds_up_nobody(server, files, caplog):
    with plain(server) as slow:
        slow.sendall(HELLO_HEAD)
        with secured(server, files) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert rest(sock).startswith(b"HTTP/1.1 200")
        assert lines(caplog) == []


def test_half_a_hello_has_a_deadline(server, caplog, monkeypatch):
    monkeypatch.setattr(module, "HANDSHAKE_TIMEOUT", 0.3)
    with plain(server) as slow:
        slow.sendall(HELLO_HEAD)
        assert rest(slow) == b""
    assert lines(caplog) == ["TLS: no handshake in 0.3 s"]


def test_a_hello_byte_by_byte_has_the_same_deadline(server, monkeypatch):
    monkeypatch.setattr(module, "HANDSHAKE_TIMEOUT", 0.2)
    with plain(server) as sock:
        sock.sendall(HELLO_HEAD)
        send_until_refused(sock, b"\0", 0.05)


def test_handshakes_are_in_the_lobby(files, server, monkeypatch):
    """Which bounds them."""
    monkeypatch.setattr(server.http, "lobby", Lobby(most=2))
    waiting = [plain(server) for _ in range(2)]
    eventually(lambda: len(server.http.lobby) == 2)
    with plain(server) as sock:
        assert rest(sock) == b""
    waiting.pop().close()
    eventually(lambda: len(server.http.lobby) == 1)
    with secured(server, files) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert rest(sock).startswith(b"HTTP/1.1 200")
    waiting.pop().close()


def test_who_fails_can_read_why(server):
    """A reset for what we did not read could overtake our alert."""
    with plain(server) as sock:
        sock.sendall(b"\x16\x03\x01\x00\x05hello" + bytes(50_000))
        assert sock.recv(7)[:1] == b"\x15", "an alert"
        assert sock.recv(100) == b"", "no reset"


def test_who_fails_and_goes_on_sending_is_left(server, monkeypatch):
    monkeypatch.setattr(module, "_LINGER", 0.2)
    with plain(server) as sock:
        sock.sendall(b"\x16\x03\x01\x00\x05hello")
        assert sock.recv(100)[:1] == b"\x15", "an alert"
        send_until_refused(sock, bytes(1000), 0.01)


def test_300_failures_leave_nothing(server, files):
    """The fixture of this folder counts descriptors and greenlets at the end; here they go while the server runs."""
    before = open_fds()
    for number in range(300):
        with plain(server) as sock, contextlib.suppress(OSError):
            if number % 5 == 0:
                sock.sendall(HELLO_HEAD)
            elif number % 5 == 1:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            elif number % 5 == 2:
                new_context(stdlib_ssl.PROTOCOL_TLS_CLIENT).wrap_socket(sock, server_hostname="localhost")
            elif number % 5 == 3:
                sock.sendall(os.urandom(100))
                reset(sock)
            # else it says nothing
    eventually(lambda: not opened_since(before))
    assert not len(server.http.lobby)
    with secured(server, files) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert rest(sock).startswith(b"HTTP/1.1 200")


def test_a_stop_ends_handshakes_too(server):
    with plain(server) as sock:
        sock.sendall(HELLO_HEAD)
        eventually(lambda: len(server.http.lobby) == 1)
        server.http.stop(timeout=0)
        assert rest(sock) == b""


def test_a_cut_socket_never_gives_out_ciphertext(server, files):
    with secured(server, files) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        socket.wait_read(sock.fileno())
        cut(sock)
        assert rest(sock)[:5] in (b"", b"HTTP/")
