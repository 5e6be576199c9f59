"""The client as its server knows it: from where it comes, with which token and as which instance.

One session makes all links of a client. Until its first login has succeeded it tries one at a time: that login may
bring the token for all that follow (PROTOCOL section 2.2), and a token that is refused is refused once.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from gevent.lock import Semaphore

from linksocks.client.backoff import FIRST
from linksocks.client.login import ANONYMOUS, Welcome, log_in
from linksocks.client.url import LOGIN_PATH, says_login, server_url, with_login
from linksocks.errors import AuthError, ConfigError, LinkError
from linksocks.net.out.proxies import ProxyUrl, environment_proxy
from linksocks.net.out.resolve import Resolver
from linksocks.net.out.upstream import egress
from linksocks.net.sockets import shown
from linksocks.net.tls.trust import TlsClient, Trust
from linksocks.net.ws.connect import Handshake, Upgraded, connect
from linksocks.net.ws.redirect import address_of
from linksocks.tunnel.channels.limits import CHANNEL_IDLE, Account, Limits
from linksocks.tunnel.channels.link import NOBODY, Acceptor, Handler, Link
from linksocks.tunnel.channels.terms import Terms, offered
from linksocks.version import __version__
from linksocks.wire.auth import token_hash
from linksocks.wire.extensions import HEADER, parse_extensions
from linksocks.wire.messages import Auth

_NO_HANDLERS: Final[Mapping[int, Handler]] = MappingProxyType({})

USER_AGENT: Final = f"linksocks/{__version__}"

log = logging.getLogger("linksocks.client")


@dataclass(frozen=True, kw_only=True)
class Uplink:
    """How to reach a server and to stay with it: what every client is told, whichever role it plays."""

    url: str
    token: str
    """Empty for none: the server may assign one."""
    reconnect: bool
    """A lost link is made anew."""
    retry_auth: bool
    """A refused token is tried again."""
    buffer_size: int
    """Bytes held for one channel."""
    threads: int = 1
    """Links at once."""
    reconnect_delay: float = FIRST
    """Seconds that pass at least before the first try after a failure; then longer, up to LAST. See Backoff."""
    trust: Trust = field(default_factory=Trust)
    """What a wss:// server must show."""
    proxy: ProxyUrl | None = None
    """The way to the server; without one the environment's, if it has one and `env_proxy`."""
    env_proxy: bool = True
    dns_prefer_ipv4: bool = False
    idle_timeout: float = CHANNEL_IDLE
    """Seconds without a byte after which a channel is closed."""
    user_agent: str = USER_AGENT
    headers: Sequence[tuple[str, str]] = field(default=(), repr=False)
    """More headers for the handshake, perhaps with secrets."""
    host_header: str = ""
    """Instead of the URL's host and port."""
    tls_server_name: str = ""
    """Which name the server's certificate must have, instead of the URL's host."""


