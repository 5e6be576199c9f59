"""Log records: where they go, from which level on, and what is not in them."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from linksocks import AuthError, Client, ConfigError, Server, set_log_level
from linksocks.library.records import TREE, _Share
from linksocks.wire.auth import token_hash
from tests.library.conftest import url_of

pytestmark = pytest.mark.usefixtures("clean")


class Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def tree_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_Share, "_lowered", None)
    level, handlers = TREE.level, list(TREE.handlers)
    TREE.setLevel(logging.NOTSET)
    yield
    TREE.setLevel(level)
    TREE.handlers[:] = handlers


@pytest.fixture
def app() -> Iterator[tuple[logging.Logger, Collected]]:
    """A logger of the program, at INFO, with a handler."""
    logger, handler = logging.getLogger("an_app.tunnel"), Collected()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield logger, handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


App = tuple[logging.Logger, Collected]


@pytest.mark.parametrize(
    ("level", "number"),
    [("debug", 10), ("WARNING", 30), ("warn", 30), ("Trace", 5), (logging.ERROR, 40), (0, 0), (15, 15)],
)
def test_levels(level: int | str, number: int) -> None:
    set_log_level(level)
    assert TREE.level == number


@pytest.mark.parametrize("level", ["loud", "", "10", -1, 5000, True, None, 1.5])
def test_levels_that_there_are_not(level: int | str) -> None:
    with pytest.raises(ConfigError, match=r"^level: expected"):
        set_log_level(level)


def test_a_logger_gets_what_its_own_tunnel_does(app: App) -> None:
    logger, handler = app
    with Server(ws_host="127.0.0.1", ws_port=0, logger=logger) as server:
        assert server.log is logger
        with Client(server.add_forward_token(), ws_url=url_of(server), socks=False) as other:
            assert other.log is logging.getLogger("linksocks")
            other.wait_ready(10)
    texts = [record.getMessage() for record in handler.records]
    assert {record.name for record in handler.records} == {"an_app.tunnel"}
    assert any("listening on" in text for text in texts)
    assert any("forward client logged in" in text for text in texts), "from the greenlet of a connection"
    assert not any("logged in at" in text for text in texts), "that is the client's"


def test_each_handler_gets_a_record_once(app: App, caplog: pytest.LogCaptureFixture) -> None:
    logger, handler = app
    both = Collected()
    TREE.addHandler(both)
    logger.addHandler(both)
    with Server(ws_host="127.0.0.1", ws_port=0, logger=logger):
        pass
    logger.removeHandler(both)
    for collected in (handler.records, both.records, caplog.records):
        assert sum("listening on" in record.getMessage() for record in collected) == 1


def test_a_logger_of_the_tree_itself_gets_a_record_once(caplog: pytest.LogCaptureFixture) -> None:
    set_log_level("info")
    with Server(ws_host="127.0.0.1", ws_port=0, logger=logging.getLogger("linksocks.mine")):
        pass
    assert sum("listening on" in record.getMessage() for record in caplog.records) == 1


def test_a_level_that_was_set_holds(app: App) -> None:
    logger, handler = app
    set_log_level("error")
    with Server(ws_host="127.0.0.1", ws_port=0, logger=logger):
        pass
    assert handler.records == []


def test_the_loggers_own_level_holds_too(app: App) -> None:
    logger, handler = app
    set_log_level("info")
    logger.setLevel(logging.ERROR)
    with Server(ws_host="127.0.0.1", ws_port=0, logger=logger):
        pass
    assert handler.records == []


def test_a_handler_that_fails_hurts_nobody(app: App) -> None:
    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise ZeroDivisionError

    logger, _ = app
    broken = Broken()
    logger.addHandler(broken)
    try:
        with Server(ws_host="127.0.0.1", ws_port=0, logger=logger) as server:
            assert server.add_forward_token("token") == "token"
    finally:
        logger.removeHandler(broken)


def test_a_filter_that_fails_hurts_nobody(app: App) -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise ZeroDivisionError

    logger, handler = app
    logger.addFilter(broken)
    try:
        with Server(ws_host="127.0.0.1", ws_port=0, logger=logger) as server:
            assert server.add_forward_token("token") == "token"
    finally:
        logger.removeFilter(broken)
    assert not handler.records


def test_no_record_and_no_repr_holds_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    set_log_level("trace")
    token, password, key = "a-token-that-is-secret", "a-password-that-is-secret", "a-key-that-is-secret"
    out = io.StringIO()
    with Server(ws_host="127.0.0.1", ws_port=0, api_key=key) as server:
        server.add_forward_token(token)
        result = server.add_reverse_token(username="ann", password=password)
        server.add_connector_token("a-connector-that-is-secret", result.token)
        with Client(
            token,
            ws_url=f"{url_of(server)}/socket?key=a-query-that-is-secret",
            socks_port=0,
            socks_username="ann",
            socks_password=password,
            headers={"X-Key": "a-header-that-is-secret"},
        ) as client:
            client.wait_ready(10)
            print(client, server, result, client.stats(), file=out)
        with (
            Client("wrong-and-secret", ws_url=url_of(server), socks=False) as wrong,
            pytest.raises(AuthError),
        ):
            wrong.wait_ready()
        print(wrong, file=out)
        server.remove_token(token)
    said = caplog.text + out.getvalue()
    assert "listening on" in said
    for secret in ("secret", token_hash(token), result.token, token_hash(result.token)):
        assert secret not in said
