"""TLS towards a server: what a client asks of the server's certificate, and which one of its own it shows.

========================  =========================================================================
said                      what the server's certificate must be
========================  =========================================================================
nothing                   valid, for the name, and of one of the system's authorities
`ca_file`                 the same, of one of the authorities in that file
`pin`                     the very one; authorities, name and dates do not count
`ca_file` and `pin`       both
`insecure`                anything
========================  =========================================================================
"""

from __future__ import annotations

import ssl as stdlib_ssl
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from gevent import socket, ssl

from linksocks.errors import ConfigError, LinkError
from linksocks.net.sockets import own
from linksocks.net.tls.context import (
    fingerprint,
    load_authorities,
    load_pair,
    new_context,
    reason_of,
    spelled,
)

_NAME: Final = "use a name or address that stands in the certificate, or say it with --tls-server-name"
_TIME: Final = "the server needs a valid one, or a clock is wrong: this machine's or that of who made it"
_AUTHORITY: Final = "if it is your own authority's, name the authority's file with --ca-file"

_ADVICE: Final = {9: _TIME, 10: _TIME, 62: _NAME, 64: _NAME}
"""By OpenSSL's X509_V_ERR_*: not yet valid, expired, wrong host name, wrong address."""

_OURS: Final = "the server does not take our client certificate"

_ALERTS: Final = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server asks for a client certificate: give --tls-client-cert",
    "TLSV1_ALERT_UNKNOWN_CA": _OURS,
    "SSLV3_ALERT_BAD_CERTIFICATE": _OURS,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": _OURS,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _OURS,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _OURS,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server refuses; it may ask for a client certificate, or for other ciphers",
}
"""What servers say when they refuse us."""


@dataclass(frozen=True, kw_only=True)
class Trust:
    """See the table at the top of this module."""

    ca_file: str = ""
    """PEM."""
    insecure: bool = False
    pin: str = ""
    """The fingerprint: SHA-256 in 64 small hex digits."""
    client_cert: str = ""
    """PEM, what we show to servers that ask for it, with the key in `client_key`."""
    client_key: str = ""


class TlsClient:
    """TLS to servers by the rules of `trust`. Raises ConfigError for what can't be read or be together."""

    def __init__(self, trust: Trust | None = None) -> None:
        self._trust = trust or Trust()
        if self._trust.insecure and (self._trust.ca_file or self._trust.pin):
            other = "--ca-file" if self._trust.ca_file else "--tls-pin"
            raise ConfigError(f"{other}: has no effect with --insecure, which checks nothing; leave one out")
        # Without files nothing can be wrong, and a server without TLS needs no context: see _system_context.
        self._context = _context(self._trust) if self._trust != Trust() else None

    def elsewhere(self) -> TlsClient:
        """For another host than the one that the user named: it does not get our certificate."""
        if not self._trust.client_cert:
            return self
        return TlsClient(replace(self._trust, client_cert="", client_key=""))

    def wrap(self, sock: socket.socket, server_name: str) -> ssl.SSLSocket:
        """TLS over `sock` to the server of that name. Raises LinkError.

        The deadline is the caller's.
        """
        context = self._context or _system_context()
        try:
            wrapped = own(
                context.wrap_socket(sock, server_hostname=server_name, do_handshake_on_connect=False)
            )
        except (OSError, ValueError) as error:
            raise LinkError(f"TLS: {server_name}: {error}") from error
        try:
            wrapped.do_handshake()
            self._check_pin(wrapped, server_name)
        except BaseException as error:
            wrapped.close()  # `sock` has given up its descriptor
            if isinstance(error, OSError):
                raise explained(error, server_name) from error
            raise
        return wrapped

    def _check_pin(self, wrapped: ssl.SSLSocket, server_name: str) -> None:
        found = fingerprint(wrapped.getpeercert(binary_form=True) or b"")
        if self._trust.pin and found != self._trust.pin:
            raise LinkError(
                f"TLS: the certificate of {server_name} is not the pinned one: expected SHA-256 "
                f"{spelled(self._trust.pin)}, found {spelled(found)}; if its operator has changed it, "
                "change --tls-pin"
            )


def explained(error: OSError, server_name: str) -> LinkError:
    """What a TLS connection failed with, and what to do."""
    if isinstance(error, stdlib_ssl.SSLCertVerificationError):
        advice = _ADVICE.get(error.verify_code, _AUTHORITY)
        return LinkError(
            f"TLS: the certificate of {server_name} is not trusted ({error.verify_message}); {advice}"
        )
    alert = _ALERTS.get(getattr(error, "reason", None) or "")
    if alert:
        return LinkError(f"TLS: {server_name}: {alert}")
    return LinkError(
        f"TLS: {server_name}: {reason_of(error)}; does it speak TLS on this port, or is its URL ws://?"
    )


@cache
def _system_context() -> ssl.SSLContext:
    """One for all clients: it takes 24 ms to read the system's authorities, and nobody else runs meanwhile."""
    return _context(Trust())


def _context(trust: Trust) -> ssl.SSLContext:
    context = new_context(stdlib_ssl.PROTOCOL_TLS_CLIENT)
    if trust.ca_file:
        load_authorities(context, trust.ca_file)
    elif trust.insecure or trust.pin:
        context.check_hostname = False
        context.verify_mode = stdlib_ssl.CERT_NONE
    else:
        context.load_default_certs()
    if trust.client_cert:
        load_pair(context, trust.client_cert, trust.client_key)
    return context
