"""A server in a process of its own: `serve.py MODE WS_PORT SOCKS_PORT`, until its stdin ends.

One half of a pair with visit.py, which may run with the other package; reconnect.py starts it too. Its line says
that it is ready.
"""

import sys

from linksocks import Server

mode, ws_port, socks_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

# All tokens before the start: a client that comes early must find its own.
server = Server(ws_host="127.0.0.1", ws_port=ws_port, socks_host="127.0.0.1")
if mode in ("forward", "both"):
    server.add_forward_token("the-token")
if mode in ("reverse", "both", "agent"):
    server.add_reverse_token(token="the-provider", port=socks_port)
if mode == "agent":
    server.add_connector_token("the-connector", "the-provider")
if mode == "autonomy":
    server.add_reverse_token(token="the-provider", allow_manage_connector=True)
with server:
    print(f"{mode}: ready", flush=True)
    sys.stdin.read()
