"""A server's certificate: files that may be replaced while they are served.

Connections keep what they began with. A handshake that comes LOOK seconds after the last look sees new files; a new
pair that can't be served is reported once, and the one from before stays.
"""

from __future__ import annotations

import contextlib
import logging
import os
import ssl as stdlib_ssl
import time
from typing import Final, TypeAlias

from gevent import ssl

from linksocks.errors import ConfigError
from linksocks.net.tls.context import (
    fingerprint,
    load_authorities,
    load_pair,
    new_context,
    reason_of,
    spelled,
)

LOOK: Final = 1.0
"""Seconds between two looks at the files, at least."""

_State: TypeAlias = "tuple[tuple[int, int, int, int] | None, ...]"
"""What tells one state of the files from another, their modes too: a file may become readable later."""

log = logging.getLogger(__name__)


class Certificate:
    """The certificate (with its chain) in `cert_file` and its key, PEM both. Raises ConfigError.

    With `client_ca_file`, clients must show a certificate of an authority in it.
    """

    def __init__(self, cert_file: str, key_file: str, client_ca_file: str = "") -> None:
        self._files = cert_file, key_file, client_ca_file
        self._looked = 0.0
        self._loaded: _State = ()
        self._context = self._read()

    def context(self) -> ssl.SSLContext:
        """For the next handshake."""
        if time.monotonic() - self._looked >= LOOK:
            self._looked = time.monotonic()
            if self._state() != self._loaded:
                try:
                    self.reload()
                except ConfigError as error:
                    log.error("%s; clients get the certificate from before", error)
        return self._context

    def reload(self) -> None:
        """Reads the files anew. Raises ConfigError, and what was served before goes on."""
        self._context = self._read()

    def _read(self) -> ssl.SSLContext:
        self._looked = time.monotonic()
        self._loaded = self._state()  # before they are read: what changes meanwhile is seen at the next look
        cert_file, key_file, client_ca_file = self._files
        context = new_context(stdlib_ssl.PROTOCOL_TLS_SERVER)
        # Each handshake costs us CPU, and a client could ask for one after the other.
        context.options |= stdlib_ssl.OP_NO_RENEGOTIATION
        load_pair(context, cert_file, key_file)
        if client_ca_file:
            load_authorities(context, client_ca_file)
            context.verify_mode = stdlib_ssl.CERT_REQUIRED
        try:
            _announce(context, cert_file)
        except stdlib_ssl.SSLError as error:
            raise ConfigError(f"TLS: can't serve {cert_file}: {reason_of(error)}") from error
        return context

    def _state(self) -> _State:
        return tuple(_state(file) for file in self._files if file)


def _state(file: str) -> tuple[int, int, int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size


def _announce(context: ssl.SSLContext, cert_file: str) -> None:
    """Logs the fingerprint, and what clients will have against the certificate."""
    anyone = stdlib_ssl.SSLContext(stdlib_ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname = False
    anyone.verify_mode = stdlib_ssl.CERT_NONE
    shown = _greet(context, anyone).getpeercert(binary_form=True) or b""
    log.info("TLS: the certificate in %s has SHA-256 %s", cert_file, spelled(fingerprint(shown)))
    # Who trusts this very certificate still looks at its dates and its purpose.
    anyone.verify_mode = stdlib_ssl.CERT_REQUIRED
    anyone.verify_flags |= stdlib_ssl.VERIFY_X509_PARTIAL_CHAIN
    load_authorities(anyone, cert_file)
    try:
        _greet(context, anyone)
    except stdlib_ssl.SSLCertVerificationError as error:
        log.warning("TLS: clients will refuse the certificate in %s: %s", cert_file, error.verify_message)


def _greet(server: ssl.SSLContext, client: stdlib_ssl.SSLContext) -> stdlib_ssl.SSLObject:
    """A handshake in memory, up to where the client has judged the certificate. Raises SSLError if it refuses."""
    up, down = stdlib_ssl.MemoryBIO(), stdlib_ssl.MemoryBIO()
    asking = client.wrap_bio(down, up)
    for side in (asking, server.wrap_bio(up, down, server_side=True), asking):
        with contextlib.suppress(stdlib_ssl.SSLWantReadError):
            side.do_handshake()
    return asking