class Session:
    """Logs in at the server of `uplink`; `reverse` says that we dial for its channels.

    `recognised`: the server must know that all links, and those after a reconnect, are of the same client. LinkSocks
    (Go) reads our instance only in a message, never in the URL, and a provider that comes back as another has lost
    its connector tokens: with 1.9.0 and 1.10.3 its connectors reached nobody after a reconnect until it logged in so.
    """

    def __init__(
        self, uplink: Uplink, resolver: Resolver, *, reverse: bool, recognised: bool = False
    ) -> None:
        self._url = server_url(uplink.url)
        self._tls = _tls(uplink, self._url.scheme)
        proxy = uplink.proxy or (self._environment_proxy() if uplink.env_proxy else None)
        if proxy:
            log.info("the way to the server is the proxy %s", shown((proxy.host, proxy.port)))
        self._egress = egress(proxy, resolver)
        self._max_window = uplink.buffer_size
        self.account = Account(Limits(idle=uplink.idle_timeout))
        """Of all its links."""
        self._extensions = offered(uplink.buffer_size)
        self._handshake = Handshake(
            headers=[("User-Agent", uplink.user_agent), (HEADER, self._extensions.header())],
            private_headers=uplink.headers,
            host=uplink.host_header,
            tls_server_name=uplink.tls_server_name,
        )
        self._own = Auth(uplink.token or ANONYMOUS, reverse=reverse, instance=uuid.uuid4().bytes)
        # Who has no token is let in by the URL only (PROTOCOL section 2.2).
        self._by_url = self._url.path == LOGIN_PATH and not (recognised and uplink.token)
        self._auth = self._own  # or one with the token that the server assigned
        self._admitted = False  # a login has succeeded with the token of `_auth`
        self._turn = Semaphore()
        self.protocol = 0
        """The version that the server speaks, once it has said a word."""

    def link(self, acceptor: Acceptor = NOBODY, handlers: Mapping[int, Handler] = _NO_HANDLERS) -> Link:
        """Connects and logs in: a link that is ready to run. Raises LinkError."""
        turn: AbstractContextManager[object] = nullcontext() if self._admitted else self._turn
        with turn:
            upgraded = self._connect()
            try:
                welcome = self._log_in(upgraded)
            except BaseException:
                upgraded.websocket.finish()
                raise
        agreed = self._extensions.agreed(parse_extensions(upgraded.headers.get(HEADER.lower(), "")))
        log.info("logged in at %s", self._url._replace(query="").geturl())  # which may hold a secret
        log.debug("the server speaks 0x%02x; agreed: %s", welcome.version, agreed.header() or "no extensions")
        terms = Terms(welcome.version, agreed, self._max_window)
        return Link(upgraded.websocket, terms, acceptor, handlers, self.account)

    @property
    def server_token(self) -> str:
        """The token that the server assigned, if it did."""
        return "" if self._auth is self._own else self._auth.token

    def _connect(self) -> Upgraded:
        url = self._url.geturl()
        if self._by_url:
            instance = str(uuid.UUID(bytes=self._auth.instance))
            url = with_login(self._url, token_hash(self._auth.token), instance, reverse=self._auth.reverse)
        return connect(url, self._handshake, self._egress, self._tls, "server")

    def _environment_proxy(self) -> ProxyUrl | None:
        return environment_proxy(self._url.scheme, *address_of(self._url), os.environ)

    def _log_in(self, upgraded: Upgraded) -> Welcome:
        tried = self._auth
        try:
            welcome = log_in(upgraded.websocket, tried, by_url=says_login(upgraded.url))
        except AuthError as error:
            if tried is self._own:
                raise
            self._auth, self._admitted = self._own, False
            raise LinkError("auth: the server does not know the token any more that it assigned") from error
        self._admitted, self.protocol = True, welcome.version
        if welcome.token:
            self._auth = replace(tried, token=welcome.token)
        return welcome


def _tls(uplink: Uplink, scheme: str) -> TlsClient:
    """Raises ConfigError, also where the user counts on what a plain connection does not have.

    A redirect may lead from ws:// to wss://, but whoever is on the way may lead elsewhere, or nowhere: who wants more
    of TLS than its defaults has to ask for it in the URL.
    """
    trust = uplink.trust
    said = {
        "--tls-pin": trust.pin,
        "--tls-client-cert": trust.client_cert,
        "--ca-file": trust.ca_file,
        "--tls-server-name": uplink.tls_server_name,
        "--insecure": trust.insecure,
    }
    flag = next((flag for flag, value in said.items() if value), "")
    if scheme == "ws" and flag:
        raise ConfigError(
            f"{flag}: has no effect on a ws:// URL, which means no TLS; give a wss:// URL, or leave it out"
        )
    if trust.insecure:
        log.warning(
            "--insecure: the server's certificate is not checked; who is on the way can read and change everything, "
            "and learn the token"
        )
    return TlsClient(trust)
