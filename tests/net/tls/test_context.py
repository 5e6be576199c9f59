"""What both ends of TLS share: contexts, files and their mistakes, fingerprints."""

from __future__ import annotations

import ssl as stdlib_ssl
import subprocess

import pytest
import trustme
from gevent import socket, ssl

from linksocks.errors import ConfigError
from linksocks.net.tls.context import end_tls, fingerprint, load_pair, new_context, spelled
from tests.support.certificates import Files


@pytest.mark.parametrize(
    ("protocol", "purpose"),
    [
        (stdlib_ssl.PROTOCOL_TLS_SERVER, stdlib_ssl.Purpose.CLIENT_AUTH),
        (stdlib_ssl.PROTOCOL_TLS_CLIENT, stdlib_ssl.Purpose.SERVER_AUTH),
    ],
)
def test_contexts_are_gevent_s_with_the_defaults_of_the_library(protocol, purpose):
    ours, theirs = new_context(protocol), stdlib_ssl.create_default_context(purpose)
    assert type(ours) is ssl.SSLContext
    assert ours.options == theirs.options
    assert ours.verify_mode == theirs.verify_mode
    assert ours.check_hostname == theirs.check_hostname
    assert ours.get_ciphers() == theirs.get_ciphers()
    assert ours.minimum_version == stdlib_ssl.TLSVersion.TLSv1_2


@pytest.fixture
def files(authority, tmp_path) -> Files:
    return Files(tmp_path, authority)


def mistake(cert: object, key: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_pair(new_context(stdlib_ssl.PROTOCOL_TLS_SERVER), str(cert), str(key))
    words = str(caught.value)
    assert "_ssl.c" not in words
    assert "\n" not in words
    return words


def test_a_pair_is_loaded(files):
    load_pair(new_context(stdlib_ssl.PROTOCOL_TLS_SERVER), *files.pair)


def test_a_file_with_both_is_loaded(files):
    files.cert.write_bytes(files.key.read_bytes() + files.cert.read_bytes())
    load_pair(new_context(stdlib_ssl.PROTOCOL_TLS_SERVER), str(files.cert), str(files.cert))


@pytest.mark.parametrize("missing", ["cert", "key"])
def test_a_file_is_missing(files, missing):
    getattr(files, missing).unlink()
    assert mistake(*files.pair) == f"TLS: can't read {getattr(files, missing)}: No such file or directory"


def test_the_key_of_another_certificate(files, authority, tmp_path):
    other = Files(tmp_path, authority, stem="other")
    assert mistake(files.cert, other.key) == (
        f"TLS: the key in {other.key} does not match the first certificate in {files.cert}"
    )


def test_an_encrypted_key(files):
    plain = files.key.with_suffix(".plain")
    files.key.rename(plain)
    subprocess.run(
        ["openssl", "pkey", "-in", plain, "-aes256", "-passout", "pass:secret", "-out", files.key], check=True
    )
    assert mistake(*files.pair).startswith(f"TLS: the key in {files.key} is encrypted, ")


@pytest.mark.parametrize("content", ["", "nothing", "-----BEGIN CERTIFICATE-----\nAA\n"])
def test_no_certificate(files, content):
    files.cert.write_text(content)
    assert mistake(*files.pair).startswith(f"TLS: {files.cert}: expected certificates in PEM: ")


@pytest.mark.parametrize("content", ["", "nothing"])
def test_no_key(files, content):
    files.key.write_text(content)
    assert mistake(*files.pair).startswith(
        f"TLS: {files.key}: expected the private key of {files.cert} in PEM: "
    )


def test_a_fingerprint_is_what_openssl_says(files):
    said = subprocess.run(
        ["openssl", "x509", "-in", files.cert, "-noout", "-fingerprint", "-sha256"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    der = stdlib_ssl.PEM_cert_to_DER_cert(files.cert.read_text())
    assert said.strip().partition("=")[2] == spelled(fingerprint(der))
    assert fingerprint(der) == files.fingerprint


def test_the_end_of_tls_says_so_and_leaves_plain_sockets(authority: trustme.CA):
    near, far = socket.socketpair()
    end_tls(near)
    near.sendall(b"x")
    assert far.recv(10) == b"x"
    end_tls(far)
    near.close()
    end_tls(near)
    far.close()
