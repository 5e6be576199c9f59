"""linksocks.contrib.urllib3 before real servers."""

from __future__ import annotations

import copy
import hashlib
import pickle
import re
import socket
from collections.abc import Iterator

import pytest
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from linksocks import Client, Server
from linksocks.contrib.urllib3 import PoolManager, ProviderDialer
from linksocks.errors import ConfigError
from tests.contrib.conftest import Elsewhere
from tests.contrib.failing import LATE, MISTAKES, UNMADE, Failing, named
from tests.support.certificates import Files
from tests.support.ports import free_port
from tests.support.targets import (
    HttpTarget,
    mute_port,
    refusing_port,
    seeded_bytes,
    seeded_sha256,
    unanswered_port,
)

PATIENCE = 10.0
MIB = 1024 * 1024


@pytest.fixture
def http(far: Elsewhere) -> Iterator[PoolManager]:
    with PoolManager(far, timeout=PATIENCE, retries=False) as http:
        yield http


class TestRequests:
    def test_down(self, http: PoolManager, target: HttpTarget) -> None:
        digest = hashlib.sha256()
        answer = http.request("GET", target.url(f"/bytes/{20 * MIB}?seed=1"), preload_content=False)
        for piece in answer.stream(MIB):
            digest.update(piece)
        answer.release_conn()
        assert digest.hexdigest() == seeded_sha256(20 * MIB, 1)

    def test_up(self, http: PoolManager, target: HttpTarget) -> None:
        answer = http.request("PUT", target.url(), body=seeded_bytes(20 * MIB))
        assert answer.data.decode() == seeded_sha256(20 * MIB, 1)

    def test_ipv6(self, http: PoolManager, far: Elsewhere) -> None:
        with HttpTarget("::1") as target:
            assert http.request("GET", target.url("/bytes/10?seed=1")).data == seeded_bytes(10)
        assert far.asked == [("::1", target.port)]

    @pytest.mark.parametrize("name", ["target.example", "target.example."])
    def test_the_far_end_gets_the_name_as_it_stands(
        self, http: PoolManager, far: Elsewhere, target: HttpTarget, name: str
    ) -> None:
        assert http.request("GET", target.url("/bytes/10?seed=1", name)).data == seeded_bytes(10)
        assert far.asked == [(name, target.port)]

    def test_options_of_sockets(self, far: Elsewhere, target: HttpTarget) -> None:
        keep = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for options, expected in [({}, (1, 0)), ({"socket_options": [keep]}, (0, 1))]:
            with PoolManager(far, **options) as http:
                pool = http.connection_from_url(target.url())
                pool.request("GET", "/bytes/1")
                connection = pool._get_conn()
                levels = (socket.IPPROTO_TCP, socket.TCP_NODELAY), (socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert tuple(bool(connection.sock.getsockopt(*which)) for which in levels) == expected
                connection.close()


class TestPools:
    def test_a_connection_is_kept(self, http: PoolManager, far: Elsewhere, target: HttpTarget) -> None:
        for size in (100_000, 0, 10):
            assert http.request("GET", target.url(f"/bytes/{size}?seed=1")).data == seeded_bytes(size)
        assert len(far.asked) == 1

    def test_one_that_the_server_closed_is_replaced(
        self, http: PoolManager, far: Elsewhere, target: HttpTarget
    ) -> None:
        http.request("GET", target.url("/bytes/10"))
        assert http.request("HEAD", target.url()).status == 501  # said with `Connection: close`
        assert http.request("GET", target.url("/bytes/10?seed=1")).data == seeded_bytes(10)
        assert len(far.asked) == 2

    def test_each_tunnel_has_its_own(self, client: Client, target: HttpTarget) -> None:
        dialers = Elsewhere(client), Elsewhere(client)
        for dialer in dialers:
            with PoolManager(dialer) as http:
                http.request("GET", target.url("/bytes/10"))
        assert [len(dialer.asked) for dialer in dialers] == [1, 1]


class TestTls:
    def test_the_name_of_the_target(self, http: PoolManager, files: Files) -> None:
        http.connection_pool_kw["ca_certs"] = str(files.ca)
        with HttpTarget(tls=files.serving()) as target:
            for name in ("target.example", "target.example."):
                answer = http.request("GET", target.url("/bytes/300000?seed=1", name))
                assert answer.data == seeded_bytes(300_000)

    def test_another_name(self, http: PoolManager, files: Files) -> None:
        http.connection_pool_kw["ca_certs"] = str(files.ca)
        with (
            HttpTarget(tls=files.serving()) as target,
            pytest.raises(SSLError, match=r"not valid for|doesn't match|Hostname mismatch"),
        ):
            http.request("GET", target.url("/", "other.example"))

    def test_an_unknown_authority(self, http: PoolManager, files: Files) -> None:
        with HttpTarget(tls=files.serving()) as target, pytest.raises(SSLError, match="local issuer"):
            http.request("GET", target.url("/", "target.example"))


class TestFailures:
    def test_a_target_that_refuses(self, http: PoolManager) -> None:
        with refusing_port() as port, pytest.raises(NewConnectionError, match="refused"):
            http.request("GET", f"http://target.example:{port}/")

    def test_a_target_that_does_not_answer_in_time(self, http: PoolManager, far: Elsewhere) -> None:
        with unanswered_port() as port, pytest.raises(ConnectTimeoutError):
            http.request("GET", f"http://target.example:{port}/", timeout=urllib3.Timeout(connect=0.2))
        assert far.timeout == 0.2

    def test_a_target_that_says_nothing_in_time(self, http: PoolManager) -> None:
        with mute_port() as port, pytest.raises(ReadTimeoutError):
            http.request("GET", f"http://target.example:{port}/", timeout=urllib3.Timeout(read=0.2))

    def test_as_often_as_retries_say(self, far: Elsewhere) -> None:
        with refusing_port() as port, PoolManager(far, retries=2) as http:
            with pytest.raises(MaxRetryError) as caught:
                http.request("GET", f"http://target.example:{port}/")
            assert isinstance(caught.value.reason, NewConnectionError)
        assert len(far.asked) == 3

    @pytest.mark.parametrize("error", LATE, ids=named)
    def test_what_comes_too_late(self, error: Exception) -> None:
        with PoolManager(Failing(error), retries=False) as http:
            with pytest.raises(ConnectTimeoutError, match=re.escape(str(error))) as caught:
                http.request("GET", "http://target.example/")
            assert caught.value.__cause__ is error

    @pytest.mark.parametrize("error", UNMADE, ids=named)
    def test_what_can_not_be_made(self, error: Exception) -> None:
        with PoolManager(Failing(error), retries=False) as http:
            with pytest.raises(NewConnectionError, match=re.escape(str(error))) as caught:
                http.request("GET", "https://target.example/")
            assert caught.value.__cause__ is error

    @pytest.mark.parametrize("error", MISTAKES, ids=named)
    def test_mistakes_of_the_program(self, error: Exception) -> None:
        dialer = Failing(error)
        with PoolManager(dialer, retries=3) as http, pytest.raises(type(error)):
            http.request("GET", "http://target.example/")
        assert dialer.calls == 1


class TestProviderDialer:
    def test_the_network_of_a_provider(self, target: HttpTarget) -> None:
        with Server(ws_host="127.0.0.1", ws_port=0) as server:
            token = server.add_reverse_token(port=free_port()).token
            with (
                Client(token, ws_url=f"ws://127.0.0.1:{server.ws_port}", reverse=True) as provider,
                PoolManager(ProviderDialer(server, token), timeout=PATIENCE) as http,
            ):
                provider.wait_ready(PATIENCE)
                assert http.request("GET", target.url("/bytes/1000?seed=1")).data == seeded_bytes(1000)
                assert provider.stats().connections == 1


class TestWhatItRefuses:
    @pytest.mark.parametrize("act", [copy.copy, copy.deepcopy, pickle.dumps])
    def test_copies(self, http: PoolManager, act) -> None:
        with pytest.raises(TypeError, match="make a new one"):
            act(http)

    def test_a_source_address(self, far: Elsewhere) -> None:
        with pytest.raises(ConfigError, match="source_address"):
            PoolManager(far, source_address=("127.0.0.1", 0))
