"""linksocks.contrib.requests before real servers; what lies below it is tested with urllib3."""

from __future__ import annotations

import copy
import hashlib
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from linksocks.contrib.requests import TunnelAdapter
from tests.contrib.conftest import Elsewhere
from tests.contrib.failing import LATE, MISTAKES, UNMADE, Failing, named
from tests.support.certificates import Files
from tests.support.targets import (
    FolderTarget,
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
def session(far: Elsewhere) -> Iterator[requests.Session]:
    with requests.Session() as session:
        mount(session, TunnelAdapter(far))
        yield session


def mount(session: requests.Session, adapter: TunnelAdapter) -> None:
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)


class TestRequests:
    def test_in_a_row_on_one_connection(
        self, session: requests.Session, far: Elsewhere, target: HttpTarget
    ) -> None:
        got = session.get(target.url("/bytes/100000?seed=1", "target.example"), timeout=PATIENCE)
        assert got.content == seeded_bytes(100_000)
        got = session.post(target.url("/", "target.example"), data=b"body", timeout=PATIENCE)
        assert got.text == hashlib.sha256(b"body").hexdigest()
        assert far.asked == [("target.example", target.port)]

    def test_a_stream(self, session: requests.Session, target: HttpTarget) -> None:
        digest = hashlib.sha256()
        with session.get(target.url(f"/bytes/{20 * MIB}?seed=1"), stream=True, timeout=PATIENCE) as answer:
            for piece in answer.iter_content(MIB):
                digest.update(piece)
        assert digest.hexdigest() == seeded_sha256(20 * MIB, 1)

    def test_connections_are_kept_up_to_the_size_of_the_pool(
        self, far: Elsewhere, target: HttpTarget
    ) -> None:
        with requests.Session() as session:
            mount(session, TunnelAdapter(far, pool_maxsize=2))
            for _ in range(2):
                answers = [
                    session.get(target.url("/bytes/9"), stream=True, timeout=PATIENCE) for _ in range(2)
                ]
                assert [len(answer.content) for answer in answers] == [9, 9]
        assert len(far.asked) == 2

    def test_its_settings_are_those_of_the_pools(self, far: Elsewhere) -> None:
        adapter = TunnelAdapter(far, pool_connections=3, pool_maxsize=5, pool_block=True)
        assert adapter.poolmanager.connection_pool_kw == {"maxsize": 5, "block": True}
        assert adapter.poolmanager.pools._maxsize == 3

    def test_only_what_it_is_mounted_for(self, far: Elsewhere, target: HttpTarget) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.mount("http://target.example:", TunnelAdapter(far))
            session.get(target.url("/bytes/1"), timeout=PATIENCE)
            assert far.asked == []
            session.get(target.url("/bytes/1", "target.example"), timeout=PATIENCE)
            assert far.asked == [("target.example", target.port)]


class TestTls:
    def test_the_name_of_the_target(self, session: requests.Session, files: Files) -> None:
        with HttpTarget(tls=files.serving()) as target:
            url = target.url("/bytes/1000?seed=1", "target.example")
            assert session.get(url, verify=str(files.ca), timeout=PATIENCE).content == seeded_bytes(1000)

    @pytest.mark.parametrize("name", ["other.example", "127.0.0.1"])
    def test_another_name(self, session: requests.Session, files: Files, name: str) -> None:
        with HttpTarget(tls=files.serving()) as target, pytest.raises(requests.exceptions.SSLError):
            session.get(target.url("/", name), verify=str(files.ca), timeout=PATIENCE)

    def test_an_unknown_authority(self, session: requests.Session, files: Files) -> None:
        with HttpTarget(tls=files.serving()) as target:
            url = target.url("/bytes/1000?seed=1", "target.example")
            with pytest.raises(requests.exceptions.SSLError):
                session.get(url, timeout=PATIENCE)
            with pytest.warns(match="Unverified HTTPS request"):
                assert session.get(url, verify=False, timeout=PATIENCE).content == seeded_bytes(1000)


