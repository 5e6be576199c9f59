"""urllib3 through a tunnel: `PoolManager` is urllib3's, but its connections are made by `create_connection`.

::

    from linksocks import Client
    from linksocks.contrib.urllib3 import PoolManager

    with Client("token", ws_url="wss://proxy.example.org", socks=False) as client, PoolManager(client) as http:
        print(http.request("GET", "https://intranet.example.org/").status)

`ProviderDialer(server, token)` in place of the client leads to the network that the providers of a reverse token lend
a Server.

Pools, keep-alive, retries, redirects and TLS are urllib3's; names are resolved at the far end of the tunnel. What
becomes of a connection that is not made:

================================================= ===============================================================
nothing in time: a TimeoutError                   urllib3's ConnectTimeoutError; the cause is the error itself
any other OSError                                 urllib3's NewConnectionError, likewise
ClosedError, ForkedError, ConfigError             as they are: a mistake of the program, which no retry mends
================================================= ===============================================================
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from linksocks.errors import ConfigError

if TYPE_CHECKING:
    from linksocks import Server

try:
    import urllib3
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
except ImportError as error:
    raise ImportError("linksocks.contrib.urllib3 needs urllib3: pip install urllib3") from error

__all__ = ["Dialer", "PoolManager", "ProviderDialer"]


class Dialer(Protocol):
    """What makes connections, as a Client does."""

    def create_connection(self, address: tuple[str, int], timeout: float | None = None) -> socket.socket: ...


class ProviderDialer:
    """Makes them in the network that the providers of a reverse token lend `server`."""

    def __init__(self, server: Server, token: str) -> None:
        self._server = server
        self._token = token

    def create_connection(self, address: tuple[str, int], timeout: float | None = None) -> socket.socket:
        return self._server.create_connection(address, timeout, token=self._token)


class PoolManager(urllib3.PoolManager):
    """urllib3's, through `client`; the other arguments are urllib3's as well.

    It is for the threads of one process: it can't be copied or pickled, as the tunnel can't.
    """

    def __init__(self, client: Dialer, num_pools: int = 10, **settings: Any) -> None:
        if settings.get("source_address"):
            raise ConfigError("source_address: connections are made at the far end, where it says nothing")
        super().__init__(num_pools, **settings)
        self.client = client
        self.pool_classes_by_scheme = {"http": TunnelPool, "https": TunnelTLSPool}

    def _new_pool(
        self, scheme: str, host: str, port: int, request_context: dict[str, Any] | None = None
    ) -> HTTPConnectionPool:
        context = self.connection_pool_kw if request_context is None else request_context
        return super()._new_pool(scheme, host, port, context | {"client": self.client})

    def __reduce__(self) -> NoReturn:
        raise TypeError("a tunnel can't be copied or pickled, and so can't its PoolManager: make a new one")


class TunnelConnection(HTTPConnection):
    """Differs in how it is connected; what is above TCP does not notice."""

    def __init__(self, *args: Any, client: Dialer, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._client = client

    def _new_conn(self) -> socket.socket:
        try:
            # With its trailing dot, if it has one: it means something to the resolver, and nothing to TLS.
            sock = self._client.create_connection((self._dns_host, self.port), self.timeout)
        except OSError as error:
            text = f"no connection to {self.host} through the tunnel: {error}"
            if isinstance(error, TimeoutError):
                raise ConnectTimeoutError(self, text) from error
            raise NewConnectionError(self, text) from error
        for option in self.socket_options or ():
            sock.setsockopt(*option)
        return sock


class TunnelTLSConnection(TunnelConnection, HTTPSConnection):
    pass


class TunnelPool(HTTPConnectionPool):
    ConnectionCls = TunnelConnection


class TunnelTLSPool(HTTPSConnectionPool):
    ConnectionCls = TunnelTLSConnection
