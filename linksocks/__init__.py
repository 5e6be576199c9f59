"""linksocks: SOCKS5 over WebSocket, in synchronous Python on gevent."""

from linksocks.version import __version__

__all__ = ["__version__"]
