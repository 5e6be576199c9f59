"""Providers that manage their own connector tokens (PROTOCOL section 3.1, autonomy).

Each instance of a provider has a group and tokens of its own, and touches no others. They outlive its links for
ABSENCE: a provider that comes back finds them as they were, and its connectors never left.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from linksocks.errors import ConfigError
from linksocks.net.greenlets import Greenlet, at_once, spawn_later
from linksocks.server.grants import Connector, Grant, MakeLink
from linksocks.server.groups import Group
from linksocks.server.specs import Kind, TokenSpec
from linksocks.server.tokens import Token, TokenTable
from linksocks.tunnel.channels.link import NOBODY, Link
from linksocks.tunnel.gate import Gate
from linksocks.wire import messages as m
from linksocks.wire.auth import token_hash

ABSENCE: Final = 30.0
"""Seconds without a link after which a provider is gone for good, and its connector tokens with it."""

MAX_TOKENS: Final = 1000
"""Connector tokens of one provider."""

MAX_ALL_TOKENS: Final = 20_000
"""Connector tokens of all providers of one reverse token: instances cost nothing to make up."""


class Autonomy(Grant):
    """The grant of a reverse token whose providers manage their connector tokens. It has no port."""

    client = "provider"
    reverse = True

    def __init__(self, tokens: TokenTable, gather: Callable[[], Group], gate: Gate) -> None:
        """`gather` makes a group for a provider."""
        self.gate = gate
        self._tokens = tokens
        self._gather = gather
        self._providers: dict[bytes, _Provider] = {}

    @property
    def waiting(self) -> int:
        """See Grant."""
        return sum(provider.group.waiting for provider in self._providers.values())

    @contextmanager
    def admit(self, make: MakeLink, instance: bytes) -> Iterator[Link]:
        """See Grant."""
        provider = self._providers.get(instance)
        if provider is None:
            provider = _Provider(self, self._tokens, self._gather(), self._give_up)
            self._providers[instance] = provider
        provider.stay()
        link = make(NOBODY, provider.group, provider.manage)
        try:
            with provider.group.provider(link, instance):
                yield link
        finally:
            if not provider.group.providers and self._providers.get(instance) is provider:
                provider.leave(lambda: self._forget(instance))

    def drain(self, grace: float) -> None:
        """See Grant."""
        at_once(*(partial(each.group.switch.drain, grace) for each in self._providers.values()))

    def stop(self) -> None:
        """See Grant. Their connector tokens are not ended here: they are this token's children."""
        providers, self._providers = self._providers, {}
        for provider in providers.values():
            provider.stop()

    def _give_up(self, digest: str) -> bool:
        """Whether a token is free again that belonged to a provider which is not there.

        It died and was started anew, as another instance: who knows both tokens of a provider takes its place.
        """
        return any(
            not provider.group.providers and provider.lose(digest) for provider in self._providers.values()
        )

    def _forget(self, instance: bytes) -> None:
        self._providers.pop(instance).end()


class _Provider:
    """One instance: its links are in `group`, its connector tokens are children of `grant`."""

    def __init__(
        self, grant: Grant, tokens: TokenTable, group: Group, give_up: Callable[[str], bool]
    ) -> None:
        self.group = group
        self._give_up = give_up
        self._grant = grant
        self._tokens = tokens
        self._own: dict[str, Token] = {}  # by the hash
        self._leaving: Greenlet | None = None

    def stay(self) -> None:
        """It has a link again."""
        if self._leaving is not None:
            self._leaving.kill(block=False)
            self._leaving = None

    def leave(self, forget: Callable[[], None]) -> None:
        """It has no link any more: `forget` comes after ABSENCE, at once where there is nothing to keep."""
        if self._own:
            self._leaving = spawn_later("forget a provider", ABSENCE, forget)
        else:
            forget()

    def stop(self) -> None:
        """Ends its channels."""
        self.stay()
        self.group.switch.stop()

    def end(self) -> None:
        """Its tokens go, and whom they let in."""
        self.stop()
        for token in self._own.values():
            self._tokens.remove(token)
        self._own.clear()

    def manage(self, message: m.Connector) -> m.ConnectorResponse:
        """Does what the provider asks for. Saying it twice does no harm: it may have reconnected."""
        act = _OPERATIONS[message.operation]
        try:
            return m.ConnectorResponse(message.channel, True, token=act(self, message.token))
        except ConfigError as error:
            return m.ConnectorResponse(message.channel, False, str(error))

    def _add(self, token: str) -> str:
        token = token or secrets.token_hex(16)
        digest = token_hash(token)
        if digest in self._own and self._tokens.find(digest) is not self._own[digest]:
            del self._own[digest]  # an operator has removed it
        if digest not in self._own:
            if len(self._own) >= MAX_TOKENS:
                raise ConfigError(f"a provider may have {MAX_TOKENS} connector tokens")
            if self._tokens.children(self._grant) >= MAX_ALL_TOKENS:
                raise ConfigError(f"the providers of a token may have {MAX_ALL_TOKENS} connector tokens")
            if self._tokens.find(digest) is not None and not self._give_up(digest):
                raise ConfigError("connector token already exists")
            self._own[digest] = self._tokens.add(
                TokenSpec(Kind.CONNECTOR, token), Connector(self.group, self._grant.gate), self._grant
            )
        return token

    def _remove(self, token: str) -> str:
        if not self.lose(token_hash(token)):
            raise ConfigError("this provider has no such connector token")
        return token

    def lose(self, digest: str) -> bool:
        """A token goes, and whom it let in. Whether it was ours."""
        own = self._own.pop(digest, None)
        if own is not None:
            self._tokens.remove(own)
        return own is not None


_OPERATIONS: Final = {m.Operation.ADD: _Provider._add, m.Operation.REMOVE: _Provider._remove}
