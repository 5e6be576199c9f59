"""Where clients come in: from a WebSocket through its login to the end of its link."""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial

from linksocks.errors import AuthError, LinkClosed, LinkError
from linksocks.net.ws.accept import Accepted
from linksocks.net.ws.websocket import WebSocket
from linksocks.server.accounts import Accounts
from linksocks.server.clients import Clients
from linksocks.server.grants import Manage, may_not_manage
from linksocks.server.groups import Group
from linksocks.server.login import Login, TooManyLinksError, log_in
from linksocks.server.tokens import Token, TokenTable
from linksocks.tunnel.channels.limits import Account
from linksocks.tunnel.channels.link import Acceptor, Link
from linksocks.tunnel.channels.terms import Terms, offered
from linksocks.tunnel.events import LinkDown, LinkUp, Observers
from linksocks.wire import messages as m
from linksocks.wire.frames import CloseCode

log = logging.getLogger("linksocks.server")


class Reception:
    """Lets in whom `tokens` let in; who is in is one of `clients`. `max_window`: bytes held for one channel."""

    def __init__(self, tokens: TokenTable, accounts: Accounts, clients: Clients, max_window: int) -> None:
        self._tokens = tokens
        self._accounts = accounts
        self._clients = clients
        self._max_window = max_window
        self.extensions = offered(max_window)
        """What we accept of those that clients offer."""
        self.observers = Observers()
        """Hear of each link's beginning and end, by its client's role and id, as the API has it, and its address."""
        self.refused: Counter[str] = Counter()
        """Logins, by a word for the reason."""
        self._closed = False

    def close(self) -> None:
        """Nobody comes in any more, also who is at its login already."""
        self._closed = True

    def receive(self, accepted: Accepted) -> None:
        """A WebSocket's whole life, in its own greenlet."""
        name = accepted.websocket.name
        try:
            login = log_in(accepted, self._tokens, self._accounts.limits)
        except LinkError as error:
            self.refused[_reason(error)] += 1
            log.warning("%s: refused: %s", name, error)
            return
        except LinkClosed as error:
            log.info("%s: left before its login: %s", name, error)
            return
        if self._is_late(accepted.websocket, login.token):
            return
        accepted.admitted()
        account = self._clients.account(login.token, login.instance)
        terms = Terms(login.version, self.extensions.agreed(accepted.offered), self._max_window)
        make = partial(_link, accepted.websocket, terms, account)
        with login.token.grant.admit(make, login.instance) as link:
            self._hold(link, login)

    def _is_late(self, websocket: WebSocket, token: Token) -> bool:
        """Whether the server stops, or the token went, while its client was at the login, which may wait. It is told
        as those are who were in: nobody else would do it."""
        if self._closed:
            code, reason = CloseCode.GOING_AWAY, "the server is stopping"
        elif self._tokens.get(token.spec.fingerprint) is not token:
            code, reason = CloseCode.POLICY, "token removed"
        else:
            return False
        log.info("%s: not let in: %s", websocket.name, reason)
        websocket.close(code, reason)
        return True

    def _hold(self, link: Link, login: Login) -> None:
        """From the login to the end of the link."""
        role = login.token.grant.client
        log.info("%s: %s logged in", link.name, role)
        up: LinkUp | None = None
        reason = "the server was stopped"
        try:
            with self._clients.present(link, login.token, login.instance) as client:
                up = LinkUp(f"{role} {client.id} at {link.name}")
                self.observers.tell(up)
                link.run()
        except LinkClosed as error:
            reason = str(error)
            log.info("%s: %s left: %s", link.name, role, error)
        finally:
            if up is not None:
                self.observers.tell(LinkDown(up.name, reason))


def _link(
    websocket: WebSocket,
    terms: Terms,
    account: Account,
    acceptor: Acceptor,
    group: Group | None = None,
    manage: Manage = may_not_manage,
) -> Link:
    """See MakeLink."""

    def on_connector(message: m.Connector) -> None:
        link.send(manage(message))

    def on_log(message: m.Log) -> None:
        link.show(message)
        if group is not None:
            group.pass_on(message, link)

    link = Link(websocket, terms, acceptor, {m.Connector.type: on_connector, m.Log.type: on_log}, account)
    return link


def _reason(error: LinkError) -> str:
    """A word for why a login was refused."""
    match error:
        case AuthError():
            return "token"
        case TooManyLinksError():
            return "links"
        case _:
            return "no_login"
