"""What a client takes for its server, and what it shows: pins, client certificates, and no check at all."""

from __future__ import annotations

import ssl as stdlib_ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
import trustme

from linksocks.errors import ConfigError, LinkError
from linksocks.net.out.egress import Direct, Egress
from linksocks.net.out.proxies import ProxyUrl
from linksocks.net.out.resolve import Resolver
from linksocks.net.out.upstream import egress
from linksocks.net.tls import trust as module
from linksocks.net.tls.certificate import Certificate
from linksocks.net.tls.context import spelled
from linksocks.net.tls.trust import TlsClient, Trust
from linksocks.net.ws.connect import Handshake, connect
from tests.support.certificates import Files
from tests.support.proxies import SCHEMES, detour
from tests.support.upgrades import Echo


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def files(authority, tmp_path) -> Files:
    return Files(tmp_path, authority)


@pytest.fixture
def own(authority, tmp_path) -> Files:
    """What a client shows."""
    return Files(tmp_path, authority, "me@example.org", stem="client")


def serve(stack: ExitStack, files: Files, client_ca: Path | str = "") -> int:
    echo = Echo(Certificate(*files.pair, str(client_ca)))
    stack.callback(echo.stop)
    return echo.port


def echoes(
    port: int, trust: Trust, name: str = "", way: Egress | None = None, host: str = "127.0.0.1"
) -> bool:
    """Whether a WebSocket with that trust works. Raises LinkError."""
    resolver = Resolver()
    try:
        url = f"wss://{host}:{port}/socket"
        handshake = Handshake(tls_server_name=name)
        websocket = connect(url, handshake, way or Direct(resolver), TlsClient(trust), "server").websocket
        websocket.send(b"hello")
        answer = bytes(websocket.receive())
        websocket.finish()
        return answer == b"hello"
    finally:
        resolver.close()


def refused(port: int, trust: Trust, name: str = "") -> str:
    with pytest.raises(LinkError) as caught:
        echoes(port, trust, name)
    caught.value.__traceback__ = None  # it holds the frames that hold the sockets
    return str(caught.value)


# Pins


def self_signed(folder: Path) -> Files:
    """A certificate that no authority has signed, by openssl."""
    files = Files.__new__(Files)
    files.cert, files.key = folder / "self.pem", folder / "self-key.pem"
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=nobody.example -days 1 "
        f"-keyout {files.key} -out {files.cert}".split(),
        check=True,
        capture_output=True,
    )
    return files


def test_a_pin_alone_is_enough(stack, tmp_path):
    files = self_signed(tmp_path)
    assert echoes(serve(stack, files), Trust(pin=files.fingerprint))


def test_a_pin_alone_refuses_all_others(stack, files, tmp_path):
    pinned = self_signed(tmp_path).fingerprint
    assert refused(serve(stack, files), Trust(pin=pinned)) == (
        f"TLS: the certificate of 127.0.0.1 is not the pinned one: expected SHA-256 {spelled(pinned)}, found "
        f"{spelled(files.fingerprint)}; if its operator has changed it, change --tls-pin"
    )


def test_a_pin_with_authorities_is_both(stack, files, tmp_path, authority):
    port = serve(stack, files)
    assert echoes(port, Trust(pin=files.fingerprint, ca_file=str(files.ca)))
    assert "is not the pinned one" in refused(port, Trust(pin="0" * 64, ca_file=str(files.ca)))
    other = serve(stack, self_signed(tmp_path))
    pinned = Trust(pin=self_signed(tmp_path).fingerprint, ca_file=str(files.ca))
    assert "is not trusted" in refused(other, pinned)
    assert "mismatch" in refused(port, Trust(pin=files.fingerprint, ca_file=str(files.ca)), "other.example")


