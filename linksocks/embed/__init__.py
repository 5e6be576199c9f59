"""The homes in which tunnels run: `enter` gives one, to any thread of any program.

A tunnel is greenlets, and greenlets belong to a hub, which belongs to a thread. Callers are threads without a hub,
greenlets of any hub and asyncio's tasks. So what a caller wants is run in a greenlet of the tunnel's home, and its
answer comes back in the caller's own manner.

=============================================== =====================================================================
program                                         home
=============================================== =====================================================================
patched by gevent (`socket` and `threading`)    the hub of the thread that enters
any other                                       one native thread with a hub for all tunnels of the process: it
                                                starts with the first `enter` and ends with the last `leave`
=============================================== =====================================================================

Files: `home` (what others use), `runner` (a hub, and how to have things run in it), `call` (one function run there),
`waiters` (how callers wait), `bell` (how other threads reach a hub), `thread` (the shared one), `ending` (the
interpreter's exit), `fork`, `parking` (the shared one stands still meanwhile), `native`.
"""

from linksocks.embed.home import Home, enter

__all__ = ["Home", "enter"]
