"""Certificates of an authority of the test's own, as the PEM files that users have."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Any

import trustme


class Files:
    """A certificate with its chain, and its key, below `folder`."""

    def __init__(
        self, folder: Path, authority: trustme.CA, *names: str, stem: str = "server", **how: Any
    ) -> None:
        self.cert = folder / f"{stem}.pem"
        self.key = folder / f"{stem}-key.pem"
        self.ca = folder / f"{stem}-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self.issue(authority, *names or ("localhost", "127.0.0.1"), **how)

    def issue(self, authority: trustme.CA, *names: str, **how: Any) -> None:
        """Another certificate in the same files."""
        issued = authority.issue_cert(*names, **how)
        self.key.write_bytes(issued.private_key_pem.bytes())
        self.cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))

    @property
    def pair(self) -> tuple[str, str]:
        return str(self.cert), str(self.key)

    def serving(self) -> ssl.SSLContext:
        """For a server that shows the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.pair)
        return context

    def trusting(self) -> ssl.SSLContext:
        """For a client that takes what the authority has signed, and nothing else."""
        return ssl.create_default_context(cafile=self.ca)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the first certificate, in small hex digits."""
        first, end, _ = self.cert.read_text().partition("-----END CERTIFICATE-----")
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first + end + "\n")).hexdigest()
