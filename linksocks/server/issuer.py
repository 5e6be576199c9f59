"""Tokens that are made and removed while the server runs, and kept in the state file where there is one.

One change at a time, and each is done in both places or in none: a token is answered for once the file has it, and
a removed one is out of the file before it is out of the table, so that a process that dies between the two has not
said anything yet. Tokens that the settings declare are never in the file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from gevent.lock import BoundedSemaphore

from linksocks.errors import ConfigError, LinkSocksError, ListenError, StateError
from linksocks.server.specs import TokenSpec
from linksocks.server.store import Store
from linksocks.server.tokens import Token, TokenTable
from linksocks.wire.auth import fingerprint, token_hash

log = logging.getLogger("linksocks.server")


class Issuer:
    """Changes `tokens`; `add` is how the server accepts one. `path` names the state file, empty for none."""

    def __init__(self, tokens: TokenTable, add: Callable[[TokenSpec], Token], path: str = "") -> None:
        self._tokens = tokens
        self._add = add
        self._path = path
        self._store: Store | None = None
        self._change = BoundedSemaphore()

    def restore(self) -> None:
        """Opens the state file and accepts what it holds. Raises StateError, ListenError, and nothing has changed."""
        if not self._path:
            return
        self._store = Store(self._path)
        restored: list[Token] = []
        try:
            for spec in self._store.load():
                restored += self._restore(spec, self._store)
        except LinkSocksError:
            for token in restored:  # else the next try would take them for the settings'
                self._tokens.remove(token)
            self.close()
            raise

    def _restore(self, spec: TokenSpec, store: Store) -> list[Token]:
        """The token, where it was accepted."""
        if self._tokens.get(spec.fingerprint) is not None:
            store.forget(spec.fingerprint)  # else it would be back once the settings have it no more
            log.info("%s: %s is the settings' from now on: forgotten here", self._path, spec.label)
            return []
        try:
            return [self._add(spec)]
        except ConfigError as error:  # its reverse token was one of the settings, and may come back
            log.warning("%s: %s is left out: %s", self._path, spec.label, error)
            return []
        except ListenError as error:
            raise ListenError(f"{error}; the port belongs to {spec.label} in {self._path}") from error

    def issue(self, spec: TokenSpec) -> Token:
        """Accepts and keeps a token. Raises ConfigError or ListenError for one that can't be, StateError."""
        with self._change:
            token = self._add(spec)
            if self._store is not None:
                try:
                    self._store.add(_as_granted(token))
                except StateError:
                    self._tokens.remove(token)
                    raise
            log.info("a %s token was made: %s", spec.kind.value, spec.label)
            return token

    def revoke(self, name: str) -> bool:
        """Removes the token with this text or label, whoever made it, and its connector tokens.

        Whether there was one. Raises StateError, and it stays then.
        """
        with self._change:
            token = self._tokens.named(name)
            known_by = token.spec.fingerprint if token is not None else fingerprint(token_hash(name))
            kept = self._store is not None and self._store.remove(known_by)
            if token is not None:
                self._tokens.remove(token)
                log.info("a %s token was removed: %s", token.spec.kind.value, token.spec.label)
            return kept or token is not None

    def close(self) -> None:
        """Lets another process have the state file."""
        store, self._store = self._store, None
        if store is not None:
            store.close()


def _as_granted(token: Token) -> TokenSpec:
    """With the port that it got: applications speak to that one."""
    port = token.grant.port
    return token.spec if port is None else replace(token.spec, port=port)
