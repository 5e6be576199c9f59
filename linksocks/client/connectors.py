"""The connector tokens of a provider: asked of the server, and asked again on each new link (PROTOCOL section 3.1).

A server knows a token until it restarts, or until it thinks that the provider is gone. So every link that is made
says all tokens again, and a server that still has them is expected to say yes, or that it has them: LinkSocks (Go)
does the latter for a provider that logged in by its URL. And who leaves takes them back: until the server forgets
them, and Go's never does, nobody else could add them, not even the same provider started anew.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Final, cast

import gevent
from gevent.event import AsyncResult
from gevent.lock import Semaphore

from linksocks.errors import ConnectorError
from linksocks.net.greenlets import within
from linksocks.tunnel.channels.link import Handler, Link
from linksocks.wire import messages as m

ANSWER_TIMEOUT: Final = 10.0
"""Seconds for the server's answer."""

_FAREWELL: Final = 2.0
"""Seconds for taking all tokens back."""

_KNOWN: Final = re.compile("already exists|Failed to add connector token")
"""What a server says of a token that it has; the latter is pywssocks, which has no other words for any reason."""

_LOST: Final = "the link was lost"

log = logging.getLogger("linksocks.client")


class Connectors:
    """`tokens` and those that are added later. `pick` gives the link to ask on, or raises DialError."""

    def __init__(self, tokens: Iterable[str], pick: Callable[[], Link]) -> None:
        self._pick = pick
        self._tokens = dict.fromkeys(tokens)  # in order
        self._granted: set[str] = set()  # those that the server let us have: they are ours to take back
        self._settled = not self._tokens  # the server took those of the beginning once
        self._turn = Semaphore()  # one thing at a time: else a token that is removed could be said again
        self._asked: dict[m.ChannelId, tuple[Link, AsyncResult[m.ConnectorResponse]]] = {}

    @property
    def handlers(self) -> Mapping[int, Handler]:
        """For the links."""
        return {m.ConnectorResponse.type: self._on_response}

    def add(self, token: str = "") -> str:
        """Lets connectors in with `token`, or with one that the server makes up. Raises ConnectorError, DialError."""
        with self._turn:
            added = self._ask(self._pick(), token, m.Operation.ADD).token or token
            self._tokens[added] = None
            self._granted.add(added)
        return added

    def remove(self, token: str) -> None:
        """Lets them in no more. Raises ConnectorError, DialError."""
        with self._turn:
            self._ask(self._pick(), token, m.Operation.REMOVE)
            self._tokens.pop(token, None)
            self._granted.discard(token)

    def replay(self, link: Link) -> None:
        """Says all tokens on a new link. Raises ConnectorError for those of the beginning, until the server took
        them once; later it only logs."""
        with self._turn:
            for token in list(self._tokens):
                try:
                    self._ask(link, token, m.Operation.ADD)
                    self._granted.add(token)
                except ConnectorError as error:
                    if not link.alive:
                        return  # the next link says them again
                    if not self._settled:
                        raise
                    level = logging.INFO if _KNOWN.search(str(error)) else logging.WARNING
                    log.log(level, "%s", error)
            if not self._settled:
                self._settled = True
                log.info("the server lets connectors in")

    def withdraw(self, link: Link) -> None:
        """Takes back what the server let us have."""
        with within(_FAREWELL), self._turn:
            for token in list(self._granted):
                try:
                    self._ask(link, token, m.Operation.REMOVE)
                except ConnectorError as error:
                    log.info("%s", error)

    def lost(self, link: Link) -> None:
        """`link` has ended: it brings no answers any more."""
        for asked, answer in list(self._asked.values()):
            if asked is link and not answer.ready():
                answer.set(m.ConnectorResponse(m.NO_ID, False, _LOST))

    def _ask(self, link: Link, token: str, operation: m.Operation) -> m.ConnectorResponse:
        failed = f"the server did not {operation.name.lower()} a connector token"
        if not link.alive:  # nobody would tell us any more that it is lost
            raise ConnectorError(f"{failed}: {_LOST}")
        request = m.Connector(uuid.uuid4().bytes, token, operation)
        answer: AsyncResult[m.ConnectorResponse] = AsyncResult()
        self._asked[request.channel] = link, answer
        try:
            link.send(request)
            silence = ConnectorError(
                f"{failed}: no answer in {ANSWER_TIMEOUT:g} s; it may not know such tokens"
            )
            with gevent.Timeout(ANSWER_TIMEOUT, silence):
                response = cast(m.ConnectorResponse, answer.get())
        finally:
            del self._asked[request.channel]
        if not response.success:
            raise ConnectorError(f"{failed}: {_without(token, response.error) or 'it does not say why'}")
        return response

    def _on_response(self, message: m.ConnectorResponse) -> None:
        """An answer that nobody waits for any more is dropped."""
        _, answer = self._asked.get(message.channel, (None, None))
        if answer is not None and not answer.ready():
            answer.set(message)


def _without(token: str, text: str) -> str:
    """A server that repeats the token in its error must not bring it into a log."""
    return text.replace(token, "***") if token else text
