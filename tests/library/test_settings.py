"""What the arguments of Server and Client do: each of them shows, in a real tunnel."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import trustme

from linksocks import AuthError, Client, DeadlineError, LinkError, Server
from tests.library.conftest import url_of
from tests.support.certificates import Files
from tests.support.ports import free_port
from tests.support.socks import SocksRefused, connect
from tests.support.targets import EchoTarget, mute_port, refusing_port
from tests.support.waits import eventually

pytestmark = pytest.mark.usefixtures("clean")


@pytest.mark.parametrize("side", ["server", "client"])
def test_channel_timeout_ends_what_does_not_move(echo: EchoTarget, side: str) -> None:
    given: dict[str, Any] = {"channel_timeout": "50ms"}
    with (
        Server(ws_host="127.0.0.1", ws_port=0, **(given if side == "server" else {})) as server,
        Client(
            server.add_forward_token(),
            ws_url=url_of(server),
            socks=False,
            **(given if side == "client" else {}),
        ) as client,
        client.create_connection((echo.host, echo.port), timeout=20) as sock,
        pytest.raises(ConnectionResetError),
    ):
        assert sock.recv(1) == b"x"


def test_socks_wait_client_says_when_the_port_of_a_token_opens() -> None:
    for waits in (True, False):
        with Server(ws_host="127.0.0.1", ws_port=0, socks_wait_client=waits) as server:
            assert listens(server.add_reverse_token().port) is not waits


def test_socks_wait_server_says_when_the_port_of_a_client_opens() -> None:
    with mute_port() as port:
        for waits in (True, False):
            with Client(
                "token", ws_url=f"ws://127.0.0.1:{port}", socks_port=0, socks_wait_server=waits
            ) as client:
                assert listens(client.socks_port or 0) is not waits


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("how", ["apart", "url"])
@pytest.mark.parametrize("who", ["server", "provider", "client"])
def test_an_upstream_proxy_is_the_way(server: Server, echo: EchoTarget, who: str, how: str) -> None:
    with Client(
        server.add_forward_token(),
        ws_url=url_of(server),
        socks_port=0,
        socks_username="ann",
        socks_password="p@ss",
    ) as proxy:
        url = proxy.proxies["http"]
        address = f"127.0.0.1:{proxy.socks_port}"
        apart = {"upstream_proxy": address, "upstream_username": "ann", "upstream_password": "p@ss"}
        way: dict[str, Any] = apart if how == "apart" else {"upstream_proxy": url}
        given = {who: way}
        with Server(ws_host="127.0.0.1", ws_port=0, **given.get("server", {})) as other:
            lent = other.add_reverse_token().token
            with (
                Client(lent, ws_url=url_of(other), reverse=True, **given.get("provider", {})) as provider,
                Client(
                    other.add_forward_token(), ws_url=url_of(other), socks=False, **given.get("client", {})
                ) as client,
            ):
                provider.wait_ready(10)
                client.create_connection((echo.host, echo.port), timeout=10).close()
                other.create_connection((echo.host, echo.port), 10, token=lent).close()
                assert proxy.stats().connections == 1


def test_fast_open_answers_before_the_target(server: Server) -> None:
    with refusing_port() as target:
        for fast in (True, False):
            with Client(
                server.add_forward_token(), ws_url=url_of(server), socks_port=0, fast_open=fast
            ) as client:
                client.wait_ready(10)
                try:
                    connect(client.socks_port or 0, "127.0.0.1", target).close()
                except SocksRefused:
                    assert not fast
                else:
                    assert fast


def test_threads_is_how_many_links_there_are(server: Server) -> None:
    events = server.events()
    with Client(server.add_forward_token(), ws_url=url_of(server), socks=False, threads=3):
        for _ in range(3):
            next(events)
        assert (server.stats().links, server.stats().clients) == (3, 1)


def test_retry_auth_waits_for_the_token(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Client(
        "later", ws_url=url_of(server), socks=False, reconnect=True, retry_auth=True, reconnect_delay="10ms"
    ) as client:
        eventually(lambda: "trying again" in caplog.text)
        with pytest.raises(DeadlineError, match="invalid token"):
            client.wait_ready("50ms")
        server.add_forward_token("later")
        client.wait_ready(20)


def test_the_api_of_a_server_keeps_its_tokens_in_the_state_file(tmp_path: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    state = tmp_path / "state"
    with Server(ws_host="127.0.0.1", ws_port=0, api_key="key", state_file=state) as server:
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.ws_port}/api/token",
            data=json.dumps({"type": "forward", "token": "kept"}).encode(),
            headers={"X-API-Key": "key", "Content-Type": "application/json"},
        )
        opener.open(request, timeout=10).close()
        server.add_forward_token("not kept")
    with Server(ws_host="127.0.0.1", ws_port=0, api_key="key", state_file=state) as server:
        with Client("kept", ws_url=url_of(server), socks=False) as client:
            client.wait_ready(10)
        with Client("not kept", ws_url=url_of(server), socks=False) as client, pytest.raises(AuthError):
            client.wait_ready(10)


def test_tls_of_both_sides(tmp_path: Path) -> None:
    authority = trustme.CA()
    files, own = Files(tmp_path, authority), Files(tmp_path, authority, "client", stem="client")
    with Server(
        ws_host="127.0.0.1", ws_port=0, tls_cert=files.cert, tls_key=files.key, tls_client_ca=files.ca
    ) as server:
        token = server.add_forward_token()
        url = f"wss://127.0.0.1:{server.ws_port}"
        shown: dict[str, Any] = {"tls_client_cert": own.cert, "tls_client_key": own.key}
        good: list[dict[str, Any]] = [
            {"ca_file": files.ca},
            {"insecure": True},
            {"tls_pin": files.fingerprint},
            {"ca_file": str(files.ca), "tls_server_name": "localhost"},
        ]
        for given in good:
            with Client(token, ws_url=url, socks=False, **given, **shown) as client:
                client.wait_ready(10)
        bad: list[dict[str, Any]] = [
            shown,
            {"ca_file": files.ca},
            {"tls_pin": "ab" * 32, **shown},
            {"ca_file": files.ca, "tls_server_name": "example.org", **shown},
        ]
        for given in bad:
            with Client(token, ws_url=url, socks=False, **given) as client, pytest.raises(LinkError):
                client.wait_ready(10)


def test_the_hosts_of_ports() -> None:
    port = free_port("::1")
    with Server(ws_host="::1", ws_port=port, socks_host="::1", socks_wait_client=False) as server:
        lent = server.add_reverse_token()
        for each in (port, lent.port):
            socket.create_connection(("::1", each), timeout=10).close()
        with Client(
            server.add_forward_token(), ws_url=f"ws://[::1]:{port}", socks_host="::1", socks_port=0
        ) as client:
            client.wait_ready(10)
            socket.create_connection(("::1", client.socks_port or 0), timeout=10).close()


def test_reconnect_delay_is_the_first_pause(caplog: pytest.LogCaptureFixture) -> None:
    with (
        refusing_port() as port,
        Client("token", ws_url=f"ws://127.0.0.1:{port}", socks=False, reconnect=True, reconnect_delay="1h"),
    ):
        eventually(lambda: "trying again" in caplog.text)
    (pause,) = re.findall(r"trying again in ([0-9.]+) s", caplog.text)
    assert float(pause) >= 3600
