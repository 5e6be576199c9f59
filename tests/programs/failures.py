"""What can't be done raises: no error text ever comes back in the place of a token."""

from typing import Any

from outside import free_port

from linksocks import AccessRule, Client, Server

ws_port = free_port()


def client(token: str, **options: Any) -> Client:
    return Client(
        token,
        ws_url=f"ws://127.0.0.1:{ws_port}",
        no_env_proxy=True,
        direct_mode="relay-only",
        **options,
    )


def fails(call, *args: object, **options: Any) -> None:
    try:
        result = call(*args, **options)
    except RuntimeError:
        return
    raise AssertionError(f"{call.__name__}{args}{options or ''} gave {result!r}")


with Server(ws_host="127.0.0.1", ws_port=ws_port) as server:
    server.add_forward_token("taken")
    result = server.add_reverse_token(token="provider", port=free_port())
    manager = server.add_reverse_token(allow_manage_connector=True)
    with (
        client("taken", socks_port=free_port()) as forward,
        client("provider", reverse=True) as provider,
        client(manager.token, reverse=True) as owner,
    ):
        for each in (forward, provider, owner):
            each.wait_ready(timeout=5)
        fails(server.add_forward_token, "taken")
        fails(server.add_forward_token, "anonymous")
        fails(server.add_forward_token_with_rules, "new", [AccessRule(["10.0.0.0/99"])])
        fails(server.add_reverse_token, token="taken")
        fails(server.add_reverse_token, port=result.port)
        fails(server.add_connector_token, "new", "no-such-token")
        fails(server.add_connector_token, "taken", "provider")
        fails(forward.add_connector, "new")
        fails(provider.add_connector, "new")
        fails(owner.add_connector, "taken")
print("failures: 10 exceptions")
