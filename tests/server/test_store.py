"""The state file: what is in it stays, what is not ours is left alone, and each thing that is wrong is one line."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from linksocks.errors import StateError
from linksocks.server.specs import Kind, TokenSpec
from linksocks.server.store import Store
from linksocks.tunnel.access import AccessRules, Rule
from linksocks.wire.auth import token_hash

FORWARD = TokenSpec(Kind.FORWARD, "secret-f")
RULES = AccessRules(
    (Rule(("10.0.0.0/8", "2001:db8::1"), ((22, 22), (90, 150))), Rule(("*.example.org",)), Rule())
)
REVERSE = TokenSpec(Kind.REVERSE, "secret-r", port=9000, username="ü", password="p", rules=RULES)
CONNECTOR = TokenSpec(Kind.CONNECTOR, "secret-c", reverse_token="secret-r")
ALL = (FORWARD, REVERSE, CONNECTOR)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    with closing(Store(str(path))) as store:
        yield store


def filled(path: Path, *specs: TokenSpec) -> None:
    with opened(path) as store:
        for spec in specs:
            store.add(spec)


def known(path: Path) -> list[str]:
    with opened(path) as store:
        return [spec.fingerprint for spec in store.load()]


def test_what_was_added_comes_back_in_its_order(path: Path) -> None:
    filled(path, *ALL)
    with opened(path) as store:
        assert store.load() == [
            TokenSpec(Kind.FORWARD, "", known_by=FORWARD.fingerprint),
            TokenSpec(Kind.REVERSE, "", 9000, "ü", "p", known_by=REVERSE.fingerprint, rules=RULES),
            TokenSpec(
                Kind.CONNECTOR, "", known_by=CONNECTOR.fingerprint, reverse_known_by=REVERSE.fingerprint
            ),
        ]


def test_nobody_logs_in_with_what_the_file_holds(path: Path) -> None:
    filled(path, *ALL)
    held = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for spec in ALL:
        assert spec.token.encode() not in held
        assert token_hash(spec.token).encode() not in held
        assert spec.fingerprint.encode() in held


def test_connector_tokens_go_with_their_reverse_token(path: Path) -> None:
    filled(path, *ALL)
    with opened(path) as store:
        assert store.remove(REVERSE.fingerprint)
        assert not store.remove(CONNECTOR.fingerprint)
        assert not store.remove(REVERSE.fingerprint)
    assert known(path) == [FORWARD.fingerprint]


def test_adding_again_takes_the_place(path: Path) -> None:
    filled(path, REVERSE, FORWARD, TokenSpec(Kind.REVERSE, "secret-r", port=9001))
    with opened(path) as store:
        assert [spec.port for spec in store.load()] == [0, 9001]


def test_a_commit_is_on_the_disk(path: Path) -> None:
    with opened(path) as store:
        database = store._database
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_copy_of_the_file_alone_is_whole(path: Path) -> None:
    copy = path.with_name("copy.db")
    with opened(path) as store:
        shutil.copy(path, copy)
        assert known(copy) == []
        for count, spec in enumerate(ALL, 1):
            store.add(spec)
            shutil.copy(path, copy)
            assert known(copy) == [each.fingerprint for each in ALL[:count]]
        store.remove(REVERSE.fingerprint)
        shutil.copy(path, copy)
    assert known(copy) == [FORWARD.fingerprint]


def test_only_its_owner_may_read_it(path: Path) -> None:
    old = os.umask(0)
    try:
        with opened(path) as store:
            store.add(FORWARD)
            for file in path.parent.iterdir():
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    finally:
        os.umask(old)


def test_others_that_can_read_it_are_a_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(path)
    assert "can be read" not in caplog.text
    path.chmod(0o640)
    filled(path)
    assert "can be read by others" in caplog.text


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.touch(0o600)
    filled(path, FORWARD)
    assert known(path) == [FORWARD.fingerprint]


class TestWhatIsWrong:
    def refusal(self, path: Path) -> str:
        with pytest.raises(StateError) as refused, opened(path) as store:
            store.load()
        reason = str(refused.value)
        assert reason.startswith(f"{path}: ")
        return reason.removeprefix(f"{path}: ")

    def test_text(self, path: Path) -> None:
        path.write_text("nonsense\n" * 100)
        assert self.refusal(path) == "is no state file; name another one"
        assert path.read_text() == "nonsense\n" * 100

    def test_another_program_s_database(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE theirs (x)")
        before = path.read_bytes()
        assert self.refusal(path) == "is another program's database; name a file of its own"
        assert path.read_bytes() == before

    def test_a_newer_version(self, path: Path) -> None:
        filled(path, FORWARD)
        with closing(sqlite3.connect(path)) as newer:
            newer.execute("PRAGMA user_version = 2")
        assert self.refusal(path) == "was made by a newer linksocks; use that, or another file"

    def test_a_page_that_is_overwritten(self, path: Path) -> None:
        filled(path, *ALL)
        raw = bytearray(path.read_bytes())
        raw[4096:8192] = b"\xa5" * 4096
        path.write_bytes(raw)
        assert self.refusal(path).startswith("is damaged")

    def test_half_a_file(self, path: Path) -> None:
        filled(path, *ALL)
        os.truncate(path, 5000)
        assert self.refusal(path).startswith("is damaged")

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("kind", "x"),
            ("terms", "x"),
            ("terms", "[]"),
            ("terms", "{}"),
            ("fingerprint", "x"),
            ("terms", '{"port":0,"username":"","password":"","rules":["x"]}'),
            ("terms", b"\0"),
        ],
    )
    def test_a_row_without_sense(self, path: Path, column: str, value: object) -> None:
        filled(path, FORWARD)
        with closing(sqlite3.connect(path)) as other:
            other.execute(f"UPDATE token SET {column} = ?", (value,))
            other.commit()
        assert self.refusal(path) == "is damaged: what it says of a token makes no sense"

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        assert self.refusal(tmp_path / "x" / "state.db") == "can't be opened: No such file or directory"

    def test_a_folder_in_its_place(self, tmp_path: Path) -> None:
        assert self.refusal(tmp_path).startswith("can't be opened; ")

    def test_two_at_once(self, path: Path) -> None:
        with opened(path) as first:
            assert self.refusal(path) == "is in use by another process; give each server a file of its own"
            first.add(FORWARD)
        assert known(path) == [FORWARD.fingerprint]

    @pytest.mark.parametrize("there", [True, False])
    def test_a_folder_that_can_not_be_written(self, there: bool) -> None:
        with TemporaryDirectory() as folder:  # pytest's own are closed to other users
            path = Path(folder, "state.db")
            if there:
                filled(path, FORWARD)
                path.chmod(0o644)
            os.chmod(folder, 0o555)
            done = subprocess.run(
                [sys.executable, "-c", OPEN_AS_NOBODY, str(path)],
                capture_output=True,
                text=True,
                timeout=20,
                check=True,
            )
            os.chmod(folder, 0o755)
        assert done.stdout.startswith(f"{path}: can't be ")
        assert "Traceback" not in done.stderr


OPEN_AS_NOBODY = """
import os, sys
from linksocks.errors import StateError
from linksocks.server.store import Store
if os.geteuid() == 0:  # whom no mode stops
    os.setuid(65534)
try:
    Store(sys.argv[1])
except StateError as error:
    print(error)
"""
