"""The pages of roles that do some work: what they say, and who may read them."""

from __future__ import annotations

import re
from pathlib import Path

import gevent
import pytest

from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.channels.limits import Limits
from linksocks.version import __version__
from linksocks.wire import messages as m
from tests.support import socks
from tests.support.api import KEY, Api
from tests.support.roles import TOKEN, by_hand, client_role, provider_role, running, server_role
from tests.support.scrapes import Scrape
from tests.support.targets import refusing_port
from tests.support.tunnels import Target, application

ANYWHERE = ("127.0.0.1", 0)
DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.rst"
REVERSE = "a-reverse-token-of-the-tests"


def scrape(port: int, key: str | None = None) -> Scrape:
    answer = Api(port, key).ask("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return Scrape(answer.text)


def status(port: int, path: str, key: str | None = None, method: str = "GET") -> int:
    return Api(port, key).ask(method, path).status


class TestWhatTheySay:
    def test_a_forward_server_and_its_client(self) -> None:
        with (
            running(server_role(metrics_address=ANYWHERE)) as server,
            running(client_role(server.port, metrics_address=ANYWHERE, socks_no_wait=True)) as client,
            Target() as target,
            application(client.socks_port, target.port) as app,
            target.accept() as conn,
        ):
            app.sendall(bytes(1234))
            socks.read_exactly(conn, 1234)
            conn.sendall(bytes(99))
            socks.read_exactly(app, 99)
            with refusing_port() as port, pytest.raises(socks.SocksRefused):
                application(client.socks_port, port)
            of_server, of_client = scrape(server.pages.port), scrape(client.pages.port)
            for seen, peer in ((of_server, "forward client"), (of_client, "server")):
                assert seen.of("linksocks_links", peer=peer) == 1
                assert seen.of("linksocks_links_made_total", peer=peer) == 1
                assert seen.of("linksocks_channels", peer=peer, kind="tcp") == 1
                assert seen.of("linksocks_channels", peer=peer, kind="udp") == 0
                assert seen.of("linksocks_channels_opened_total", peer=peer, kind="tcp") == 2
                assert seen["linksocks_ready"] == 1
            assert of_server.of("linksocks_bytes_total", peer="forward client", direction="received") == 1234
            assert of_server.of("linksocks_bytes_total", peer="forward client", direction="sent") == 99
            assert of_client.of("linksocks_bytes_total", peer="server", direction="sent") == 1234
            assert of_server["linksocks_dial_seconds_count"] == 1
            assert of_server.of("linksocks_dial_seconds_bucket", le="+Inf") == 1
            assert of_server.of("linksocks_dial_failures_total", cause="refused") == 1
            assert "linksocks_dial_seconds" not in of_client.families
            assert of_client["linksocks_reconnects_total"] == 0
            assert of_server["process_open_fds"] > 0

    def test_which_program_it_is(self) -> None:
        with running(server_role(metrics_address=ANYWHERE)) as server:
            (sample,) = scrape(server.pages.port).families["linksocks_build_info"].samples
            assert sample.labels["version"] == __version__
            assert sample.labels["role"] == "server"

    def test_a_sum_never_falls(self) -> None:
        """What channels and links did stays, when they end."""
        with running(server_role(metrics_address=ANYWHERE)) as server, Target() as target:
            with by_hand(server) as hand:
                hand.send(m.Connect(b"a" * 16, "127.0.0.1", target.port), m.Data(b"a" * 16, bytes(700)))
                with target.accept() as conn:
                    socks.read_exactly(conn, 700)
            while (seen := scrape(server.pages.port)).of("linksocks_links", peer="forward client"):
                gevent.sleep(0.01)
            assert seen.of("linksocks_bytes_total", peer="forward client", direction="received") == 700
            assert seen.of("linksocks_links_made_total", peer="forward client") == 1
            assert seen.of("linksocks_channels", peer="forward client", kind="tcp") == 0

    def test_refusals(self) -> None:
        role = server_role(limits=Limits(channels=1, links=1), metrics_address=ANYWHERE)
        with running(role) as server, Target() as target, by_hand(server) as hand:
            for channel in (b"a" * 16, b"b" * 16):
                hand.send(m.Connect(channel, "127.0.0.1", target.port))
                hand.expect(m.ConnectResponse)
            for token in (TOKEN, "wrong"):
                client = client_role(server.port, token=token, reconnect=False, socks_no_wait=True)
                with running(client), pytest.raises(Exception, match=r"may have 1 links|invalid token"):
                    client.wait()
            seen = scrape(server.pages.port)
            assert seen.of("linksocks_refusals_total", what="channel", reason="channels") == 1
            assert seen.of("linksocks_refusals_total", what="login", reason="links") == 1
            assert seen.of("linksocks_refusals_total", what="login", reason="token") == 1

    def test_reconnects(self) -> None:
        with (
            running(server_role()) as server,
            running(client_role(server.port, metrics_address=ANYWHERE, socks_no_wait=True)) as client,
        ):
            while not client.figures().ready:
                gevent.sleep(0.01)
            (link,) = server._clients.links
            link.close(1011, "over")
            while scrape(client.pages.port)["linksocks_reconnects_total"] < 1:
                gevent.sleep(0.05)

    def test_the_lag_of_the_loop(self) -> None:
        with running(server_role(metrics_address=ANYWHERE)) as server:
            while not (seen := scrape(server.pages.port))["linksocks_event_loop_lag_seconds_count"]:
                gevent.sleep(0.05)
            assert seen.of("linksocks_event_loop_lag_seconds_bucket", le="+Inf") >= 1


class TestNames:
    def test_labels_hold_no_token_and_no_address(self) -> None:
        role = server_role(metrics_address=ANYWHERE)
        role.add(TokenSpec(Kind.REVERSE, REVERSE))
        role.add(TokenSpec(Kind.CONNECTOR, "c-token-of-the-tests", reverse_token=REVERSE))
        with running(role) as server, running(provider_role(server.port, token=REVERSE)) as provider:
            with (
                by_hand(server),
                by_hand(server, "c-token-of-the-tests"),
                running(client_role(server.port, token="a-wrong-one", socks_no_wait=True)) as wrong,
                pytest.raises(Exception, match="invalid token"),
            ):
                wrong.wait()
            while not provider.figures().ready:
                gevent.sleep(0.01)
            seen = scrape(server.pages.port)
        words = {
            word
            for name, family in seen.families.items()
            if name.startswith("linksocks_") and name != "linksocks_build_info"
            for sample in family.samples
            for label, word in sample.labels.items()
            if label != "le"
        }
        assert words <= {
            *("forward client", "provider", "connector", "tcp", "udp", "sent", "received"),
            *("connection", "login", "channel", "token", "links", "no_login", "channels"),
        }
        assert "127.0.0.1" not in seen.text

    def test_the_documented_names_are_those_that_there_are(self) -> None:
        with (
            running(server_role(metrics_address=ANYWHERE)) as server,
            running(client_role(server.port, metrics_address=ANYWHERE, socks_no_wait=True)) as client,
        ):
            while not client.figures().ready:
                gevent.sleep(0.01)
            families = [
                family
                for port in (server.pages.port, client.pages.port)
                for family in scrape(port).families.values()
            ]
        real = {
            (family.name + "_total" * (family.type == "counter"), family.type)
            for family in families
            if family.name.startswith("linksocks_")
        }
        named = re.findall(
            r"^(linksocks_\w+) +(gauge|counter|histogram) ", DOCUMENT.read_text(), re.MULTILINE
        )
        assert real == set(named)
        assert len(named) == len(real)


class TestWhoMayReadThem:
    def test_on_the_server_s_own_port_nobody_does_without_the_api_s_key(self) -> None:
        with running(server_role()) as server:
            assert status(server.port, "/metrics") == 404
            assert status(server.port, "/metrics", key=KEY) == 404
        with running(server_role(api_keys=[KEY])) as server:
            assert status(server.port, "/metrics") == 401
            assert status(server.port, "/metrics", key="wrong") == 401
            assert scrape(server.port, KEY)["linksocks_ready"] == 1

    def test_everyone_sees_whether_a_server_is_there(self) -> None:
        for keys in ([], [KEY]):
            with running(server_role(api_keys=keys)) as server:
                assert status(server.port, "/healthz") == status(server.port, "/readyz") == 200

    def test_who_is_anyone_at_their_own_address(self) -> None:
        with running(server_role(metrics_address=ANYWHERE)) as server:
            port = server.pages.port
            assert [status(port, path) for path in ("/metrics", "/healthz", "/readyz")] == [200] * 3
            assert [status(port, path) for path in ("/", "/metrics/", "/socket")] == [404, 404, 400]
            assert status(port, "/metrics", method="POST") == 405
            assert Api(port, None).ask("HEAD", "/metrics").text == ""


class TestReadiness:
    def test_of_a_client_without_a_server(self) -> None:
        with refusing_port() as port:
            client = client_role(port, metrics_address=ANYWHERE, socks_no_wait=True)
            with running(client):
                assert status(client.pages.port, "/healthz") == 200
                assert status(client.pages.port, "/readyz") == 503
                assert scrape(client.pages.port)["linksocks_ready"] == 0

    def test_of_a_server_that_stops(self) -> None:
        """It is not ready from the first moment on, while connections still have time to end."""
        with (
            running(server_role(metrics_address=ANYWHERE)) as server,
            Target() as target,
            by_hand(server) as hand,
        ):
            hand.send(m.Connect(b"a" * 16, "127.0.0.1", target.port))
            with target.accept():
                stopping = gevent.spawn(server.stop, 10)
                while server.figures().ready:
                    gevent.sleep(0)
                assert status(server.pages.port, "/readyz") == 503
                assert status(server.pages.port, "/healthz") == 200
            hand.send(m.Disconnect(b"a" * 16))
            stopping.get(timeout=10)
