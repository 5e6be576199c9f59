"""requests through a tunnel: an adapter to mount on a Session.

::

    import requests
    from linksocks import Client
    from linksocks.contrib.requests import TunnelAdapter

    with Client("token", ws_url="wss://proxy.example.org", socks=False) as client, requests.Session() as session:
        session.mount("https://", TunnelAdapter(client))
        print(session.get("https://intranet.example.org/").status_code)

Mounted for "https://" and "http://" it takes all that the session asks for; for "https://intranet.example.org/", what
begins so. There is no SOCKS port between, and PySocks is not needed. In place of the client a `ProviderDialer` of
linksocks.contrib.urllib3 will do. A connection that is not made is a `requests.ConnectTimeout` or a
`requests.ConnectionError`, as is said there of urllib3's.
"""

from __future__ import annotations

from typing import Any, NoReturn

try:
    import requests
    from requests.adapters import DEFAULT_POOLBLOCK, DEFAULT_POOLSIZE, DEFAULT_RETRIES, HTTPAdapter
    from urllib3.util.retry import Retry
except ImportError as error:
    raise ImportError("linksocks.contrib.requests needs requests: pip install requests") from error

from linksocks.contrib.urllib3 import Dialer, PoolManager

__all__ = ["TunnelAdapter"]


class TunnelAdapter(HTTPAdapter):
    """requests' HTTPAdapter through `client`; the other arguments are requests' as well.

    It ignores proxies, whether of the session, of a request or of the environment. It is for the threads of one
    process: it can't be copied or pickled, as the tunnel can't.
    """

    def __init__(
        self,
        client: Dialer,
        pool_connections: int = DEFAULT_POOLSIZE,
        pool_maxsize: int = DEFAULT_POOLSIZE,
        max_retries: int | Retry = DEFAULT_RETRIES,
        pool_block: bool = DEFAULT_POOLBLOCK,
    ) -> None:
        self.client = client  # first: what follows makes the pools
        super().__init__(pool_connections, pool_maxsize, max_retries, pool_block)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = DEFAULT_POOLBLOCK, **settings: Any
    ) -> None:
        self.poolmanager = PoolManager(
            self.client, num_pools=connections, maxsize=maxsize, block=block, **settings
        )

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        # A session adds it on redirects, for the proxy of the environment; the target would get that password.
        request.headers.pop("Proxy-Authorization", None)
        return super().send(request, stream, timeout, verify, cert, proxies=None)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a tunnel can't be copied or pickled, and so can't its TunnelAdapter: make a new one")
