"""The state file: the tokens that were made while a server ran, kept over its restarts, in SQLite.

What stands in it: the fingerprint of each token (the hash of the hash that clients log in with, so nobody gets in
with what the file holds), its kind, its port, and the user name and password of that port, in plain: applications are
asked for these. So after a restart no page can show the text of such a token; its label stands instead. The file's
mode is 0600.

Invariants: what `add` and `remove` have done when they return is on the disk (a write-ahead log with
synchronous=FULL), each is one transaction, and one process at a time has the file. Between two changes all of it is
in the file itself, so that a copy of that alone is whole. All calls of SQLite are in one thread of their own: a
commit waits for the disk, 0.6 to 4.6 ms at the median and 55 ms at the worst of 300. In the hub that held up all
others, while tokens were made, for 0.5 to 3 ms at the median; with the thread it is 0.15 (measured).
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar, cast

from gevent.threadpool import ThreadPool

from linksocks.errors import ConfigError, StateError
from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.access import AccessRules, parse_rule

_OURS: Final = 0x4C534F4B
"""The application id in the file's header, "LSOK"."""

_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE token (
    seq INTEGER PRIMARY KEY,            -- the order in which they were made
    fingerprint TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    reverse TEXT NOT NULL,              -- the fingerprint of a connector token's reverse token, else empty
    terms TEXT NOT NULL                 -- JSON: the fields of _TERMS
)
"""

_TERMS: Final = {"port": int, "username": str, "password": str, "rules": list}
"""What else a TokenSpec says, and its type; `rules` are its allow rules, as an operator writes them."""

_T = TypeVar("_T")

log = logging.getLogger("linksocks.server")


class Store:
    """The file at `path`, made if it is not there. All methods raise StateError."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPool(1)
        try:
            self._database: sqlite3.Connection = self._run(self._open)
        except BaseException:
            self._thread.kill()
            raise

    def load(self) -> list[TokenSpec]:
        """All tokens, in the order in which they were made."""

        def select() -> list[Any]:
            return self._database.execute(
                "SELECT fingerprint, kind, reverse, terms FROM token ORDER BY seq"
            ).fetchall()

        try:
            return [_spec(*row) for row in self._run(select)]
        except (ValueError, KeyError, TypeError, RecursionError, ConfigError) as error:
            raise StateError(f"{self._path}: is damaged: what it says of a token makes no sense") from error

    def add(self, spec: TokenSpec) -> None:
        """Keeps a token."""
        rules = [str(rule) for rule in spec.rules.allow]
        terms = json.dumps({name: getattr(spec, name) for name in _TERMS} | {"rules": rules})
        reverse = spec.reverse_fingerprint if spec.kind is Kind.CONNECTOR else ""
        row = (spec.fingerprint, spec.kind.value, reverse, terms)
        self._commit(
            "INSERT OR REPLACE INTO token (fingerprint, kind, reverse, terms) VALUES (?, ?, ?, ?)", row
        )

    def remove(self, fingerprint: str) -> bool:
        """Forgets a token and its connector tokens. Whether there was any."""
        gone = self._commit(
            "DELETE FROM token WHERE fingerprint = ? OR reverse = ?", (fingerprint, fingerprint)
        )
        return gone > 0

    def forget(self, fingerprint: str) -> None:
        """Forgets a token, and keeps its connector tokens."""
        self._commit("DELETE FROM token WHERE fingerprint = ?", (fingerprint,))

    def close(self) -> None:
        """Lets another process have the file."""
        self._run(self._database.close)
        self._thread.kill()

    def _commit(self, statement: str, values: tuple[str, ...]) -> int:
        """One transaction, on the disk when this returns; how many rows it was about."""
        return self._run(lambda: self._database.execute(statement, values).rowcount)

    def _run(self, call: Callable[[], _T]) -> _T:
        """In the thread; the greenlet waits."""
        result, error = self._thread.apply(_outcome, (call,))
        if error is not None:
            with _explaining(self._path):
                raise error
        return cast(_T, result)

    def _open(self) -> sqlite3.Connection:
        _make(self._path)
        # Every statement is a transaction of its own. No waiting for a lock: who has it keeps it.
        database = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA synchronous = FULL")
            new = _is_new(database, self._path)  # a stranger's file stays as it is
            database.execute("PRAGMA journal_mode = WAL")
            # After each commit the log goes into the file. Where that fails, the log still has it: no error.
            database.execute("PRAGMA wal_autocheckpoint = 1")
            database.execute("BEGIN IMMEDIATE")  # takes the lock, and fails where nothing can be written
            if new:
                database.execute(_SCHEMA)
                database.execute(f"PRAGMA application_id = {_OURS}")
                database.execute(f"PRAGMA user_version = {_VERSION}")
            database.execute("COMMIT")
            if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise StateError(f"{self._path}: is damaged; restore it from a copy, or move it away")
        except BaseException:
            database.close()
            raise
        return database


def _outcome(call: Callable[[], _T]) -> tuple[_T | None, Exception | None]:
    """What goes wrong is a result too: gevent would print it in the thread as well."""
    try:
        return call(), None
    except Exception as error:  # noqa: BLE001 - raised where the call was made
        return None, error


def _make(path: str) -> None:
    """An empty file of our own, where there is none; nobody else may read it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # SQLite does so for its log only
        finally:
            os.close(folder)
    except FileExistsError:
        if os.stat(path).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            log.warning("%s can be read by others and holds passwords: chmod 600 it", path)


def _is_new(database: sqlite3.Connection, path: str) -> bool:
    """Whether the file is still empty. Raises StateError when it is not ours."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return True
    if application != _OURS:
        raise StateError(f"{path}: is another program's database; name a file of its own")
    if version != _VERSION:
        raise StateError(f"{path}: was made by a newer linksocks; use that, or another file")
    return False


def _spec(fingerprint: str, kind: str, reverse: str, terms: str) -> TokenSpec:
    """Raises ValueError, KeyError, TypeError or ConfigError for what `add` has not written."""
    said = json.loads(terms)
    if len(fingerprint) != 64 or any(type(said[name]) is not cls for name, cls in _TERMS.items()):
        raise ValueError("not what was written")
    known = {name: said[name] for name in _TERMS}
    known["rules"] = AccessRules(tuple(parse_rule(text) for text in known["rules"]))
    return TokenSpec(Kind(kind), "", known_by=fingerprint, reverse_known_by=reverse, **known)


_WHY: Final = {
    sqlite3.SQLITE_BUSY: "is in use by another process; give each server a file of its own",
    sqlite3.SQLITE_NOTADB: "is no state file; name another one",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore it from a copy, or move it away",
    sqlite3.SQLITE_FULL: "can't be written: the disk is full",
    sqlite3.SQLITE_READONLY: "can't be written; it and its folder must belong to the server's user",
    sqlite3.SQLITE_CANTOPEN: "can't be opened; it and its folder must belong to the server's user",
}


@contextmanager
def _explaining(path: str) -> Iterator[None]:
    """Turns what goes wrong with a file into StateError."""
    try:
        yield
    except OSError as error:
        raise StateError(f"{path}: can't be opened: {error.strerror}") from error
    except sqlite3.Error as error:
        # The low byte is the class of the error (sqlite.org/rescode.html).
        why = _WHY.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, f"can't be read or written: {error}")
        raise StateError(f"{path}: {why}") from error
