"""Each peer with itself: if this fails, it is the peer or its driver, and not us."""

from __future__ import annotations

import hashlib

import pytest

from tests.interop.peer import Peer, PeerError
from tests.support.processes import free_port
from tests.support.socks import SocksRefused, connect, curl
from tests.support.targets import HttpTarget, refusing_port, seeded_sha256


def test_a_peer_with_itself(peer: Peer, http: HttpTarget) -> None:
    ws_port, socks_port = free_port(), free_port()
    with peer.play("server", ws_port=ws_port, token="right"):
        with (
            pytest.raises(PeerError, match=r"(?i)invalid token"),
            peer.play("client", ws_port=ws_port, token="wrong", socks_port=socks_port),
        ):
            pass
        with peer.play("client", ws_port=ws_port, token="right", socks_port=socks_port) as client:
            got = curl(socks_port, "--fail", http.url("/bytes/1000000?seed=1"))
            assert hashlib.sha256(got.stdout).hexdigest() == seeded_sha256(1_000_000, 1), client.output
            with refusing_port() as port, pytest.raises(SocksRefused):
                connect(socks_port, "127.0.0.1", port)
