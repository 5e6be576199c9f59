"""The server's certificate: what is served after its files changed, and what is said about it."""

from __future__ import annotations

import datetime
import logging
import os
import ssl as stdlib_ssl

import pytest

from linksocks.errors import ConfigError
from linksocks.net.tls import certificate as module
from linksocks.net.tls.certificate import Certificate
from linksocks.net.tls.context import spelled
from tests.support.certificates import Files


@pytest.fixture
def files(authority, tmp_path) -> Files:
    return Files(tmp_path, authority)


@pytest.fixture(autouse=True)
def at_once(monkeypatch) -> None:
    """Every handshake looks."""
    monkeypatch.setattr(module, "LOOK", 0.0)


def served(certificate: Certificate) -> str:
    """The fingerprint that a handshake now would show."""
    anyone = stdlib_ssl.SSLContext(stdlib_ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, stdlib_ssl.CERT_NONE
    shown = module._greet(certificate.context(), anyone).getpeercert(binary_form=True)
    assert shown is not None
    return module.fingerprint(shown)


def test_it_is_served_and_named(files, caplog):
    caplog.set_level(logging.INFO, "linksocks")
    certificate = Certificate(*files.pair)
    assert served(certificate) == files.fingerprint
    assert spelled(files.fingerprint) in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_the_same_files_are_the_same_context(files):
    certificate = Certificate(*files.pair)
    assert certificate.context() is certificate.context()


def test_new_files_are_served(files, authority):
    certificate = Certificate(*files.pair)
    before = files.fingerprint
    files.issue(authority, "localhost")
    assert served(certificate) == files.fingerprint != before


def test_files_that_are_renamed_over_the_old_ones_are_served(files, authority, tmp_path):
    """With the size and the time of the old ones: the inode tells."""
    certificate = Certificate(*files.pair)
    new = Files(tmp_path, authority, stem="new")
    for old, fresh in ((files.cert, new.cert), (files.key, new.key)):
        status = old.stat()
        os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns))
        fresh.rename(old)
    assert served(certificate) == files.fingerprint


def test_a_look_is_not_for_every_handshake(files, authority, monkeypatch):
    certificate = Certificate(*files.pair)
    before = files.fingerprint
    monkeypatch.setattr(module, "LOOK", 3600.0)
    files.issue(authority, "localhost")
    assert served(certificate) == before
    certificate.reload()
    assert served(certificate) == files.fingerprint


@pytest.mark.parametrize("broken", ["gone", "garbage", "other key"])
def test_a_broken_pair_keeps_the_old_one_and_is_one_error(files, authority, tmp_path, caplog, broken):
    certificate = Certificate(*files.pair)
    before = files.fingerprint
    if broken == "gone":
        files.cert.unlink()
    elif broken == "garbage":
        files.cert.write_text("nothing")
    else:
        files.key.write_bytes(Files(tmp_path, authority, stem="other").key.read_bytes())
    for _ in range(3):
        assert served(certificate) == before
    [error] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert error.getMessage().endswith("; clients get the certificate from before")
    with pytest.raises(ConfigError):
        certificate.reload()
    assert served(certificate) == before
    files.issue(authority, "localhost")
    assert served(certificate) == files.fingerprint != before


def test_files_with_the_size_and_the_times_of_those_that_failed_are_served(files, authority):
    """As a key that `chmod` makes readable: only the time of the inode's last change tells."""
    certificate = Certificate(*files.pair)
    before = files.fingerprint
    files.issue(authority, "localhost")
    key, failed = files.key.read_bytes(), files.key.stat()
    files.key.write_bytes(bytes(len(key)))
    os.utime(files.key, ns=(failed.st_atime_ns, failed.st_mtime_ns))
    assert served(certificate) == before
    failed = files.key.stat()
    files.key.write_bytes(key)
    while files.key.stat().st_ctime_ns == failed.st_ctime_ns:  # the kernel's clock for files ticks slowly
        os.utime(files.key, ns=(failed.st_atime_ns, failed.st_mtime_ns))
    os.utime(files.key, ns=(failed.st_atime_ns, failed.st_mtime_ns))
    assert served(certificate) == files.fingerprint != before


def test_new_client_authorities_are_taken(files, authority, tmp_path):
    certificate = Certificate(*files.pair, str(files.ca))
    before = certificate.context()
    assert before.verify_mode is stdlib_ssl.CERT_REQUIRED
    files.ca.write_bytes(files.ca.read_bytes() * 2)
    assert certificate.context() is not before


def test_a_bad_file_of_client_authorities(files):
    files.ca.write_text("nothing")
    with pytest.raises(ConfigError, match=r"server-ca\.pem: expected a readable file of PEM certificates: "):
        Certificate(*files.pair, str(files.ca))


def test_an_expired_certificate_is_a_warning(files, authority, caplog):
    files.issue(authority, "localhost", not_after=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    Certificate(*files.pair)
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning == f"TLS: clients will refuse the certificate in {files.cert}: certificate has expired"
