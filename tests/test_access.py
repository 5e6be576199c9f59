"""Access rules at each place that may have them, in every mode: streams, HTTP and datagrams, real sockets between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle

import gevent
import pytest
from gevent import socket

from linksocks.net.out import resolve
from linksocks.server.grants import Reverse
from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.access import NO_RULES, AccessRules, parse_rules
from linksocks.wire import messages as m
from tests.support import socks
from tests.support.associations import Association, udp_socket
from tests.support.rawsocket import read_head
from tests.support.roles import TOKEN, by_hand, client_role, provider_role, running, server_role
from tests.support.targets import EchoTarget, HttpTarget
from tests.support.tunnels import PATIENCE

CONNECTOR = "a-connector-token"

RULES = AccessRules(parse_rules("127.0.0.1:*"))
BLOCKED = "destination blocked by access control"

PLACES = [
    "forward, dial", "forward, token", "forward, client",
    "reverse, token", "reverse, entry", "reverse, provider",
    "agent, token", "agent, entry", "agent, client", "agent, provider",
    "autonomy, token", "autonomy, entry", "autonomy, client", "autonomy, provider",
]  # fmt: skip
"""Each mode, and who has the rules in it."""

HERE = [
    place for place in PLACES if place not in ("forward, dial", "forward, token") and "provider" not in place
]
"""Those where somebody else dials."""

places = pytest.mark.parametrize("place", PLACES)


@contextmanager
def chain(place: str, rules: AccessRules = RULES) -> Iterator[int]:
    """The port for applications of one mode, with `rules` at one place."""
    mode, where = place.split(", ")
    at = {where: rules}
    with ExitStack() as stack:
        server = server_role(
            token="",
            socks_no_wait=True,
            dial_rules=at.get("dial", NO_RULES),
            entry_rules=at.get("entry", NO_RULES),
        )
        port = _add_tokens(server, mode, at.get("token", NO_RULES))
        stack.enter_context(running(server))
        if mode != "forward":
            lends = {"connector_tokens": [CONNECTOR]} if mode == "autonomy" else {}
            provider = provider_role(server.port, rules=at.get("provider", NO_RULES), **lends)
            stack.enter_context(running(provider))
        if mode != "reverse":
            token = TOKEN if mode == "forward" else CONNECTOR
            client = client_role(
                server.port,
                token=token,
                retry_auth=True,
                socks_no_wait=True,
                rules=at.get("client", NO_RULES),
            )
            stack.enter_context(running(client))
            port = client.socks_port
        yield port


def _add_tokens(server: ServerRole, mode: str, rules: AccessRules) -> int:
    """The port of a reverse token."""
    if mode in ("forward", "autonomy"):
        server.add(TokenSpec(Kind.FORWARD if mode == "forward" else Kind.AUTONOMY, TOKEN, rules=rules))
        return 0
    grant = server.add(TokenSpec(Kind.REVERSE, TOKEN, rules=rules if mode == "reverse" else NO_RULES)).grant
    if mode == "agent":
        server.add(TokenSpec(Kind.CONNECTOR, CONNECTOR, reverse_token=TOKEN, rules=rules))
    assert isinstance(grant, Reverse)
    return grant.port


def connect(socks_port: int, host: str, port: int) -> socket.socket:
    return socks.connect(socks_port, host, port, timeout=PATIENCE, create=socket.create_connection)  # type: ignore[return-value]


def refused(socks_port: int, host: str, port: int) -> int:
    with pytest.raises(socks.SocksRefused) as caught:
        connect(socks_port, host, port)
    return caught.value.reply


def works(app: socket.socket) -> None:
    app.sendall(b"hello")
    assert socks.read_exactly(app, 5) == b"hello"


@contextmanager
def udp_targets(*hosts: str) -> Iterator[list[socket.socket]]:
    """On one port of several addresses."""
    with ExitStack() as stack:
        first = stack.enter_context(udp_socket(hosts[0], PATIENCE, socket))
        found = [first]
        for host in hosts[1:]:
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.bind((host, first.getsockname()[1]))
            found.append(sock)
        yield found


# Streams


@places
def test_what_is_allowed_is_reached(place: str) -> None:
    with EchoTarget() as target, chain(place) as port:
        for host in ("127.0.0.1", "localhost", "LOCALHOST", "2130706433", "::ffff:127.0.0.1"):
            with connect(port, host, target.port) as app:
                works(app)


@places
def test_what_is_not_is_refused(place: str) -> None:
    with EchoTarget("::") as target, chain(place) as port:
        for host in ("127.0.0.2", "::1", "0.0.0.0", "::ffff:127.0.0.2", "127.2", "0177.0.0.2"):
            assert refused(port, host, target.port) == socks.NOT_ALLOWED


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a name server is asked that gives an allowed address and another one in turn, neither to be kept."""
    answers = cycle(["127.0.0.1", "127.0.0.2"])
    names: list[str] = []

    def getaddrinfo(host: str) -> list[object]:
        names.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 0))]

    monkeypatch.setattr(resolve, "_getaddrinfo", getaddrinfo)
    monkeypatch.setattr(resolve, "_KEEP_SECONDS", -1.0)
    return names


