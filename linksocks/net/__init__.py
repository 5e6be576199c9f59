"""Sockets of gevent: what is below all links and all targets.

====== ==========================================================================
room   what is in it
====== ==========================================================================
`tls`  certificates, ours and theirs
`out`  from a host and a port to a socket: names, addresses, proxies, who may
`ws`   WebSockets: how one begins at either end, and how it is read and written
====== ==========================================================================

Each uses those above it and the files beside this one, which serve all.
"""
