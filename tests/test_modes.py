"""Applications that people use, through every mode that has a provider; forward mode is in test_end_to_end.

A tool that is given a wrong password must fail: so none of them went around the tunnel.
"""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

import dns.message
import dns.query
import pytest
import requests
import socks as pysocks

from tests.support import socks
from tests.support.applications import curl
from tests.support.chains import Chain
from tests.support.nameserver import NameServer
from tests.support.processes import PATIENCE
from tests.support.targets import FolderTarget, HttpTarget, refusing_port, seeded_sha256

USER, PASSWORD = "user", "s3cret"

LOGINS = {"open": "", "password": f"{USER}:{PASSWORD}@"}
"""What stands before the host in the proxy's address."""

WRONG_LOGIN = f"{USER}:wrong@"

SIZE = 300_000

ABSOLUTE_FORM = ("-x", "http://{}")
CONNECT = ("-p", "-x", "http://{}")
SOCKS5 = ("-x", "socks5://{}")
SOCKS5_HOSTNAME = ("-x", "socks5h://{}")
SOCKS4 = ("--socks4", "{}")
SOCKS4A = ("--socks4a", "{}")

with_a_password = pytest.mark.parametrize(
    "flags", [ABSOLUTE_FORM, CONNECT, SOCKS5, SOCKS5_HOSTNAME], ids="".join
)
without_a_password = pytest.mark.parametrize("flags", [SOCKS4, SOCKS4A], ids=itemgetter(0))


class Proxy:
    """The port for applications of a mode."""

    def __init__(self, chain: Chain, login: str) -> None:
        self.chain = chain
        self.has_password = bool(login)
        self.address = f"{login}127.0.0.1:{chain.socks_port}"
        self.wrong_address = f"{WRONG_LOGIN}127.0.0.1:{chain.socks_port}"

    def curl(self, flags: tuple[str, ...], *args: str) -> subprocess.CompletedProcess:
        return curl(*(flag.format(self.address) for flag in flags), *args)


@pytest.fixture(
    scope="module",
    params=["reverse-open", "reverse-password", "agent-open", "agent-password", "autonomy-open"],
)
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    mode, login = request.param.split("-")
    entry = ("-n", USER, "-w", PASSWORD) if LOGINS[login] else ()
    with Chain(mode, entry=entry) as chain:
        yield Proxy(chain, LOGINS[login])


@pytest.fixture(scope="module")
def web() -> Iterator[HttpTarget]:
    with HttpTarget() as target:
        yield target


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FolderTarget]:
    """A git repository behind a web server that knows nothing of git."""
    folder = tmp_path_factory.mktemp("served")
    work = folder / "work"
    _git("init", "-q", str(work))
    (work / "file").write_bytes(random.Random(7).randbytes(SIZE))
    author = ("-c", "user.name=A", "-c", "user.email=a@b")
    _git("-C", str(work), "add", "file")
    _git("-C", str(work), *author, "commit", "-q", "-m", "a file")
    _git("clone", "-q", "--bare", str(work), str(folder / "it.git"))
    _git("-C", str(folder / "it.git"), "update-server-info")
    with FolderTarget(folder) as target:
        yield target


class TestCurl:
    @with_a_password
    def test_a_download(self, proxy: Proxy, web: HttpTarget, flags: tuple[str, ...]) -> None:
        got = proxy.curl(flags, "--fail", web.url(f"/bytes/{SIZE}?seed=1"))
        assert got.returncode == 0, got.stderr.decode()
        assert hashlib.sha256(got.stdout).hexdigest() == seeded_sha256(SIZE, 1)

    @with_a_password
    def test_an_upload(self, proxy: Proxy, web: HttpTarget, tmp_path: Path, flags: tuple[str, ...]) -> None:
        (tmp_path / "body").write_bytes(random.Random(2).randbytes(SIZE))
        got = proxy.curl(flags, "--fail", "-T", str(tmp_path / "body"), web.url("/upload"))
        assert got.returncode == 0, got.stderr.decode()
        assert got.stdout.decode() == hashlib.sha256((tmp_path / "body").read_bytes()).hexdigest()

    @with_a_password
    def test_a_refused_target(self, proxy: Proxy, flags: tuple[str, ...]) -> None:
        with refusing_port() as port:
            got = proxy.curl(flags, "--fail", f"http://127.0.0.1:{port}/")
        assert got.returncode in (22, 56, 97), got.stderr.decode()  # HTTP error, CONNECT refused, SOCKS error
        assert got.stdout == b""

    @with_a_password
    def test_a_wrong_password(self, proxy: Proxy, web: HttpTarget, flags: tuple[str, ...]) -> None:
        """Where there is none, any will do."""
        wrong = [flag.format(proxy.wrong_address) for flag in flags]
        assert curl(*wrong, "--fail", web.url("/bytes/1")).returncode in (
            (22, 56, 97) if proxy.has_password else (0,)
        )

    @without_a_password
    def test_socks4(self, proxy: Proxy, web: HttpTarget, flags: tuple[str, ...]) -> None:
        """It has no password, so a port with one lets nobody in."""
        host = "localhost" if flags == SOCKS4A else "127.0.0.1"
        got = proxy.curl(flags, "--fail", web.url(f"/bytes/{SIZE}?seed=1", host))
        if proxy.has_password:
            assert got.returncode == 97
        else:
            assert got.returncode == 0, got.stderr.decode()
            assert hashlib.sha256(got.stdout).hexdigest() == seeded_sha256(SIZE, 1)

    @pytest.mark.parametrize("flags", [ABSOLUTE_FORM, CONNECT, SOCKS5_HOSTNAME], ids="".join)
    def test_a_name_is_resolved_behind_the_proxy(
        self, proxy: Proxy, web: HttpTarget, flags: tuple[str, ...]
    ) -> None:
        assert proxy.curl(flags, "--fail", web.url("/bytes/3", "localhost")).returncode == 0
        nowhere = proxy.curl(flags, "--fail", "http://no-such-host.invalid/")
        assert nowhere.returncode in (22, 56, 97)  # and not 6, which is curl's own look-up


