"""The TLS handshake of a connection to our server, most of them with strangers: a deadline, and one line on failure.

How many there are at once is the lobby's to bound.
"""

from __future__ import annotations

import contextlib
import logging
import ssl as stdlib_ssl
from typing import Final

import gevent
from gevent import socket, ssl

from linksocks.net.sockets import end_politely, own
from linksocks.net.tls.context import reason_of

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds for one."""

_LINGER: Final = 1.0
"""Seconds in which a client that failed can read why."""

_PLAIN: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    b"Content-Length: 58\r\n\r\nBad Request: this port speaks TLS: use wss:// or https://\n"
)
"""What a client with plain HTTP gets."""

_DISTRUST: Final = "does not trust our certificate"

_WORDS: Final = {
    "HTTP_REQUEST": "sent plain HTTP; clients of this port need wss:// or https:// URLs",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "showed no client certificate",
    "WRONG_VERSION_NUMBER": "did not speak TLS",
    "TLSV1_ALERT_UNKNOWN_CA": _DISTRUST,
    "SSLV3_ALERT_BAD_CERTIFICATE": _DISTRUST,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "does not take our certificate: it has expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _DISTRUST,
}
"""By OpenSSL's reason."""

log = logging.getLogger(__name__)


def accept_tls(sock: socket.socket, context: ssl.SSLContext, name: str) -> ssl.SSLSocket | None:
    """TLS over `sock`, which is given up; None when there was a failure, which is in the log then."""
    try:
        wrapped = own(context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False))
    except OSError:  # reset before its turn came
        return None
    done = False
    try:
        with gevent.Timeout(HANDSHAKE_TIMEOUT, TimeoutError(f"no handshake in {HANDSHAKE_TIMEOUT:g} s")):
            wrapped.do_handshake()
        done = True
    except OSError as error:
        _part(wrapped, name, error)
    finally:
        if not done:
            wrapped.close()
    return wrapped if done else None


def _part(wrapped: ssl.SSLSocket, name: str, error: OSError) -> None:
    """Says why, to us and to the client."""
    if isinstance(error, TimeoutError):
        log.info("TLS: %s: %s", name, error)
    elif not isinstance(error, stdlib_ssl.SSLError) or isinstance(error, stdlib_ssl.SSLEOFError):
        log.debug("TLS: %s left in the handshake", name)  # a probe of the port, or who gave up
    else:
        log.info("TLS: %s %s", name, _words(error))
        if error.reason == "HTTP_REQUEST":
            with contextlib.suppress(OSError):
                socket.socket.send(wrapped, _PLAIN)  # the plain socket's method
        end_politely(wrapped, _LINGER)


def _words(error: stdlib_ssl.SSLError) -> str:
    if isinstance(error, stdlib_ssl.SSLCertVerificationError):
        return f"showed a client certificate that is not trusted: {error.verify_message}"
    return _WORDS.get(error.reason or "") or f"failed: {reason_of(error)}"
