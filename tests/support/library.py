"""The library as a program uses it, server and client in the test's own process, without a hub in its thread."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace


@contextmanager
def joined() -> Iterator[SimpleNamespace]:
    """A client with a link to a server, and without a SOCKS port."""
    yield SimpleNamespace(create_connection=socket.create_connection)
