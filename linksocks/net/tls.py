"""TLS towards a server: verification is on, always."""

from __future__ import annotations

import ssl as stdlib_ssl

from gevent import socket, ssl

from linksocks.errors import ConfigError, LinkError


def client_context(ca_file: str = "") -> ssl.SSLContext:
    """Trusts the system's authorities, or those in `ca_file` (PEM) alone. Raises ConfigError for a bad file."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
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
        return context.wrap_socket(sock, server_hostname=server_name)
    except stdlib_ssl.SSLCertVerificationError as error:
        raise LinkError(
            f"TLS: the certificate of {server_name} is not trusted ({error.verify_message}); "
            "if it is your own authority's, name its file with --ca-file"
        ) from error
    except (OSError, ValueError) as error:
        raise LinkError(f"TLS: {server_name}: {getattr(error, 'reason', None) or error}") from error