@places
def test_rebinding(place: str, asked: list[str]) -> None:
    """Nobody looks up again what was judged."""
    with EchoTarget() as target, socket.socket() as secret, chain(place) as port:
        secret.bind(("127.0.0.2", target.port))
        secret.listen()
        for _ in range(3):
            with connect(port, "evil.example", target.port) as app:
                works(app)
            assert refused(port, "evil.example", target.port) == socks.NOT_ALLOWED
        secret.settimeout(0)
        with pytest.raises(BlockingIOError):
            secret.accept()
    assert asked == ["evil.example"] * 6


@pytest.mark.parametrize("place", ["forward, dial", "forward, client", "reverse, token", "agent, token"])
def test_rebinding_in_http(place: str, asked: list[str]) -> None:
    with HttpTarget() as target, chain(place) as port:
        request = f"GET http://evil.example:{target.port}/bytes/5 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        for answer in (b"HTTP/1.1 200 ", b"HTTP/1.1 403 ") * 2:
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as app:
                app.sendall(request)
                assert read_head(app).startswith(answer)
    assert asked == ["evil.example"] * 4


@pytest.mark.parametrize("place", ["forward, dial", "forward, client", "reverse, token", "agent, token"])
def test_http_says_403(place: str) -> None:
    with HttpTarget() as target, chain(place) as port:
        for request in (
            f"CONNECT 127.0.0.2:{target.port} HTTP/1.1\r\nHost: x\r\n\r\n",
            f"GET http://127.0.0.2:{target.port}/bytes/5 HTTP/1.1\r\nHost: x\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as app:
                app.sendall(request.encode())
                assert read_head(app).startswith(b"HTTP/1.1 403 ")
                assert app.recv(1000) == f"linksocks: {BLOCKED}\n".encode()
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as app:
            app.sendall(f"GET http://localhost:{target.port}/bytes/5 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert read_head(app).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("place", ["forward, client", "reverse, token"])
def test_what_is_refused_at_the_port_opens_no_channel(place: str) -> None:
    """So it needs no link either."""
    with ExitStack() as stack:
        server = server_role(token="", socks_no_wait=True)
        if place == "reverse, token":
            port = _add_tokens(server, "reverse", RULES)
            stack.enter_context(running(server))
        else:
            stack.enter_context(running(server))
            client = client_role(server.port, retry_auth=True, socks_no_wait=True, rules=RULES)
            stack.enter_context(running(client))
            port = client.socks_port
        assert refused(port, "127.0.0.2", 80) == socks.NOT_ALLOWED


def test_a_peer_is_told_in_linksocks_s_words() -> None:
    with running(server_role(token="")) as server:
        server.add(TokenSpec(Kind.FORWARD, TOKEN, rules=RULES))
        with by_hand(server) as hand:
            for host in ("127.0.0.2", "127.0.0.1", "localhost"):
                hand.send(m.Connect(b"c" * 16, host, 1))
                answer = hand.expect(m.ConnectResponse)
                assert not answer.success
                assert (answer.error == BLOCKED) == (host == "127.0.0.2")


def test_rules_of_the_token_and_of_the_server_both_hold() -> None:
    server = server_role(token="", dial_rules=AccessRules(deny=parse_rules("127.0.0.3:*")))
    server.add(TokenSpec(Kind.FORWARD, TOKEN, rules=AccessRules(parse_rules("127.0.0.1,127.0.0.3:*"))))
    with (
        EchoTarget("0.0.0.0") as target,
        running(server),
        running(client_role(server.port, socks_no_wait=True)) as client,
    ):
        for host in ("127.0.0.2", "127.0.0.3"):
            assert refused(client.socks_port, host, target.port) == socks.NOT_ALLOWED
        with connect(client.socks_port, "127.0.0.1", target.port) as app:
            works(app)


def test_each_token_has_its_own() -> None:
    server = server_role(token="")
    for number in (1, 2):
        rules = AccessRules(parse_rules(f"127.0.0.{number}:*"))
        server.add(TokenSpec(Kind.FORWARD, f"token {number}", rules=rules))
    with EchoTarget("0.0.0.0") as target, running(server), ExitStack() as stack:
        for number, other in ((1, 2), (2, 1)):
            client = client_role(server.port, token=f"token {number}", socks_no_wait=True)
            stack.enter_context(running(client))
            assert refused(client.socks_port, f"127.0.0.{other}", target.port) == socks.NOT_ALLOWED
            with connect(client.socks_port, f"127.0.0.{number}", target.port) as app:
                works(app)


def test_rules_of_a_reverse_token_stand_instead_of_those_of_all_ports() -> None:
    server = server_role(token="", socks_no_wait=True, entry_rules=AccessRules(parse_rules("127.0.0.2:*")))
    own = _add_tokens(server, "reverse", RULES)
    grant = server.add(TokenSpec(Kind.REVERSE, "another", username="")).grant
    assert isinstance(grant, Reverse)
    with (
        EchoTarget("0.0.0.0") as target,
        running(server),
        running(provider_role(server.port)),
        running(provider_role(server.port, token="another")),
    ):
        for port, good, bad in ((own, 1, 2), (grant.port, 2, 1)):
            assert refused(port, f"127.0.0.{bad}", target.port) == socks.NOT_ALLOWED
            with connect(port, f"127.0.0.{good}", target.port) as app:
                works(app)


def test_rules_may_be_replaced_and_what_is_open_goes_on() -> None:
    server = server_role(token="", socks_no_wait=True)
    token = server.add(TokenSpec(Kind.FORWARD, TOKEN))
    with (
        EchoTarget() as target,
        running(server),
        running(client_role(server.port, socks_no_wait=True)) as client,
    ):
        with connect(client.socks_port, "127.0.0.1", target.port) as app:
            works(app)
            server.dial_rules = AccessRules(block_private=True)
            assert refused(client.socks_port, "127.0.0.1", target.port) == socks.NOT_ALLOWED
            works(app)
            server.dial_rules = NO_RULES
            token.grant.gate.own = AccessRules(deny=parse_rules(f"*:{target.port}"))
            assert refused(client.socks_port, "127.0.0.1", target.port) == socks.NOT_ALLOWED
            works(app)
        token.grant.gate.own = NO_RULES
        connect(client.socks_port, "127.0.0.1", target.port).close()


@pytest.mark.parametrize("place", HERE)
def test_names_that_decide_are_left_to_who_dials(place: str) -> None:
    """Nobody knows these names: who looks one up fails, and the provider or server says so."""
    rules = AccessRules(parse_rules("*.invalid:*"))
    with chain(place, rules) as port:
        assert refused(port, "name.invalid", 80) == socks.HOST_UNREACHABLE
        assert refused(port, "name.example", 80) == socks.NOT_ALLOWED


def test_fast_open_does_not_promise_what_is_blocked() -> None:
    server = server_role(token="", socks_no_wait=True, fast_open=True)
    with running(server):
        assert refused(_add_tokens(server, "reverse", RULES), "127.0.0.2", 80) == socks.NOT_ALLOWED


# Datagrams: LinkSocks lets them pass by the rules of who dials, and refuses UDP to tokens with rules


@places
def test_each_datagram_is_judged(place: str) -> None:
    with udp_targets("127.0.0.1", "127.0.0.2") as (good, bad), chain(place) as port:
        to = good.getsockname()[1]
        with (
            gevent.Timeout(3 * PATIENCE),
            Association(("127.0.0.1", port), timeout=PATIENCE, sockets=socket) as app,
        ):
            for host in ("127.0.0.2", "::ffff:127.0.0.2", "127.2"):
                app.send(host, to, b"to the bad one")
            app.send("127.0.0.1", to, b"by address")
            assert good.recvfrom(100)[0] == b"by address"
            app.send("localhost", to, b"by name")
            said, source = good.recvfrom(100)
            assert said == b"by name"
            good.sendto(b"answer", source)
            assert app.receive() == ("127.0.0.1", to, b"answer")
        bad.settimeout(0)
        with pytest.raises(BlockingIOError):
            bad.recv(100)


def test_rules_for_ports_hold_for_datagrams() -> None:
    with udp_targets("127.0.0.1") as (good,), udp_targets("127.0.0.1") as (bad,):
        rules = AccessRules(deny=parse_rules(f"*:{bad.getsockname()[1]}"))
        with chain("forward, dial", rules) as port:
            with Association(("127.0.0.1", port), timeout=PATIENCE, sockets=socket) as app:
                app.send("127.0.0.1", bad.getsockname()[1], b"x")
                app.send("localhost", bad.getsockname()[1], b"x")
                app.send("127.0.0.1", good.getsockname()[1], b"y")
                assert good.recv(10) == b"y"
            bad.settimeout(0)
            with pytest.raises(BlockingIOError):
                bad.recv(10)
