"""Access control: rules of the server, of the clients and of each kind of token; the port decides which site."""

from typing import Any

from outside import Website, free_port, refused

from linksocks import AccessRule, Client, Server

ws_port = free_port()


def client(token: str, **options: Any) -> Client:
    return Client(
        token, ws_url=f"ws://127.0.0.1:{ws_port}", no_env_proxy=True, direct_mode="relay-only", **options
    )


def allowed(token: str, **options: Any) -> tuple[bool, ...]:
    """Which of the three sites a client reaches."""
    socks_port = free_port()
    with client(token, socks_port=socks_port, **options) as one:
        one.wait_ready(timeout=5)
        return reached(socks_port)


def reached(socks_port: int) -> tuple[bool, ...]:
    return tuple(not refused(site, socks_port) for site in sites)


def provided(result, **options: Any) -> tuple[bool, ...]:
    """Which of the sites are reached through a provider."""
    with client(result.token, reverse=True, **options) as provider:
        provider.wait_ready(timeout=5)
        return reached(result.port)


with Website() as first, Website() as second, Website() as third:
    sites = sorted((first, second, third), key=lambda site: site.port)
    one, two, three = (site.port for site in sites)
    with Server(
        ws_host="127.0.0.1",
        ws_port=ws_port,
        dial_access_control=[AccessRule(addrs=["127.0.0.0/8"], ports=[(one, two)])],
    ) as server:
        plain = server.add_forward_token()
        narrow = server.add_forward_token_with_rules("narrow", [AccessRule(["127.0.0.1"], [one])])
        assert allowed(plain) == (True, True, False), "the server dials where its rules say"
        assert allowed(narrow) == (True, False, False), "the token's own rules"
        entry = [AccessRule(["10.0.0.0/8"]), AccessRule(["127.0.0.1-255"], [two, three])]
        assert allowed(plain, entry_access_control=entry) == (False, True, False), "both ends have rules"

        ruled = server.add_reverse_token(rules=[AccessRule(["127.0.0.1"], [three])])
        assert provided(ruled) == (False, False, True), "a reverse token's rules hold at its port"
        free = server.add_reverse_token()
        dial = [AccessRule(["127.0.0.1"], [two])]
        assert provided(free, dial_access_control=dial) == (False, True, False), "the provider dials"

        server.add_connector_token_with_rules("connector", free.token, [AccessRule(["127.0.0.1"], [one])])
        with client(free.token, reverse=True) as provider:
            provider.wait_ready(timeout=5)
            assert allowed("connector") == (True, False, False), "a connector token's rules"
print("access: 6 sets of rules hold")
