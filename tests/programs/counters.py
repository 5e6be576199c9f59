"""What server and clients say about themselves while they work."""

import threading
import uuid
from typing import Any

from outside import Website, fetch, free_port, until

from linksocks import Client, Server

ws_port, socks_port, connector_port = free_port(), free_port(), free_port()


def client(token: str, **options: Any) -> Client:
    return Client(
        token, ws_url=f"ws://127.0.0.1:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )


with (
    Website() as site,
    Server(ws_host="127.0.0.1", ws_port=ws_port, connector_wait_provider="10s") as server,
):
    assert (server.get_client_count(), server.has_clients()) == (0, False)
    token, result = server.add_forward_token(), server.add_reverse_token()
    connector_token = server.add_connector_token(None, result.token)

    with (
        client(token, socks_port=socks_port) as forward,
        client(connector_token, socks_port=connector_port) as visitor,
    ):
        for each in (forward, visitor):
            each.wait_ready(timeout=5)
        until(lambda: server.get_client_count() == 2 and server.has_clients())
        assert server.get_token_client_count(connector_token) == 1
        assert server.get_token_client_count(result.token) == 0
        assert forward.get_server_token() in ("", token), "the token that the server gave, if it gave one"
        assert forward.get_remote_protocol_version() in (1, 2)
        assert forward.data_path() == "relay"
        assert forward.channel_path(str(uuid.uuid4())) == ""
        assert forward.get_direct_rtt() == -1
        until(lambda: 0 < forward.get_rtt() < 5_000_000_000)  # nanoseconds
        assert visitor.get_partners_count() == 0

        # Somebody wants a provider, and there is none yet.
        waiting = threading.Thread(target=fetch, args=(site, connector_port))
        waiting.start()
        until(lambda: server.get_connector_wait_count(result.token) == 1)
        with client(result.token, reverse=True) as provider:
            provider.wait_ready(timeout=5)
            waiting.join()
            until(lambda: server.get_connector_wait_count(result.token) == 0)
            until(lambda: server.get_token_client_count(result.token) == 1)
            until(lambda: visitor.get_partners_count() == 1)
            with client(connector_token, socks_port=free_port()) as another:
                another.wait_ready(timeout=5)
                until(lambda: provider.get_partners_count() == 2)
        until(lambda: visitor.get_partners_count() == 0)
    until(lambda: not server.has_clients())
print("counters: as many as there are")
