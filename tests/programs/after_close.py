"""Whoever is used after `close` says so."""

from outside import free_port

from linksocks import Client, Server

server = Server(ws_host="127.0.0.1", ws_port=free_port())
client = Client("the-token", no_env_proxy=True, direct_mode="relay-only")
server.wait_ready(timeout=5)
server.close()
client.close()

for call in (server.add_forward_token, server.wait_ready, client.wait_ready, server.get_client_count):
    try:
        call()
    except RuntimeError as why:
        assert "closed" in str(why), why
    else:
        raise AssertionError(f"{call.__name__} works after close")
print("after close: 4 exceptions")
