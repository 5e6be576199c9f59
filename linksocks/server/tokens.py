"""The tokens that a server accepts, found by a hash of their hash: a wrong guess takes as long as a near one."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from linksocks.errors import ConfigError
from linksocks.server.groups import Group
from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.gate import Gate
from linksocks.tunnel.limits import Rates
from linksocks.tunnel.link import Acceptor, Link
from linksocks.wire import messages as m
from linksocks.wire.auth import fingerprint, token_hash
from linksocks.wire.frames import CloseCode

RESERVED: Final = "anonymous"
"""What a client without a token calls itself (PROTOCOL section 2.2)."""

Manage: TypeAlias = Callable[[m.Connector], m.ConnectorResponse]
"""Answers a provider that adds or removes a connector token."""


def may_not_manage(message: m.Connector) -> m.ConnectorResponse:
    """The answer to all others."""
    return m.ConnectorResponse(message.channel, False, "this token may not manage connector tokens")


class MakeLink(Protocol):
    """Gives a client its link; what it logs is passed on in `group`, `manage` answers its Connector messages."""

    def __call__(
        self, acceptor: Acceptor, group: Group | None = None, manage: Manage = may_not_manage, /
    ) -> Link: ...


class Grant:
    """What a token lets a client do."""

    client: str
    """What its client is, in a word."""
    reverse = False
    """Whether it is a provider."""
    gate: Gate
    """With the token's access rules."""

    @property
    def port(self) -> int | None:
        """The one for applications, where there is one."""
        return None

    @property
    def waiting(self) -> int:
        """How many channels wait for a provider of this token now."""
        return 0

    def change(self, spec: TokenSpec) -> None:
        """Grants what `spec` says, to what begins from now on. Raises ListenError, and nothing has changed."""
        self.gate.own = spec.rules

    def prepare(self) -> None:
        """Before the client is told that it is in. Raises ListenError."""

    def admit(self, make: MakeLink, instance: bytes) -> AbstractContextManager[Link]:
        """The client's link; inside the context it takes part. `instance` names the client."""
        raise NotImplementedError

    def dial(self, _host: str, _port: int, _timeout: float | None) -> int:
        """The descriptor of a socket that is connected through one of its providers.

        Raises DialError, and ConfigError for a token through which the server itself can't dial.
        """
        raise ConfigError(
            "expected a reverse token with a port: only through its providers can the server dial"
        )

    def drain(self, grace: float) -> None:
        """Opens nothing new, and waits `grace` seconds at most for the end of what there is, longer only for what is
        on its way already."""

    def stop(self) -> None:
        """Ends all that is only this grant's."""


@dataclass(eq=False, slots=True)
class Token:
    """An accepted token: what it grants, and the links that it let in. It goes when `parent` goes."""

    spec: TokenSpec
    grant: Grant
    parent: Grant | None
    links: set[Link] = field(default_factory=set)
    rates: Rates | None = None
    """What its clients share, once there was one and if there is a limit."""


class TokenTable:
    """All tokens of a server, by their fingerprints."""

    def __init__(self) -> None:
        # A dict finds a key faster the less of it is unlike. The keys are made with a secret of this process,
        # so how long a look-up takes tells nothing about them.
        self._secret = secrets.token_bytes(32)
        self._tokens: dict[bytes, Token] = {}
        self._children: dict[Grant, set[Token]] = {}

    def __iter__(self) -> Iterator[Token]:
        return iter(list(self._tokens.values()))

    def check(self, spec: TokenSpec) -> None:
        """Raises ConfigError when it can't be added."""
        if not spec.known_by and spec.token in ("", RESERVED):
            raise ConfigError(f"a token can't be empty or {RESERVED!r}, which is reserved")
        if self.get(spec.fingerprint) is not None:
            raise ConfigError(
                "connector token already exists" if spec.kind is Kind.CONNECTOR else "token already exists"
            )

    def add(self, spec: TokenSpec, grant: Grant, parent: Grant | None = None) -> Token:
        """Accepts a token. Raises ConfigError."""
        self.check(spec)
        accepted = self._tokens[self._key(spec.fingerprint)] = Token(spec, grant, parent)
        if parent is not None:
            self._children.setdefault(parent, set()).add(accepted)
        return accepted

    def find(self, digest: str) -> Token | None:
        """The token whose hash is `digest`, as it stands in a URL."""
        return self.get(fingerprint(digest))

    def get(self, known_by: str) -> Token | None:
        """The token with this fingerprint."""
        token = self._tokens.get(self._key(known_by))
        if token is None or not hmac.compare_digest(token.spec.fingerprint, known_by):
            return None
        return token

    def children(self, grant: Grant) -> int:
        """How many tokens go with `grant`."""
        return len(self._children.get(grant, ()))

    def named(self, name: str) -> Token | None:
        """The token that an operator calls so, by its text or by its label."""
        return self.find(token_hash(name)) or next((each for each in self if each.spec.label == name), None)

    def remove(self, token: Token) -> None:
        """Accepts `token` no more, nor those that it is the parent of, and ends what they let in."""
        gone = [token, *self._children.pop(token.grant, ())]
        for each in gone:
            self._tokens.pop(self._key(each.spec.fingerprint), None)
            if each.parent is not None:
                self._children.get(each.parent, set()).discard(each)
        for each in gone:
            each.grant.stop()
            for link in list(each.links):
                link.close(CloseCode.POLICY, "token removed")

    def _key(self, known_by: str) -> bytes:
        return hashlib.blake2b(known_by.encode(), key=self._secret).digest()
