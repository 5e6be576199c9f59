"""The server: accepts links, and gives each client what its token grants."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final

from gevent.event import Event
from gevent.lock import RLock

from linksocks.errors import ClosedError, ConfigError, ListenError
from linksocks.metrics import Pages
from linksocks.net.carrier import Carrier
from linksocks.net.greenlets import at_once, until
from linksocks.net.listen import bind, listen
from linksocks.net.out.proxies import ProxyUrl
from linksocks.net.out.resolve import Resolver
from linksocks.net.out.upstream import egress
from linksocks.net.sockets import shown
from linksocks.net.tls.certificate import Certificate
from linksocks.net.ws.accept import UpgradeServer
from linksocks.net.ws.lobby import Lobby
from linksocks.server.accounts import Accounts
from linksocks.server.api import create_api
from linksocks.server.api.controls import Controls
from linksocks.server.clients import Clients
from linksocks.server.grantor import Grantor
from linksocks.server.grants import Grant
from linksocks.server.groups import CONNECTOR_WAIT
from linksocks.server.issuer import Issuer
from linksocks.server.ports import POOL, PortPool
from linksocks.server.reception import Reception
from linksocks.server.specs import TokenSpec
from linksocks.server.tokens import Token, TokenTable
from linksocks.server.web import create_app
from linksocks.tunnel.access import NO_RULES, AccessRules
from linksocks.tunnel.channels.limits import NO_LIMITS, Limits
from linksocks.tunnel.channels.tally import Figures
from linksocks.tunnel.ends.outbound import CONNECT_TIMEOUT, Outbound
from linksocks.tunnel.events import Observers
from linksocks.tunnel.gate import Gate
from linksocks.wire.auth import token_hash
from linksocks.wire.frames import CloseCode

_FAREWELL: Final = 5.0
"""Seconds for all links to end once they were told to."""

log = logging.getLogger("linksocks.server")


class ServerRole:
    """A server on `ws_host:ws_port`. Nobody gets in until there are tokens.

    `buffer_size`: bytes held for one channel. `socks_host` and `port_pool` are for the ports of reverse tokens, which
    open with the first provider, or with `socks_no_wait` at once; `fast_open` tells their applications that they are
    connected before they are. `connector_wait`: seconds that a connector's channel waits for a provider, which then
    has `connect_timeout` to dial, as the server itself. Targets are reached through `upstream`, where there is one.
    With a `certificate` clients need TLS. With `api_keys` there is the API, for whom has one of them; the tokens that
    it makes are kept in `state_file`. `dial_rules` hold for all that the server dials itself, `entry_rules` for its
    ports and for connectors whose token has no rules. `limits` hold for tokens that have none; `max_handshakes`
    connections may be at the door, `max_handshakes_of_one` of one host. What it does is shown at `metrics_address`,
    and to whom has an API key.
    """

    def __init__(  # noqa: PLR0913 - the settings of a server
        self,
        *,
        ws_host: str,
        ws_port: int,
        buffer_size: int,
        certificate: Certificate | None = None,
        socks_host: str = "127.0.0.1",
        port_pool: Sequence[int] = POOL,
        socks_no_wait: bool = False,
        fast_open: bool = False,
        connector_wait: float = CONNECTOR_WAIT,
        connect_timeout: float = CONNECT_TIMEOUT,
        upstream: ProxyUrl | None = None,
        dns_prefer_ipv4: bool = False,
        api_keys: Sequence[str] = (),
        state_file: str = "",
        dial_rules: AccessRules = NO_RULES,
        entry_rules: AccessRules = NO_RULES,
        limits: Limits = NO_LIMITS,
        max_handshakes: int = 1024,
        max_handshakes_of_one: int = 128,
        metrics_address: tuple[str, int] | None = None,
    ) -> None:
        self._address = (ws_host, ws_port)
        self._certificate = certificate
        self._tokens = TokenTable()
        self._socks_no_wait = socks_no_wait
        self._resolver = Resolver(prefer_ipv4=dns_prefer_ipv4)
        self._outbound = Outbound(egress(upstream, self._resolver), dial_rules, connect_timeout)
        self._entry = Gate(self._resolver, entry_rules)
        self._grantor = Grantor(
            tokens=self._tokens,
            resolver=self._resolver,
            outbound=self._outbound,
            entry=self._entry,
            ports=PortPool(socks_host, port_pool),
            fast_open=fast_open,
            connector_wait=connector_wait,
            connect_timeout=connect_timeout,
        )
        self._accounts = Accounts(limits)
        self._clients = Clients(self._accounts)
        self._reception = Reception(self._tokens, self._accounts, self._clients, buffer_size)
        self._lobby = Lobby(max_handshakes, max_handshakes_of_one)
        self.pages = Pages(self.figures, metrics_address)
        self._issuer = Issuer(self._tokens, self.add, state_file)
        self.controls = Controls(self._tokens, self._clients, self._issuer, self)
        """What the API can do."""
        self._api = create_api(self.controls, api_keys) if api_keys else None
        self._http: UpgradeServer | None = None  # until `start`
        self._turn = RLock()  # one at a time changes what is open: to look a host up may give way to others
        self._stopping = False
        self._stopped = Event()
        self.port = 0
        """The port that was opened, from `start` on."""

    # -- tokens

    def add(self, spec: TokenSpec) -> Token:
        """Accepts a token. Raises ConfigError for one that can't be, ListenError for its port, ClosedError."""
        with self._turn:
            if self._stopped.is_set():
                raise ClosedError("the server was stopped: make another one")
            self._tokens.check(spec)
            grant, parent = self._grantor.grant(spec)
            added = self._tokens.add(spec, grant, parent)
            if self._socks_no_wait:
                try:
                    grant.prepare()
                except ListenError:
                    self._tokens.remove(added)
                    raise
            return added

    def find(self, spec: TokenSpec) -> Token | None:
        """The same token as it is accepted already, whoever declared it."""
        return self._tokens.get(spec.fingerprint)

    def change(self, old: TokenSpec, new: TokenSpec) -> None:
        """The same token grants what `new` says: its links stay. Raises ListenError, and nothing has changed.

        One that the API has removed stays away: ConfigError says so.
        """
        token = self.find(old)
        if token is None:
            raise ConfigError("the API has removed this token; it is back at the next start")
        token.grant.change(new)
        token.spec = new
        if new.limits != old.limits:
            self._clients.change_limits(token)

    def remove(self, token: str) -> bool:
        """Ends all that `token` let in, its connector tokens too. Whether there was one."""
        found = self._find(token)
        if found is not None:
            self._tokens.remove(found)
        return found is not None

    def port_of(self, token: str) -> int | None:
        """The port for applications of a reverse token; None where there is no such token, or none with a port."""
        found = self._find(token)
        return found.grant.port if found else None

    def dial(self, token: str, host: str, port: int, timeout: float | None) -> Carrier:
        """A connection through a provider of a reverse token, under its access rules.

        `timeout` is for all of it, in seconds. Raises DialError, and ConfigError for a token without a port.
        """
        found = self._find(token)
        if found is None:
            raise ConfigError("token: reverse token does not exist")
        return found.grant.dial(host, port, timeout)

    def clients(self, token: str | None = None) -> int:
        """How many clients have a link now, in all or with one token; a client with many links is one."""
        if token is None:
            return len(self._clients)
        found = self._find(token)
        return sum(client.token is found for client in self._clients)

    def waiting(self, token: str) -> int:
        """How many channels wait for a provider of a reverse token now: those of connectors, and those of
        applications at its port, which LinkSocks does not count."""
        found = self._find(token)
        return found.grant.waiting if found else 0

    @property
    def observers(self) -> Observers:
        """Hear of each client's links: see Reception."""
        return self._reception.observers

    @property
    def dial_rules(self) -> AccessRules:
        """May be replaced while the server runs, as the next one: what was begun before goes on."""
        return self._outbound.rules

    @dial_rules.setter
    def dial_rules(self, rules: AccessRules) -> None:
        self._outbound.rules = rules

    @property
    def entry_rules(self) -> AccessRules:
        """See `dial_rules`."""
        return self._entry.own

    @entry_rules.setter
    def entry_rules(self, rules: AccessRules) -> None:
        self._entry.own = rules

    def _find(self, token: str) -> Token | None:
        return self._tokens.find(token_hash(token))

    # -- its life

    def start(self) -> None:
        """Opens the port, and the state file. Raises ListenError or StateError, and nothing is open then.

        Once only: ClosedError after a stop.
        """
        with self._turn:
            if self._stopping:
                raise ClosedError("the server was stopped: make another one")
            assert self._http is None, "the server was started already"
            self._open()
        how = ", with TLS: wss:// and https://" if self._certificate else ""
        log.info("listening on %s%s", shown((self._address[0], self.port)), how)

    def _open(self) -> None:
        """All or nothing."""
        with ExitStack() as undo:
            listener = bind(*self._address)
            undo.callback(listener.close)
            listen(listener)
            self.pages.start()
            undo.callback(self.pages.stop)
            self._issuer.restore()
            undo.pop_all()
        self.port = listener.getsockname()[1]
        self._http = UpgradeServer(
            listener,
            create_app(self._api, self.pages),
            self._reception.receive,
            self._reception.extensions,
            self._certificate,
            self._lobby,
        )
        self._http.start()

    def reload_certificate(self) -> None:
        """Reads the certificate's files now. Raises ConfigError, and the one from before stays."""
        if self._certificate is not None:
            self._certificate.reload()

    def figures(self) -> Figures:
        """What it has done so far."""
        return Figures(
            role="server",
            ready=self._http is not None and not self._stopping,
            tallies=self._accounts.tallies,
            dials=self._outbound.dials,
            refusals={"connection": self._lobby.refusals, "login": self._reception.refused},
        )

    def wait(self) -> None:
        """Until the server was stopped."""
        self._stopped.wait()

    def stop(self, grace: float) -> None:
        """Opens nothing any more, gives channels `grace` seconds to end, then closes all links with 1001.

        What is on its way when an end has been said already gets DELIVERY seconds, whatever the grace. Where many
        stop it at once the shortest grace counts, and all return at the end. It is for good, also before a start.
        """
        self._leave(grace)
        self._drain(grace)
        self._end()

    def _leave(self, grace: float) -> None:
        """From now on nobody comes in."""
        with self._turn:
            if self._stopping:
                return
            self._stopping = True
            if self._http is None:
                return
            self._http.close()
            self._reception.close()
            links = self._clients.links
            log.info("stopping: %d channels have %g s to end", sum(link.channels for link in links), grace)
            for link in links:
                link.leave()

    def _drain(self, grace: float) -> None:
        deadline = time.monotonic() + grace
        at_once(
            partial(self._outbound.drain, grace), *(partial(grant.drain, grace) for grant in self._grants())
        )
        for link in self._clients.links:
            link.drained(until(deadline))

    def _end(self) -> None:
        """Ends what there is. Who comes second waits for the first, and finds nothing to do."""
        with self._turn:
            if self._stopped.is_set():
                return
            for grant in self._grants():
                grant.stop()
            self._outbound.stop()  # while clients can be told which streams are broken
            for link in self._clients.links:
                link.close(CloseCode.GOING_AWAY, "the server is stopping")
            self._clients.await_nobody(_FAREWELL)
            if self._http is not None:
                self._http.stop(timeout=0)
            self.pages.stop()
            self._issuer.close()
            self._resolver.close()
            self._stopped.set()

    def _grants(self) -> list[Grant]:
        return [token.grant for token in self._tokens]
