"""The HTTP API of the server: tokens are added, listed and removed by requests; each key of the list opens it."""

import json
import urllib.error
import urllib.request

from outside import Website, fetch, free_port

from linksocks import Client, Server

ws_port, socks_port = free_port(), free_port()

# Whatever proxy the environment names, not for this one.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(method: str, path: str, body: object = None, key: str = "secret") -> dict:
    request = urllib.request.Request(
        f"http://127.0.0.1:{ws_port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-API-Key": key, "Content-Type": "application/json"},
    )
    with opener.open(request, timeout=5) as response:
        return json.load(response)


with (
    Website() as site,
    Server(ws_host="127.0.0.1", ws_port=ws_port, api_key="secret", api_keys=["another"]) as server,
):
    reply = call("POST", "/api/token", {"type": "forward", "token": "by-api"})
    assert (reply["success"], reply["token"]) == (True, "by-api")
    reverse = call("POST", "/api/token", {"type": "reverse", "token": "provider"}, key="another")
    assert reverse["port"] > 0
    server.add_forward_token("by-call")

    status = call("GET", "/api/status")
    assert {item["token"] for item in status["tokens"]} == {"by-api", "provider", "by-call"}
    assert status["version"]

    try:
        call("GET", "/api/status", key="wrong")
    except urllib.error.HTTPError as error:
        assert error.code == 401
    else:
        raise AssertionError("any key opens the API")

    with Client(
        "by-api",
        ws_url=f"ws://127.0.0.1:{ws_port}",
        socks_port=socks_port,
        no_env_proxy=True,
        direct_mode="relay-only",
    ) as client:
        client.wait_ready(timeout=5)
        size = fetch(site, socks_port)

    assert call("DELETE", "/api/token/by-api")["success"]
    assert "by-api" not in {item["token"] for item in call("GET", "/api/status")["tokens"]}
    print(f"http api: {size} bytes")
