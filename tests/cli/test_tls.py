"""TLS as a user has it: flags, the INI file and signals, with the real curl and a client of ours."""

from __future__ import annotations

import datetime
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.support import socks
from tests.support.certificates import Files
from tests.support.processes import Process, linksocks
from tests.support.targets import EchoTarget

TOKEN = "a-token-of-the-tests"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> Files:
    return Files(tmp_path, authority)


@contextmanager
def server(files: Files, *args: str) -> Iterator[tuple[Process, int]]:
    pair = ["--tls-cert", str(files.cert), "--tls-key", str(files.key)]
    with linksocks("server", "-t", TOKEN, "-H", "127.0.0.1", "-P", "0", *pair, *args) as process:
        yield process, int(process.wait_line(r"listening on 127\.0\.0\.1:(\d+), with TLS")[1])
    assert "Traceback" not in process.output


@contextmanager
def client(port: int, *args: str) -> Iterator[tuple[Process, int]]:
    """With the port for applications."""
    with linksocks("client", "-t", TOKEN, "-u", f"wss://127.0.0.1:{port}", "-p", "0", *args) as process:
        yield process, int(process.wait_line(r"applications' port 127\.0\.0\.1:(\d+) is open")[1])
    assert "Traceback" not in process.output


def fails(*args: str) -> str:
    """The last line of a client that ends by itself."""
    with linksocks("client", "-t", TOKEN, "-p", "0", "--no-reconnect", *args) as process:
        assert process.wait_exit() == 1, process.output
    assert "Traceback" not in process.output
    return process.err[-1]


def shown(port: int) -> str:
    """The fingerprint of the certificate that a new connection gets, by openssl."""
    greeting = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}"],
        input=b"",
        capture_output=True,
        timeout=20,
        check=False,
    ).stdout
    digest = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256"],
        input=greeting,
        capture_output=True,
        check=True,
    ).stdout
    return digest.decode().strip().partition("=")[2].replace(":", "").lower()


# The way


def test_a_client_with_the_authority_s_file(files: Files) -> None:
    with (
        EchoTarget() as echo,
        server(files) as (_, port),
        client(port, "--ca-file", str(files.ca)) as (_, socks_port),
        socks.connect(socks_port, "127.0.0.1", echo.port) as connection,
    ):
        connection.sendall(b"hello")
        assert socks.read_exactly(connection, 5) == b"hello"


def test_a_client_with_a_pin_as_openssl_prints_it(files: Files) -> None:
    with server(files) as (process, port):
        pin = process.wait_line(r"has SHA-256 ([0-9A-F:]{95})$")[1]
        assert pin.replace(":", "").lower() == shown(port) == files.fingerprint
        with client(port, "--tls-pin", pin):
            pass
        assert "is not the pinned one" in fails("-u", f"wss://127.0.0.1:{port}", "--tls-pin", "0" * 64)


def test_an_insecure_client_is_warned_once(files: Files) -> None:
    with server(files) as (_, port), client(port, "--insecure") as (process, _):
        pass
    assert len([line for line in process.err if "WARN" in line]) == 1
    assert re.search(r"WARN .*--insecure: the server's certificate is not checked", process.output)


def test_client_certificates(files: Files, authority: trustme.CA, tmp_path: Path) -> None:
    own = Files(tmp_path, authority, "me@example.org", stem="own")
    show = ["--tls-client-cert", str(own.cert), "--tls-client-key", str(own.key)]
    trust = ["--ca-file", str(files.ca)]
    with server(files, "--tls-client-ca", str(own.ca)) as (_, port):
        with client(port, *trust, *show):
            pass
        url = f"https://localhost:{port}/"
        curl = ["curl", "-sS", "--noproxy", "*", "-m", "10", "--cacert", str(files.ca)]
        got = subprocess.run(
            [*curl, "--cert", own.cert, "--key", own.key, url], capture_output=True, check=True
        )
        assert got.stdout.startswith(b"LinkSocks v")
        assert subprocess.run([*curl, url], capture_output=True, check=False).returncode != 0
        said = fails("-u", f"wss://127.0.0.1:{port}", *trust)
    assert said.endswith("the server asks for a client certificate: give --tls-client-cert")


def test_files_of_the_ini_file_are_beside_it(files: Files, tmp_path: Path) -> None:
    ini = tmp_path / "linksocks.ini"
    ini.write_text(
        f"[server]\ntoken = {TOKEN}\nws_host = 127.0.0.1\nws_port = 0\n"
        f"tls_cert = {files.cert.name}\ntls_key = {files.key.name}\n"
        f"[client]\ntoken = {TOKEN}\nsocks_port = 0\nca_file = {files.ca.name}\n"
    )
    with linksocks("server", "--config", str(ini)) as process:
        port = process.wait_line(r"listening on 127\.0\.0\.1:(\d+), with TLS")[1]
        url = f"wss://127.0.0.1:{port}"
        with linksocks("client", "--config", str(ini), "-u", url) as ours:
            ours.wait_line("logged in at wss://")


