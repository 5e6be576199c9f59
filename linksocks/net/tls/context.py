"""TLS as both ends have it: contexts, a certificate with its key, fingerprints, and the end of a connection.

Every context is gevent's: the standard library's sockets would block the hub.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import ssl as stdlib_ssl
from pathlib import Path
from typing import Final

from gevent import socket, ssl

from linksocks.errors import ConfigError

_PLACE: Final = re.compile(r" \(_ssl\.c:\d+\)")


def new_context(protocol: int) -> ssl.SSLContext:
    """A context with the defaults of the standard library, for TLS 1.2 or newer."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = stdlib_ssl.TLSVersion.TLSv1_2
    return context


def load_authorities(context: stdlib_ssl.SSLContext, file: str) -> None:
    """`context` trusts who is in `file`. Raises ConfigError."""
    try:
        context.load_verify_locations(cafile=file)
    except OSError as error:  # SSLError is one
        raise ConfigError(
            f"CA file {file}: expected a readable file of PEM certificates: {reason_of(error)}"
        ) from error


def load_pair(context: stdlib_ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """`context` shows the first certificate in `cert_file`; what follows there is its chain. Raises ConfigError."""
    for file in (cert_file, key_file):
        try:
            Path(file).open("rb").close()
        except OSError as error:
            raise ConfigError(f"TLS: can't read {file}: {reason_of(error)}") from error
    try:
        # load_cert_chain does not tell which of the two it can't take.
        stdlib_ssl.SSLContext(stdlib_ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=cert_file)
    except OSError as error:
        raise ConfigError(f"TLS: {cert_file}: expected certificates in PEM: {reason_of(error)}") from error

    def passphrase() -> str:
        raise ConfigError(
            f"TLS: the key in {key_file} is encrypted, and there is nobody to ask for the passphrase: "
            "write it out plain with `openssl pkey`, readable for this user only"
        )

    try:
        context.load_cert_chain(cert_file, key_file, passphrase)
    except OSError as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"TLS: the key in {key_file} does not match the first certificate in {cert_file}"
            ) from error
        raise ConfigError(
            f"TLS: {key_file}: expected the private key of {cert_file} in PEM: {reason_of(error)}"
        ) from error


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate in DER, as 64 hex digits."""
    return hashlib.sha256(certificate).hexdigest()


def spelled(digest: str) -> str:
    """A fingerprint as browsers and openssl show it."""
    return ":".join(digest[place : place + 2] for place in range(0, len(digest), 2)).upper()


def reason_of(error: OSError) -> str:
    """What went wrong, for people. OpenSSL's own words say on which line of its source."""
    reason = getattr(error, "reason", None)
    words = str(reason).lower().replace("_", " ") if reason else error.strerror or str(error)
    return _PLACE.sub("", words)


def end_tls(sock: socket.socket) -> None:
    """Tells a peer with TLS that what it got was all (close_notify); does not wait. Another socket stays as it is."""
    if isinstance(sock, ssl.SSLSocket):
        with contextlib.suppress(OSError, ValueError):  # it left, or the socket is closed
            sock.settimeout(0.0)
            sock.unwrap()
