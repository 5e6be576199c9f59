"""Who is connected: the clients of a server, each with its links.

A client is one instance that came with one token; with several links, and over all its reconnects, it stays the
same one and keeps its id.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gevent.event import Event

from linksocks.server.accounts import Accounts
from linksocks.server.tokens import Token
from linksocks.tunnel.channels.limits import Account
from linksocks.tunnel.channels.link import Link


@dataclass(eq=False, slots=True)
class Client:
    """One client, while it has links."""

    id: str
    token: Token
    instance: bytes
    account: Account
    """What its links share."""
    links: dict[Link, float] = field(default_factory=dict)
    """With the time at which each began, in seconds since the epoch."""


class Clients:
    """All clients that have a link now."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._clients: dict[str, Client] = {}
        self._nobody = Event()
        self._nobody.set()

    @contextmanager
    def present(self, link: Link, token: Token, instance: bytes) -> Iterator[Client]:
        """That client; inside, `link` is one of its. It has the account that `account` gave, a moment ago."""
        name = _id(token, instance)
        client = self._clients.setdefault(name, Client(name, token, instance, link.account))
        client.links[link] = time.time()
        token.links.add(link)
        self._nobody.clear()
        try:
            yield client
        finally:
            token.links.discard(link)
            del client.links[link]
            if not client.links:
                del self._clients[name]
            if not self._clients:
                self._nobody.set()

    def account(self, token: Token, instance: bytes) -> Account:
        """For a new link of that client: the one that its other links have, if there are any."""
        client = self._clients.get(_id(token, instance))
        return client.account if client else self._accounts.open(token)

    def change_limits(self, token: Token) -> None:
        """Holds those with this token to its limits, which are others now."""
        self._accounts.change(token, [client.account for client in self if client.token is token])

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._clients.values()))

    def __len__(self) -> int:
        return len(self._clients)

    def find(self, name: str) -> Client | None:
        """The client with this id."""
        return self._clients.get(name)

    @property
    def links(self) -> list[Link]:
        """Those of all clients."""
        return [link for client in self for link in client.links]

    def await_nobody(self, timeout: float) -> None:
        """Waits `timeout` seconds at most until all have left."""
        self._nobody.wait(timeout)


def _id(token: Token, instance: bytes) -> str:
    """Not the instance alone: that is the client's choice, and two tokens make two clients."""
    return hashlib.sha256(token.spec.fingerprint.encode() + instance).hexdigest()[:16]