def test_git_clones(proxy: Proxy, repository: FolderTarget, tmp_path: Path) -> None:
    url = repository.url("/it.git", "localhost")
    _git("-c", f"http.proxy=socks5h://{proxy.address}", "clone", "-q", url, str(tmp_path / "clone"))
    assert (tmp_path / "clone" / "file").read_bytes() == random.Random(7).randbytes(SIZE)
    if proxy.has_password:
        with pytest.raises(subprocess.CalledProcessError):
            _git("-c", f"http.proxy=socks5h://{proxy.wrong_address}", "clone", url, str(tmp_path / "other"))


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "http"])
def test_requests(proxy: Proxy, web: HttpTarget, scheme: str) -> None:
    """Two of them over one connection that is kept."""
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": f"{scheme}://{proxy.address}"}
        for seed in (1, 2):
            got = session.get(web.url(f"/bytes/{SIZE}?seed={seed}"), timeout=PATIENCE)
            assert hashlib.sha256(got.content).hexdigest() == seeded_sha256(SIZE, seed)
        body = random.Random(3).randbytes(SIZE)
        answer = session.post(web.url("/upload"), data=body, timeout=PATIENCE)
        assert answer.text == hashlib.sha256(body).hexdigest()


def test_dns_over_udp_associate(proxy: Proxy) -> None:
    """dnspython over PySocks."""
    login = {"username": USER, "password": PASSWORD} if proxy.has_password else {}
    query = dns.message.make_query("example.test", "A")
    with NameServer("192.0.2.7") as names, pysocks.socksocket(type=socket.SOCK_DGRAM) as sock:
        sock.set_proxy(pysocks.SOCKS5, "127.0.0.1", proxy.chain.socks_port, **login)
        sock.bind(("", 0))
        for _ in range(3):
            answer = dns.query.udp(query, "127.0.0.1", PATIENCE, names.port, sock=sock)
            assert [str(item) for item in answer.answer[0]] == ["192.0.2.7"]
        assert names.asked == ["example.test."] * 3


@pytest.fixture(scope="module")
def agent() -> Iterator[Chain]:
    with Chain("agent") as chain:
        yield chain


class TestAHundredMegabytes:
    size = 100_000_000

    def test_down(self, agent: Chain, web: HttpTarget, tmp_path: Path) -> None:
        url = web.url(f"/bytes/{self.size}?seed=1")
        got = socks.curl(agent.socks_port, "--fail", "-o", str(tmp_path / "got"), url)
        assert got.returncode == 0, got.stderr.decode()
        assert _sha256(tmp_path / "got") == seeded_sha256(self.size, 1)

    def test_up(self, agent: Chain, web: HttpTarget, tmp_path: Path) -> None:
        source = random.Random(2)
        with (tmp_path / "body").open("wb") as file:
            for _ in range(100):
                file.write(source.randbytes(self.size // 100))
        got = socks.curl(agent.socks_port, "--fail", "-T", str(tmp_path / "body"), web.url("/upload"))
        assert got.returncode == 0, got.stderr.decode()
        assert got.stdout.decode() == _sha256(tmp_path / "body")


def _git(*args: str) -> None:
    """The real git, with no settings but those in `args`."""
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    subprocess.run(["git", *args], env=env, check=True, timeout=PATIENCE, capture_output=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
