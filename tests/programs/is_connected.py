"""`is_connected`, as the README's monitoring example asks for it: no, yes, and no again when the server is gone."""

from outside import free_port, until

from linksocks import Client, Server

ws_port = free_port()

with Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
    client = Client(
        server.add_forward_token(),
        ws_url=f"ws://127.0.0.1:{ws_port}",
        socks_port=free_port(),
        reconnect=True,
        no_env_proxy=True,
        direct_mode="relay-only",
    )
    said = [client.is_connected]
    client.wait_ready(timeout=5)
    said.append(client.is_connected)
assert said == [False, True], said
until(lambda: not client.is_connected)
client.close()
print("is_connected: no, yes, no")
