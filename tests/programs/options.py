"""Every option of the constructors at once, those of direct mode included, with values that change nothing here."""

import logging
from typing import Any

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port, reverse_port = free_port(), free_port(), free_port()

options: dict[str, Any] = {
    "logger": logging.getLogger("my_app"),
    "ws_url": f"ws://localhost:{ws_port}",
    "socks_host": "127.0.0.1",
    "socks_port": socks_port,
    "socks_username": "user",
    "socks_password": "secret",
    "socks_wait_server": True,
    "reconnect": True,
    "reconnect_delay": 5.0,
    "buffer_size": 32768,
    "channel_timeout": 30.0,
    "connect_timeout": 10.0,
    "threads": 2,
    "fast_open": False,
    "upstream_proxy": "",
    "upstream_username": "",
    "upstream_password": "",
    "no_env_proxy": True,
    "direct_mode": "relay-only",
    "direct_discovery": "stun",
    "direct_host_candidates": "never",
    "stun_servers": ["127.0.0.1:9"],
    "direct_only_action": "exit",
    "direct_upnp": False,
    "direct_upnp_lease": "30m",
    "direct_upnp_keep": False,
    "direct_upnp_external_port": 0,
    "entry_access_control": [],
    "dial_access_control": [],
}

with (
    Website() as site,
    Server(
        logger=logging.getLogger("my_app"),
        ws_host="127.0.0.1",
        ws_port=ws_port,
        socks_host="127.0.0.1",
        port_pool=None,
        socks_wait_client=True,
        buffer_size=32768,
        api_key="your_api_key",
        api_keys=["another"],
        channel_timeout=30.0,
        connect_timeout=10.0,
        connector_wait_provider=5.0,
        fast_open=False,
        upstream_proxy="",
        upstream_username="",
        upstream_password="",
        direct_enable=None,
        entry_access_control=[],
        dial_access_control=[],
    ) as server,
):
    token = server.add_forward_token("custom_token")
    result = server.add_reverse_token(
        token="another_token",
        port=reverse_port,
        username="socks_user",
        password="socks_pass",
        allow_manage_connector=False,
        rules=[],
    )
    with (
        Client(token, reverse=False, **options) as forward,
        Client(result.token, reverse=True, **options) as provider,
    ):
        forward.wait_ready(timeout="5s")
        provider.wait_ready(timeout="5s")
        size = fetch(site, socks_port, login=("user", "secret"))
        size += fetch(site, reverse_port, login=("socks_user", "socks_pass"))

# None is as good as nothing said, for each of them.
Server(
    **dict.fromkeys(("logger", "ws_host", "ws_port", "socks_host", "connect_timeout", "direct_enable"))
).close()
nothing: dict[str, Any] = dict.fromkeys(options)
Client(None, reverse=None, **nothing).close()
print(f"options: {size} bytes")