class TestProxies:
    @pytest.fixture(autouse=True)
    def surroundings(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Of a machine whose proxy, with a password, is not there."""
        with refusing_port() as port:
            for name in ("http_proxy", "https_proxy", "all_proxy"):
                monkeypatch.setenv(name, f"http://me:secret@127.0.0.1:{port}")
            for name in ("no_proxy", "NO_PROXY"):
                monkeypatch.delenv(name, raising=False)
            yield

    def test_play_no_role(self, session: requests.Session, target: HttpTarget) -> None:
        url = target.url("/bytes/1000?seed=1", "target.example")
        assert session.get(url, timeout=PATIENCE).content == seeded_bytes(1000)
        for proxy in ("http://127.0.0.1:1", "socks5h://127.0.0.1:1", "no proxy at all"):
            assert session.get(url, proxies={"http": proxy}, timeout=PATIENCE).content == seeded_bytes(1000)

    def test_without_the_adapter_they_would(self, target: HttpTarget) -> None:
        with pytest.raises(requests.exceptions.ProxyError):
            requests.get(target.url("/bytes/1", "target.example"), timeout=PATIENCE)

    def test_no_target_gets_their_password(self, session: requests.Session, tmp_path: Path) -> None:
        """On a redirect, requests makes a header of it."""
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "index.html").write_bytes(b"hello")
        with FolderTarget(tmp_path) as target:
            answer = session.get(target.url("/folder", "target.example"), timeout=PATIENCE)
        assert (answer.content, len(answer.history)) == (b"hello", 1)
        assert "Proxy-Authorization" not in answer.request.headers


class TestFailures:
    def test_a_target_that_refuses(self, session: requests.Session) -> None:
        with refusing_port() as port, pytest.raises(requests.ConnectionError, match="refused"):
            session.get(f"http://target.example:{port}/", timeout=PATIENCE)

    def test_a_target_that_does_not_answer_in_time(self, session: requests.Session) -> None:
        with unanswered_port() as port, pytest.raises(requests.ConnectTimeout):
            session.get(f"http://target.example:{port}/", timeout=(0.2, PATIENCE))

    def test_a_target_that_says_nothing_in_time(self, session: requests.Session) -> None:
        with mute_port() as port, pytest.raises(requests.ReadTimeout):
            session.get(f"http://target.example:{port}/", timeout=(PATIENCE, 0.2))

    def test_as_often_as_retries_say(self, session: requests.Session, far: Elsewhere) -> None:
        mount(session, TunnelAdapter(far, max_retries=2))
        with refusing_port() as port, pytest.raises(requests.ConnectionError):
            session.get(f"http://target.example:{port}/", timeout=PATIENCE)
        assert len(far.asked) == 3

    @pytest.mark.parametrize(
        ("error", "expected"),
        [(error, requests.ConnectTimeout) for error in LATE]
        + [(error, requests.ConnectionError) for error in UNMADE]
        + [(error, type(error)) for error in MISTAKES],
        ids=lambda value: named(value) if isinstance(value, Exception) else value.__name__,
    )
    def test_what_a_program_sees(self, error: Exception, expected: type[Exception]) -> None:
        with requests.Session() as session:
            mount(session, TunnelAdapter(Failing(error)))
            with pytest.raises(expected, match=re.escape(str(error))) as caught:
                session.get("http://target.example/", timeout=PATIENCE)
        assert type(caught.value) is expected


class TestCopies:
    @pytest.mark.parametrize("act", [copy.copy, copy.deepcopy, pickle.dumps])
    def test_of_the_adapter_are_refused(self, far: Elsewhere, act) -> None:
        with pytest.raises(TypeError, match="make a new one"):
            act(TunnelAdapter(far))

    @pytest.mark.parametrize("act", [copy.deepcopy, pickle.dumps])
    def test_of_its_session_too(self, session: requests.Session, act) -> None:
        with pytest.raises(TypeError, match="make a new one"):
            act(session)
