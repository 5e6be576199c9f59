"""The client of a tunnel inside a program."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit
from uuid import UUID

import linksocks.config.values as v
from linksocks.client.backoff import FIRST
from linksocks.client.provider import ProviderRole
from linksocks.client.role import ClientRole
from linksocks.client.session import USER_AGENT, Uplink
from linksocks.errors import ConfigError, ForkedError
from linksocks.library import arguments as a
from linksocks.library import direct, operations
from linksocks.library.connections import DEFAULT_TIMEOUT
from linksocks.library.durations import Duration
from linksocks.library.operations import AnyClient
from linksocks.library.rules import AccessRule, access_rules
from linksocks.library.stats import ClientStats, client_stats
from linksocks.library.tunnel import Tunnel
from linksocks.net.carrier import Carrier
from linksocks.net.sockets import shown
from linksocks.tunnel.channels.limits import CHANNEL_IDLE
from linksocks.tunnel.ends.outbound import CONNECT_TIMEOUT
from linksocks.wire.messages import ChannelId

_T = TypeVar("_T")

RELAY: Final = "relay"
"""The way of all data."""

_THREADS: Final = v.number(1, 64, "a number from 1 to 64")

_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
"""Where to reach, from this machine, what listens on all addresses."""


class Client(Tunnel[AnyClient]):
    """A client of a server; all arguments may be left out.

    The server:

    - `token`: what it lets this client in with; "anonymous" without one.
    - `ws_url`: where it is; "ws://localhost:8765". Without a scheme it is wss://.
    - `reverse`: be a provider, which dials for others, and opens no port.
    - `reconnect`: make a new link when one is lost (False: the client ends then); `reconnect_delay`: how long
      before the first try, 1 s, and more before those that follow. `retry_auth`: try again when the token is refused.
    - `threads`: links at once, 1; a connection stays on one of them.
    - `no_env_proxy`: ignore the proxy that the environment names.
    - `ca_file`, `tls_pin`, `insecure`, `tls_server_name`: what a wss:// server must show: a certificate of an
      authority in that PEM file, the one with that SHA-256, any, and for which name. `tls_client_cert`,
      `tls_client_key`: PEM files, to be shown to it.
    - `user_agent`, `headers`, `host_header`: of the handshake.

    Applications:

    - `socks`: there is a port for them (True), SOCKS5, SOCKS4 and HTTP. `create_connection` does not need it.
    - `socks_host`, `socks_port`: where; "127.0.0.1" and 9870. With port 0 the system chooses one: see `socks_port`.
    - `socks_username`, `socks_password`: what they must give.
    - `socks_wait_server`: the port opens with the first link (True), or at once.
    - `fast_open`: tell them that they are connected before they are.
    - `entry_access_control`: a list of AccessRule, which targets they and `create_connection` may ask for.

    Targets, with `reverse`:

    - `dial_access_control`: a list of AccessRule, which ones it dials.
    - `upstream_proxy`, `upstream_username`, `upstream_password`: through a proxy, "host:port" of a SOCKS5 one
      or a URL (socks5://, socks5h://, http://); the login may stand in the URL instead. Without `reverse` the server
      is reached so.

    Either way:

    - `block_private`: refuse targets that are not on the Internet. `dns_prefer_ipv4`: try IPv4 addresses first.
    - `connect_timeout`: for a target; 10 s. `channel_timeout`: for a connection in which nothing moves; 12 h. These
      are seconds, a timedelta, or "1.5s"; 0 is as good as None.
    - `buffer_size`: bytes that one connection may hold in memory, 1 MiB; what is below 64 KiB counts as that.
    - `logger`: gets the records of this client too.
    - `direct_mode` and what belongs to it: all goes through the server, and these are ignored, with a warning;
      "direct-only" is an error.

    Raises ConfigError or TypeError, and nothing has begun then.

    >>> from linksocks import Client, Server
    >>> with Server(ws_host="127.0.0.1", ws_port=0) as server:
    ...     url = f"ws://127.0.0.1:{server.ws_port}"
    ...     with Client(server.add_forward_token(), ws_url=url, socks_port=0) as client:
    ...         client.wait_ready(timeout=10)
    ...         client.is_connected
    True
    """

    def __init__(  # noqa: PLR0913 - the settings of a client
        self,
        token: str | None = None,
        *,
        logger: logging.Logger | None = None,
        ws_url: str | None = None,
        reverse: bool | None = None,
        socks_host: str | None = None,
        socks_port: int | None = None,
        socks_username: str | None = None,
        socks_password: str | None = None,
        socks_wait_server: bool | None = None,
        reconnect: bool | None = None,
        reconnect_delay: Duration | None = None,
        buffer_size: int | None = None,
        channel_timeout: Duration | None = None,
        connect_timeout: Duration | None = None,
        threads: int | None = None,
        fast_open: bool | None = None,
        upstream_proxy: str | None = None,
        upstream_username: str | None = None,
        upstream_password: str | None = None,
        no_env_proxy: bool | None = None,
        direct_mode: str | None = None,
        direct_discovery: str | None = None,
        direct_host_candidates: str | None = None,
        stun_servers: Iterable[str] | None = None,
        direct_only_action: str | None = None,
        direct_upnp: bool | None = None,
        direct_upnp_lease: Duration | None = None,
        direct_upnp_keep: bool | None = None,
        direct_upnp_external_port: int | None = None,
        entry_access_control: Iterable[AccessRule] | None = None,
        dial_access_control: Iterable[AccessRule] | None = None,
        user_agent: str | None = None,
        socks: bool | None = None,
        ca_file: a.Path | None = None,
        insecure: bool | None = None,
        tls_pin: str | None = None,
        tls_server_name: str | None = None,
        tls_client_cert: a.Path | None = None,
        tls_client_key: a.Path | None = None,
        headers: a.Headers | None = None,
        host_header: str | None = None,
        retry_auth: bool | None = None,
        block_private: bool | None = None,
        dns_prefer_ipv4: bool | None = None,
    ) -> None:
        direct.check(
            direct_mode,
            direct_discovery=direct_discovery,
            direct_host_candidates=direct_host_candidates,
            stun_servers=stun_servers,
            direct_only_action=direct_only_action,
            direct_upnp=direct_upnp,
            direct_upnp_lease=direct_upnp_lease,
            direct_upnp_keep=direct_upnp_keep,
            direct_upnp_external_port=direct_upnp_external_port,
        )
        self._url: str = a.text("ws_url", ws_url, v.URL) or a.usual("url")
        self._token = a.secret("token", token)
        self._reverse = provides = a.flag("reverse", reverse)
        dial_timeout = a.duration("connect_timeout", connect_timeout) or CONNECT_TIMEOUT
        self._socks_host: str = a.text("socks_host", socks_host, v.HOST) or a.usual("socks-host")
        port = a.number("socks_port", socks_port, v.PORT, a.usual("socks-port"))
        self._socks_port = port if a.flag("socks", socks, default=True) and not provides else None
        self._login = a.login("socks_username", socks_username, "socks_password", socks_password)
        no_wait = not a.flag("socks_wait_server", socks_wait_server, default=True)
        early = a.flag("fast_open", fast_open)
        private = a.flag("block_private", block_private)
        dialled = access_rules("dial_access_control", dial_access_control, block_private=private)
        entered = access_rules("entry_access_control", entry_access_control, block_private=private)
        proxy = a.upstream(upstream_proxy, upstream_username, upstream_password)
        uplink = Uplink(
            url=self._url,
            token=self._token,
            reconnect=a.flag("reconnect", reconnect),
            retry_auth=a.flag("retry_auth", retry_auth),
            buffer_size=a.buffer_size(buffer_size),
            threads=a.number("threads", threads, _THREADS, 1),
            reconnect_delay=a.duration("reconnect_delay", reconnect_delay) or FIRST,
            trust=a.trust(
                self._url,
                ca_file=ca_file,
                insecure=insecure,
                tls_pin=tls_pin,
                tls_client_cert=tls_client_cert,
                tls_client_key=tls_client_key,
                tls_server_name=tls_server_name,
            ),
            proxy=None if provides else proxy,
            env_proxy=not a.flag("no_env_proxy", no_env_proxy),
            dns_prefer_ipv4=a.flag("dns_prefer_ipv4", dns_prefer_ipv4),
            idle_timeout=a.duration("channel_timeout", channel_timeout) or CHANNEL_IDLE,
            user_agent=a.text("user_agent", user_agent, v.HEADER_VALUE) or USER_AGENT,
            headers=a.headers(headers),
            host_header=a.text("host_header", host_header, v.HEADER_VALUE),
            tls_server_name=a.text("tls_server_name", tls_server_name, v.HOST),
        )
        provider = partial(
            ProviderRole,
            uplink,
            recognised=True,
            upstream=proxy,
            rules=dialled,
            connect_timeout=dial_timeout,
        )
        client = partial(
            ClientRole,
            uplink,
            socks_host=self._socks_host,
            socks_username=self._login[0],
            socks_password=self._login[1],
            socks_no_wait=no_wait,
            fast_open=early,
            connect_timeout=dial_timeout,
            rules=entered,
        )
        given = self._socks_port
        super().__init__(  # what makes the roles does not refer to `self`: see Lifecycle
            lambda former: provider() if provides else client(socks_port=operations.port_of(former) or given),
            "client",
            a.logger(logger),
            dial_timeout,
        )

    def _readiness(self, timeout: float | None) -> Callable[[AnyClient], None]:
        return partial(operations.wait_ready, timeout)

    def _open(self) -> None:
        """Without waiting for the server; a port that is in use raises ListenError."""
        self._life.start()

    def _shown(self) -> str:
        """Without the query of the URL, which may hold a secret."""
        what = "provider" if self._reverse else "client"
        address = urlsplit(self._url if "://" in self._url else f"wss://{self._url}")
        where = f" at {shown((self._socks_host, self.socks_port))}" if self.socks_port else ""
        return f"{what}{where} of {address.scheme}://{address.netloc}{address.path}"

    # -- its state. After `close` there is no link, and the port is the one that there was

    @property
    def is_connected(self) -> bool:
        """Whether there is a link now."""
        try:
            return self._life.recall(lambda role: role.connected, False)
        except ForkedError:
            return False

    @property
    def socks_port(self) -> int | None:
        """The port for applications; 0 where the system chooses it and has not yet, None where there is none."""
        if self._socks_port is None:
            return None
        return self._life.peek(operations.port_of, 0) or self._socks_port

    def get_server_token(self) -> str:
        """The token that the server assigned, or the one that was given."""
        return self._life.ask(lambda role: role.server_token, "") or self._token

    def get_rtt(self) -> int:
        """Nanoseconds to the server and back, at the last ping that was answered; -1 before."""
        rtt = self._life.ask(lambda role: role.rtt, None)
        return -1 if rtt is None else int(rtt * 1e9)

    def get_direct_rtt(self) -> int:
        """-1: there is no direct way."""
        return -1

    def get_partners_count(self) -> int:
        """Providers of a connector, or connectors of a provider, by the server's last word; 0 without a link."""
        return self._life.ask(lambda role: role.partners, 0)

    def get_remote_protocol_version(self) -> int:
        """What the server speaks, 1 or 2; 0 before the first link."""
        return self._life.ask(lambda role: role.protocol, 0)

    def data_path(self) -> str:
        """Always "relay": all data goes through the server."""
        return RELAY

    def channel_path(self, channel_id: str) -> str:
        """It is "relay" for a channel that is open, and an empty text for one that is not.

        Raises ConfigError for what is no UUID.
        """
        try:
            channel = ChannelId(UUID(channel_id).bytes)
        except (ValueError, AttributeError, TypeError):
            raise ConfigError(f"channel_id: expected a UUID, got {str(channel_id)[:50]!r}") from None
        return RELAY if self._life.ask(lambda role: role.has_channel(channel), False) else ""

    def stats(self) -> ClientStats:
        """What this client has done so far; after `close`, at its end."""
        return self._life.recall(
            lambda role: client_stats(role.figures(), role.partners, role.rtt), ClientStats()
        )

    # -- connector tokens of a provider

    def add_connector(self, connector_token: str | None = None) -> str:
        """Lets in connectors, to use this provider's network. Returns the token, made up where none is given.

        The server must allow that: see `add_reverse_token` and its allow_manage_connector. It waits for a link.
        Raises ConfigError without `reverse`, ConnectorError when the server refuses, and what `wait_ready` raises.
        """
        token = a.secret("connector_token", connector_token, v.TOKEN)
        operation = self._of_provider(operations.add_own_connector, token)
        return self._life.call("add_connector", operation, self._deadline())

    async def async_add_connector(self, connector_token: str | None = None) -> str:
        """See `add_connector`."""
        token = a.secret("connector_token", connector_token, v.TOKEN)
        operation = self._of_provider(operations.add_own_connector, token)
        return await self._life.async_call("add_connector", operation, self._deadline())

    def remove_connector(self, connector_token: str) -> None:
        """Lets them in no more. Raises as `add_connector`."""
        operation = self._of_provider(
            operations.remove_own_connector, a.required("connector_token", connector_token)
        )
        self._life.call("remove_connector", operation, self._deadline())

    async def async_remove_connector(self, connector_token: str) -> None:
        """See `remove_connector`."""
        operation = self._of_provider(
            operations.remove_own_connector, a.required("connector_token", connector_token)
        )
        await self._life.async_call("remove_connector", operation, self._deadline())

    def _of_provider(
        self, operation: Callable[[str, float, AnyClient], _T], token: str
    ) -> Callable[[AnyClient], _T]:
        if not self._reverse:
            raise ConfigError("connector tokens are for a provider: make the Client with reverse=True")
        return partial(operation, token, self._patience)

    # -- connections

    def create_connection(
        self,
        address: tuple[str, int],
        timeout: Duration | None = DEFAULT_TIMEOUT,
        source_address: object = None,
    ) -> socket.socket:
        """A TCP connection to (host, port) through the tunnel, as socket.create_connection makes one.

        It is a real socket, with a descriptor, which TLS, `select` and every library take. `timeout` is for the
        connection, and stays set on the socket; None is no limit but the tunnel's own, and without one
        socket.getdefaulttimeout() counts. Names are looked up at the far end. No port for applications is needed.

        It waits for the link, `connect_timeout` and 5 s. Raises TargetError for a target that is not reached:
        an OSError with `errno` and `cause`, and a ConnectionRefusedError, a TimeoutError or another that fits; a
        TimeoutError when the time is up; ConfigError with `reverse`.
        """
        return self._connect(self._dial(), address, timeout, source_address)

    async def async_create_connection(
        self, address: tuple[str, int], timeout: Duration | None = None
    ) -> socket.socket:
        """The same for asyncio: the socket does not block, as `asyncio.open_connection(sock=...)` needs it."""
        return await self._async_connect(self._dial(), address, timeout)

    def _dial(self) -> Callable[[tuple[str, int], float | None, AnyClient], Carrier]:
        if self._reverse:
            raise ConfigError(
                "create_connection: a provider dials for others: make a Client without reverse=True"
            )
        return partial(operations.dial, self._patience)

    @property
    def _patience(self) -> float:
        """Seconds for a link, where a call needs one."""
        return self._connect_timeout + 5.0

    @property
    def proxies(self) -> dict[str, str]:
        """For requests, and what else takes URLs of proxies: the port for applications, with its password.

        Waits for the link, as `create_connection` does. A port on all addresses is said to be on loopback. Raises
        what `wait_ready` raises, and ConfigError where there is no port.
        """
        if self._socks_port is None:
            raise ConfigError(
                "proxies: this client has no port for applications: leave out socks=False, reverse=True"
            )
        patience = self._patience
        self._life.call("wait_ready", partial(operations.wait_ready, patience), self._deadline(patience))
        login = ":".join(quote(part, safe="") for part in self._login)
        host = _LOOPBACK.get(self._socks_host, self._socks_host)
        url = f"socks5h://{login}@" if self._login[0] else "socks5h://"
        url += shown((host, self.socks_port or 0))
        return {"http": url, "https": url}
