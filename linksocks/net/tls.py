"""TLS towards a server: verification is on, always."""

from __future__ import annotations

import ssl as stdlib_ssl
from typing import Final

from gevent import socket, ssl

from linksocks.errors import ConfigError, LinkError

_NAME: Final = "use a name or address that stands in the certificate"
_TIME: Final = "the server needs a valid one, or a clock is wrong: this machine's or that of who made it"

_ADVICE: Final = {9: _TIME, 10: _TIME, 62: _NAME, 64: _NAME}
"""By OpenSSL's X509_V_ERR_*: not yet valid, expired, wrong host name, wrong address."""


def client_context(ca_file: str = "") -> ssl.SSLContext:
    """Trusts the system's authorities, or those in `ca_file` (PEM) alone. Raises ConfigError for a bad file."""
    # Not create_default_context: gevent.ssl's is the standard library's, whose sockets block the hub.
    context = ssl.SSLContext(stdlib_ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca_file:
            context.load_verify_locations(cafile=ca_file)
        else:
            context.load_default_certs()
    except (OSError, stdlib_ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"CA file {ca_file}: expected a readable file of PEM certificates: {reason}"
        ) from error
    context.minimum_version = stdlib_ssl.TLSVersion.TLSv1_2
    return context


def wrap_client(sock: socket.socket, context: ssl.SSLContext, server_name: str) -> ssl.SSLSocket:
    """TLS over `sock`, with the certificate checked for `server_name`. Raises LinkError.

    The deadline is the caller's.
    """
    try:
        wrapped = context.wrap_socket(sock, server_hostname=server_name, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        raise LinkError(f"TLS: {server_name}: {error}") from error
    try:
        wrapped.do_handshake()
    except BaseException as error:
        wrapped.close()  # `sock` has given up its descriptor
        if isinstance(error, OSError):
            raise _explained(error, server_name) from error
        raise
    return wrapped


def _explained(error: OSError, server_name: str) -> LinkError:
    if isinstance(error, stdlib_ssl.SSLCertVerificationError):
        advice = _ADVICE.get(
            error.verify_code, "if it is your own authority's, name the authority's file with --ca-file"
        )
        return LinkError(
            f"TLS: the certificate of {server_name} is not trusted ({error.verify_message}); {advice}"
        )
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    return LinkError(f"TLS: {server_name}: {reason}; does it speak TLS on this port, or is its URL ws://?")
