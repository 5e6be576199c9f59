"""A server with a certificate: links and the API go through the same port, and the certificate can be read anew."""

from __future__ import annotations

import subprocess

import gevent
import pytest
import trustme

from linksocks.errors import ConfigError
from linksocks.net.tls.certificate import Certificate
from linksocks.net.tls.trust import Trust
from tests.support.certificates import Files
from tests.support.processes import ran
from tests.support.roles import client_role, running, server_role
from tests.support.tunnels import Target, application

KEY = "an-api-key-of-the-tests"


@pytest.fixture
def files(tmp_path) -> Files:
    return Files(tmp_path, trustme.CA())


def curl(files: Files, url: str) -> str:
    argv = ["curl", "-sS", "--noproxy", "*", "-m", "10", "--cacert", files.ca, "-H", f"X-API-Key: {KEY}", url]
    return str(ran(argv, text=True, check=True).stdout)


def test_links_and_the_api_share_the_port(files):
    trust = Trust(ca_file=str(files.ca))
    with (
        Target() as target,
        running(server_role(certificate=Certificate(*files.pair), api_keys=[KEY])) as server,
        running(
            client_role(0, url=f"wss://localhost:{server.port}", trust=trust, socks_no_wait=True)
        ) as client,
    ):
        accepting = gevent.spawn(target.accept)
        with application(client.socks_port, target.port) as app, accepting.get() as far:
            app.sendall(b"hello")
            assert far.recv(100) == b"hello"
            assert '"clients"' in curl(files, f"https://localhost:{server.port}/api/clients")


def test_the_certificate_is_read_anew(files):
    with running(server_role(certificate=Certificate(*files.pair))) as server:
        files.issue(trustme.CA(), "localhost")
        server.reload_certificate()
        with pytest.raises(subprocess.CalledProcessError):
            curl(files, f"https://localhost:{server.port}/")
        files.cert.write_text("broken")
        with pytest.raises(ConfigError, match=r"server\.pem: expected certificates in PEM"):
            server.reload_certificate()


def test_without_a_certificate_there_is_nothing_to_read():
    server_role().reload_certificate()
