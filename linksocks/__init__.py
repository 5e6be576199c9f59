"""linksocks: a proxy over WebSocket, in synchronous Python on gevent."""

from linksocks.version import __version__

__all__ = ["__version__"]