def test_a_plain_client_is_told(files: Files) -> None:
    with server(files) as (process, port):
        assert "this port speaks TLS" in fails("-u", f"ws://127.0.0.1:{port}")
        process.wait_line("sent plain HTTP; clients of this port need wss://")


# A certificate that changes


def test_a_new_certificate_is_for_new_connections(
    files: Files, authority: trustme.CA, tmp_path: Path
) -> None:
    """As tools for renewal do it: other files are renamed over the old ones. The client's link stays."""
    with (
        EchoTarget() as echo,
        server(files) as (process, port),
        client(port, "--ca-file", str(files.ca)) as (_, socks_port),
        socks.connect(socks_port, "127.0.0.1", echo.port) as connection,
    ):
        before = files.fingerprint
        assert shown(port) == before
        new = Files(tmp_path, authority, stem="new")
        new.key.rename(files.key)
        new.cert.rename(files.cert)
        _until_shown(port, process, files.fingerprint)
        assert files.fingerprint != before
        connection.sendall(b"still there")
        assert socks.read_exactly(connection, 11) == b"still there"
        files.cert.write_text("broken")
        _until_said(port, process, "clients get the certificate from before")
        connection.sendall(b"and now")
        assert socks.read_exactly(connection, 7) == b"and now"
        with client(port, "--ca-file", str(files.ca)):
            pass


def _until_shown(port: int, process: Process, fingerprint: str) -> None:
    """Files are looked at once in a second."""
    deadline = datetime.datetime.now() + datetime.timedelta(seconds=20)
    while shown(port) != fingerprint:
        assert datetime.datetime.now() < deadline, process.output


def _until_said(port: int, process: Process, words: str) -> None:
    deadline = datetime.datetime.now() + datetime.timedelta(seconds=20)
    while words not in process.output:
        shown(port)
        assert datetime.datetime.now() < deadline, process.output


# Mistakes


def mistakes(*args: str) -> list[str]:
    with linksocks(*args) as process:
        assert process.wait_exit() == 2, process.output
    assert "Traceback" not in process.output
    assert process.out == []
    return [line.removeprefix("linksocks: ") for line in process.err if line.startswith("linksocks: ")]


def test_a_server_that_can_not_serve(files: Files, authority: trustme.CA, tmp_path: Path) -> None:
    other = Files(tmp_path, authority, stem="other")
    cert, key = str(files.cert), str(files.key)
    missing = str(tmp_path / "missing.pem")
    assert mistakes("server", "--tls-cert", missing, "--tls-key", key) == [
        f"TLS: can't read {missing}: No such file or directory"
    ]
    assert mistakes("server", "--tls-cert", cert, "--tls-key", str(other.key)) == [
        f"TLS: the key in {other.key} does not match the first certificate in {cert}"
    ]
    assert mistakes("server", "--tls-cert", cert) == [
        "--tls-cert: has no effect without --tls-key; give both or none"
    ]
    assert mistakes("server", "--tls-client-ca", cert) == [
        "--tls-client-ca: has no effect without --tls-cert; give both or none"
    ]


def test_an_expired_certificate_is_a_warning(files: Files, authority: trustme.CA) -> None:
    files.issue(authority, "localhost", not_after=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    with server(files) as (process, _):
        process.wait_line(r"WARN .*clients will refuse the certificate in .*: certificate has expired")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--tls-pin", "12"], "--tls-pin: expected 64 hex digits, with or without colons"),
        (
            ["--insecure", "--tls-pin", "0" * 64],
            "--tls-pin: has no effect with --insecure, which checks nothing; leave one out",
        ),
        (
            ["--insecure", "--ca-file", "x"],
            "--ca-file: has no effect with --insecure, which checks nothing; leave one out",
        ),
        (
            ["-u", "ws://localhost", "--tls-pin", "0" * 64],
            "--tls-pin: has no effect on a ws:// URL, which means no TLS; give a wss:// URL",
        ),
        (
            ["--tls-client-cert", "x"],
            "--tls-client-cert: has no effect without --tls-client-key; give both or none",
        ),
    ],
)
def test_a_client_s_mistakes(args: list[str], said: str) -> None:
    [line] = (
        mistakes("client", "-u", "wss://localhost", *args) if "-u" not in args else mistakes("client", *args)
    )
    assert line.startswith(said)