def test_nothing_is_said_to_a_server_with_another_certificate(stack, files):
    echo = Echo(Certificate(*files.pair))
    stack.callback(echo.stop)
    refused(echo.port, Trust(pin="0" * 64))
    assert echo.accepted == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_pin_through_a_proxy(stack, files, scheme):
    port = serve(stack, files)
    resolver = Resolver()
    stack.callback(resolver.close)
    proxy = ProxyUrl(scheme, "127.0.0.1", stack.enter_context(detour(scheme, port)))
    way = egress(proxy, resolver)
    assert echoes(port, Trust(pin=files.fingerprint), way=way, host="server.example")
    with pytest.raises(LinkError, match="is not the pinned one") as caught:
        echoes(port, Trust(pin="0" * 64), way=way, host="server.example")
    caught.value.__traceback__ = None


# No check


def test_insecure_takes_anything(stack, tmp_path):
    assert echoes(serve(stack, self_signed(tmp_path)), Trust(insecure=True))


@pytest.mark.parametrize("trust", [Trust(insecure=True, pin="0" * 64), Trust(insecure=True, ca_file="x")])
def test_insecure_beside_a_check_is_a_mistake(trust):
    with pytest.raises(ConfigError, match="has no effect with --insecure"):
        TlsClient(trust)


# Client certificates


def test_a_client_shows_its_certificate(stack, files, own):
    trust = Trust(ca_file=str(files.ca), client_cert=str(own.cert), client_key=str(own.key))
    assert echoes(serve(stack, files, own.ca), trust)


@pytest.mark.parametrize("version", [stdlib_ssl.TLSVersion.TLSv1_2, stdlib_ssl.TLSVersion.TLSv1_3])
def test_a_client_without_one_hears_what_is_missing(stack, files, own, version, monkeypatch):
    port = serve(stack, files, own.ca)
    client = TlsClient(Trust(ca_file=str(files.ca)))
    client._context.maximum_version = version
    monkeypatch.setattr(f"{__name__}.TlsClient", lambda _trust: client)
    words = refused(port, Trust())
    assert words.startswith("TLS: 127.0.0.1: the server ")
    assert "ask" in words
    assert "client certificate" in words


def test_a_client_with_a_stranger_s_certificate(stack, files, tmp_path):
    stranger = Files(tmp_path, trustme.CA(), "me@example.org", stem="stranger")
    trust = Trust(ca_file=str(files.ca), client_cert=str(stranger.cert), client_key=str(stranger.key))
    words = refused(serve(stack, files, files.ca), trust)
    assert words == "TLS: 127.0.0.1: the server does not take our client certificate"


def test_another_host_gets_no_certificate_of_ours(files, own):
    bare = TlsClient(Trust(ca_file=str(files.ca)))
    assert bare.elsewhere() is bare
    shows = TlsClient(Trust(ca_file=str(files.ca), client_cert=str(own.cert), client_key=str(own.key)))
    assert shows.elsewhere()._trust == Trust(ca_file=str(files.ca))


# The system's authorities


def test_they_are_read_for_the_first_server_with_tls_and_once(stack, files, monkeypatch):
    read = []

    def load(context: stdlib_ssl.SSLContext) -> None:
        read.append(context)

    monkeypatch.setattr(stdlib_ssl.SSLContext, "load_default_certs", load)
    monkeypatch.setattr(module, "_system_context", cache(module._system_context.__wrapped__))
    clients = [TlsClient(), TlsClient(Trust())]
    assert read == []
    port = serve(stack, files)
    monkeypatch.setattr(f"{__name__}.TlsClient", lambda _trust: clients.pop())
    for _ in list(clients):
        assert "is not trusted" in refused(port, Trust())
    assert len(read) == 1


@pytest.mark.parametrize("trust", [Trust(ca_file="nowhere"), Trust(client_cert="nowhere", client_key="x")])
def test_what_cannot_be_read_is_told_before_there_is_a_server(trust):
    with pytest.raises(ConfigError, match="nowhere"):
        TlsClient(trust)
