"""The TLS handshakes of a server's port, most of them with strangers.

Each runs in the greenlet of its connection and has a deadline. There are MAX_HANDSHAKES at once: one more ends the
oldest, as an honest one takes two round trips, and who holds many open has the oldest ones. A failure is one line.
"""

from __future__ import annotations

import contextlib
import logging
import ssl as stdlib_ssl
from typing import Final

import gevent
from gevent import socket, ssl

from linksocks.net.certificate import Certificate
from linksocks.net.sockets import cut, end_politely
from linksocks.net.tls import reason_of

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds for one."""

MAX_HANDSHAKES: Final = 256

_LINGER: Final = 1.0
"""Seconds in which a client that failed can read why."""

_PLAIN: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    b"Content-Length: 58\r\n\r\nBad Request: this port speaks TLS: use wss:// or https://\n"
)
"""What a client with plain HTTP gets."""

_WORDS: Final = {
    "HTTP_REQUEST": "sent plain HTTP; clients of this port need wss:// or https:// URLs",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "showed no client certificate",
    "WRONG_VERSION_NUMBER": "did not speak TLS",
    "TLSV1_ALERT_UNKNOWN_CA": "does not trust our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "does not trust our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "does not take our certificate: it has expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "does not trust our certificate",
}
"""By OpenSSL's reason."""

log = logging.getLogger(__name__)


class Handshakes:
    """Handshakes with `certificate`."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate
        self._going: dict[ssl.SSLSocket, None] = {}  # the oldest first

    def perform(self, sock: socket.socket, name: str) -> ssl.SSLSocket | None:
        """TLS over `sock`, which is given up; None when there was a failure, which is in the log."""
        try:
            wrapped = self._certificate.context().wrap_socket(
                sock, server_side=True, do_handshake_on_connect=False
            )
        except OSError:  # reset before its turn came
            return None
        self._make_room()
        self._going[wrapped] = None
        done = False
        try:
            with gevent.Timeout(HANDSHAKE_TIMEOUT, TimeoutError(f"no handshake in {HANDSHAKE_TIMEOUT:g} s")):
                wrapped.do_handshake()
            done = True
        except OSError as error:
            self._part(wrapped, name, error)
        finally:
            self._going.pop(wrapped, None)
            if not done:
                wrapped.close()
        return wrapped if done else None

    def _make_room(self) -> None:
        if len(self._going) >= MAX_HANDSHAKES:
            oldest = next(iter(self._going))
            del self._going[oldest]
            cut(oldest)
            log.info("TLS: %d handshakes at once: ended the oldest", MAX_HANDSHAKES)

    def _part(self, wrapped: ssl.SSLSocket, name: str, error: OSError) -> None:
        """Says why, to us and to the client."""
        if not isinstance(error, stdlib_ssl.SSLError) or isinstance(error, stdlib_ssl.SSLEOFError):
            if isinstance(error, TimeoutError):
                log.info("TLS: %s: %s", name, error)
            else:  # a probe of the port, or who gave up
                log.debug("TLS: %s left in the handshake", name)
            return
        if isinstance(error, stdlib_ssl.SSLCertVerificationError):
            log.info("TLS: %s: its client certificate is not trusted: %s", name, error.verify_message)
        else:
            words = _WORDS.get(error.reason or "") or f"failed: {reason_of(error)}"
            log.info("TLS: %s %s", name, words)
        if error.reason == "HTTP_REQUEST":
            with contextlib.suppress(OSError):
                socket.socket.send(wrapped, _PLAIN)  # the plain socket's method
        end_politely(wrapped, _LINGER)
