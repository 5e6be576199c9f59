"""The server of a tunnel inside a program."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable
from functools import partial

import linksocks.config.values as v
from linksocks.errors import ConfigError
from linksocks.library import arguments as a
from linksocks.library import direct, operations, tokens
from linksocks.library.connections import DEFAULT_TIMEOUT
from linksocks.library.durations import Duration, seconds
from linksocks.library.rules import AccessRule, access_rules
from linksocks.library.stats import ServerStats, server_stats
from linksocks.library.tokens import ReverseTokenResult
from linksocks.library.tunnel import Tunnel
from linksocks.net.sockets import shown
from linksocks.net.tls.certificate import Certificate
from linksocks.server.groups import CONNECTOR_WAIT
from linksocks.server.role import ServerRole
from linksocks.tunnel.channels.limits import Limits
from linksocks.tunnel.ends.outbound import CONNECT_TIMEOUT


class Server(Tunnel[ServerRole]):
    """Accepts links from clients, and dials for them or lets providers dial. All arguments may be left out.

    Where it listens and how:

    - `ws_host`, `ws_port`: for clients; "0.0.0.0" and 8765. With port 0 the system chooses one: see `ws_port`.
    - `tls_cert`, `tls_key`, `tls_client_ca`: PEM files; with the first two clients need wss://, with the third a
      certificate of an authority in it. New files are noticed.
    - `socks_host`, `port_pool`: for the ports of reverse tokens; "127.0.0.1", and 1024 to 10240. A pool is a range, a
      list of ports, or both ends as (first, last) or "first-last".
    - `socks_wait_client`: these open with the first provider (True), or with their token.
    - `api_key`, `api_keys`: there is an HTTP API, for whom has one of these.
    - `state_file`: keeps the tokens that the API makes.

    Targets:

    - `upstream_proxy`, `upstream_username`, `upstream_password`: through a proxy, "host:port" of a SOCKS5 one
      or a URL (socks5://, socks5h://, http://); the login may stand in the URL instead.
    - `dial_access_control`: which ones it dials itself; `entry_access_control`: which ones applications at its ports
      may ask for, and connectors. Lists of AccessRule; without any, all.
    - `block_private`: refuses all that is not on the Internet, in both places.
    - `dns_prefer_ipv4`: tries the IPv4 addresses of a name first.

    Times (seconds, a timedelta, or "1.5s"; 0 is as good as None but for the last one):

    - `connect_timeout`: for a dial; 10 s. `channel_timeout`: for a connection in which nothing moves; 12 h.
    - `connector_wait_provider`: for a connector's connection while there is no provider; 5 s.

    And `buffer_size`, bytes that one connection may hold in memory: 1 MiB; what is below 64 KiB counts as that.
    `fast_open`: tells applications that they are connected before they are. `logger`: gets the records of this
    server too. `direct_*`: there is no direct mode, so these are ignored, with a warning.

    Raises ConfigError or TypeError, and nothing has begun then. It listens from `with` or `wait_ready`
    on; tokens that are added before are there from the first moment.

    >>> from linksocks import Server
    >>> with Server(ws_host="127.0.0.1", ws_port=0) as server:
    ...     token = server.add_forward_token()
    ...     server.get_token_client_count(token)
    0
    """

    def __init__(  # noqa: PLR0913 - the settings of a server
        self,
        *,
        logger: logging.Logger | None = None,
        ws_host: str | None = None,
        ws_port: int | None = None,
        socks_host: str | None = None,
        port_pool: a.PortPool | None = None,
        socks_wait_client: bool | None = None,
        buffer_size: int | None = None,
        api_key: str | None = None,
        api_keys: Iterable[str] | None = None,
        channel_timeout: Duration | None = None,
        connect_timeout: Duration | None = None,
        connector_wait_provider: Duration | None = None,
        fast_open: bool | None = None,
        upstream_proxy: str | None = None,
        upstream_username: str | None = None,
        upstream_password: str | None = None,
        direct_enable: bool | None = None,
        direct_rendezvous_udp: bool | None = None,
        direct_rendezvous_host: str | None = None,
        direct_rendezvous_port: int | None = None,
        entry_access_control: Iterable[AccessRule] | None = None,
        dial_access_control: Iterable[AccessRule] | None = None,
        tls_cert: a.Path | None = None,
        tls_key: a.Path | None = None,
        tls_client_ca: a.Path | None = None,
        state_file: a.Path | None = None,
        block_private: bool | None = None,
        dns_prefer_ipv4: bool | None = None,
    ) -> None:
        direct.check(
            None,
            direct_enable=direct_enable,
            direct_rendezvous_udp=direct_rendezvous_udp,
            direct_rendezvous_host=direct_rendezvous_host,
            direct_rendezvous_port=direct_rendezvous_port,
        )
        private = a.flag("block_private", block_private)
        self._ws_host: str = a.text("ws_host", ws_host, v.HOST) or a.usual("ws-host")
        self._ws_port = a.number("ws_port", ws_port, v.PORT, a.usual("ws-port"))
        dial_timeout = a.duration("connect_timeout", connect_timeout) or CONNECT_TIMEOUT
        make = partial(
            ServerRole,
            ws_host=self._ws_host,
            ws_port=self._ws_port,
            buffer_size=a.buffer_size(buffer_size),
            certificate=_certificate(tls_cert, tls_key, tls_client_ca),
            socks_host=a.text("socks_host", socks_host, v.HOST) or a.usual("socks-host"),
            port_pool=a.port_pool(port_pool),
            socks_no_wait=not a.flag("socks_wait_client", socks_wait_client, default=True),
            fast_open=a.flag("fast_open", fast_open),
            connector_wait=CONNECTOR_WAIT
            if connector_wait_provider is None
            else seconds(connector_wait_provider, "connector_wait_provider"),
            connect_timeout=dial_timeout,
            upstream=a.upstream(upstream_proxy, upstream_username, upstream_password),
            dns_prefer_ipv4=a.flag("dns_prefer_ipv4", dns_prefer_ipv4),
            api_keys=a.api_keys(api_key, api_keys),
            state_file=a.path("state_file", state_file),
            dial_rules=access_rules("dial_access_control", dial_access_control, block_private=private),
            entry_rules=access_rules("entry_access_control", entry_access_control, block_private=private),
            limits=Limits(idle=a.duration("channel_timeout", channel_timeout)),
        )
        super().__init__(lambda _former: make(), "server", a.logger(logger), dial_timeout)

    def _readiness(self, timeout: float | None) -> Callable[[ServerRole], None]:
        return lambda _role: None  # it listens from its start on

    def _open(self) -> None:
        self.wait_ready()

    @property
    def ws_port(self) -> int:
        """The port for clients, which stays known; 0 where the system chooses it and has not yet."""
        return self._life.peek(lambda role: role.port, 0) or self._ws_port

    def _shown(self) -> str:
        return shown((self._ws_host, self.ws_port))

    # -- tokens. To add one does not begin to listen, so nobody is refused for the next one that is yet to come. All
    # raise ConfigError for what can't be, ListenError for a port, ClosedError, ForkedError

    def add_forward_token(self, token: str | None = None) -> str:
        """Lets in clients that use this server's network. Returns the token, made up where none is given.

        Raises ConfigError for one that exists already.
        """
        return self.add_forward_token_with_rules(token)

    async def async_add_forward_token(self, token: str | None = None) -> str:
        """See `add_forward_token`."""
        return await self.async_add_forward_token_with_rules(token)

    def add_forward_token_with_rules(
        self, token: str | None = None, rules: Iterable[AccessRule] | None = None
    ) -> str:
        """The same; its clients reach only what `rules` allow, and those of the server."""
        return self._life.prepare("add_forward_token", partial(operations.add, tokens.forward(token, rules)))

    async def async_add_forward_token_with_rules(
        self, token: str | None = None, rules: Iterable[AccessRule] | None = None
    ) -> str:
        """See `add_forward_token_with_rules`."""
        return await self._life.async_prepare(
            "add_forward_token", partial(operations.add, tokens.forward(token, rules))
        )

    def add_reverse_token(
        self,
        *,
        token: str | None = None,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        allow_manage_connector: bool | None = None,
        rules: Iterable[AccessRule] | None = None,
    ) -> ReverseTokenResult:
        """Lets in providers, clients with reverse=True, and opens a port to their network for applications.

        `port` is one of the pool where none is given; `username` and `password` are what applications must give;
        `rules` say what they reach. With `allow_manage_connector` there is no port: the providers let connectors in
        by tokens of their own, to what `rules` allow.

        Raises ConfigError for a token that exists already, ListenError for a port that can't be had.
        """
        spec = tokens.reverse(token, port, username, password, allow_manage_connector, rules)
        return self._life.prepare("add_reverse_token", partial(operations.add_reverse, spec))

    async def async_add_reverse_token(
        self,
        *,
        token: str | None = None,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        allow_manage_connector: bool | None = None,
        rules: Iterable[AccessRule] | None = None,
    ) -> ReverseTokenResult:
        """See `add_reverse_token`."""
        spec = tokens.reverse(token, port, username, password, allow_manage_connector, rules)
        return await self._life.async_prepare("add_reverse_token", partial(operations.add_reverse, spec))

    def add_connector_token(self, connector_token: str | None, reverse_token: str) -> str:
        """Lets in connectors, clients that use the network of this reverse token's providers. Returns the token.

        The same again does nothing. Raises ConfigError for one that exists already for something else, and for a
        reverse token that does not.
        """
        return self.add_connector_token_with_rules(connector_token, reverse_token)

    async def async_add_connector_token(self, connector_token: str | None, reverse_token: str) -> str:
        """See `add_connector_token`."""
        return await self.async_add_connector_token_with_rules(connector_token, reverse_token)

    def add_connector_token_with_rules(
        self,
        connector_token: str | None,
        reverse_token: str,
        rules: Iterable[AccessRule] | None = None,
    ) -> str:
        """The same; they reach only what `rules` allow."""
        return self._life.prepare(
            "add_connector_token",
            partial(operations.add_connector, tokens.connector(connector_token, reverse_token, rules)),
        )

    async def async_add_connector_token_with_rules(
        self,
        connector_token: str | None,
        reverse_token: str,
        rules: Iterable[AccessRule] | None = None,
    ) -> str:
        """See `add_connector_token_with_rules`."""
        spec = tokens.connector(connector_token, reverse_token, rules)
        return await self._life.async_prepare("add_connector_token", partial(operations.add_connector, spec))

    def remove_token(self, token: str) -> bool:
        """Ends all that this token let in, its connector tokens too. Returns whether there was one."""
        return self._life.prepare("remove_token", partial(operations.remove, a.required("token", token)))

    async def async_remove_token(self, token: str) -> bool:
        """See `remove_token`."""
        return await self._life.async_prepare(
            "remove_token", partial(operations.remove, a.required("token", token))
        )

    # -- numbers

    def get_client_count(self) -> int:
        """Clients that are connected now, of all kinds; one with many links is one."""
        return self._life.ask(lambda role: role.clients(None), 0)

    def has_clients(self) -> bool:
        """Whether there is any."""
        return self.get_client_count() > 0

    def get_token_client_count(self, token: str) -> int:
        """The same with one token; 0 for one that there is not."""
        found = a.required("token", token)
        return self._life.ask(lambda role: role.clients(found), 0)

    def get_connector_wait_count(self, token: str) -> int:
        """Connections of connectors that wait for a provider of this reverse token."""
        found = a.required("token", token)
        return self._life.ask(lambda role: role.waiting(found), 0)

    def stats(self) -> ServerStats:
        """What this server has done so far; after `close`, at its end."""
        return self._life.recall(lambda role: server_stats(role.figures(), role.clients(None)), ServerStats())

    # -- connections

    def create_connection(
        self,
        address: tuple[str, int],
        timeout: Duration | None = DEFAULT_TIMEOUT,
        source_address: object = None,
        *,
        token: str,
    ) -> socket.socket:
        """A connection to (host, port) of the network of this reverse token's providers; see Client's.

        It waits a moment for a provider where there is none. Raises ConfigError for a token that is no reverse
        token, or one with allow_manage_connector, whose providers are for connectors alone.
        """
        dial = partial(operations.dial_provider, a.required("token", token))
        return self._connect(dial, address, timeout, source_address)

    async def async_create_connection(
        self, address: tuple[str, int], timeout: Duration | None = None, *, token: str
    ) -> socket.socket:
        """The same for asyncio: the socket does not block."""
        dial = partial(operations.dial_provider, a.required("token", token))
        return await self._async_connect(dial, address, timeout)


def _certificate(cert: a.Path | None, key: a.Path | None, client_ca: a.Path | None) -> Certificate | None:
    files = a.path("tls_cert", cert), a.path("tls_key", key)
    a.pair("tls_cert", files[0], "tls_key", files[1])
    authorities = a.path("tls_client_ca", client_ca)
    if authorities and not all(files):
        raise ConfigError("tls_client_ca: has no effect without tls_cert and tls_key")
    return Certificate(*files, authorities) if all(files) else None
