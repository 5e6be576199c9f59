"""Logging: into loggers of the program's own, and into the package's, from the level that the program says."""

import logging
from typing import Any

from outside import free_port, until

from linksocks import Client, Server, set_log_level


class Collected(logging.Handler):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def client(token: str, **options: Any) -> Client:
    return Client(
        token,
        ws_url=f"ws://127.0.0.1:{ws_port}",
        socks_port=free_port(),
        no_env_proxy=True,
        direct_mode="relay-only",
        **options,
    )


ws_port = free_port()
of_app, of_package = Collected("my_app"), Collected("linksocks")
server_log, client_log = logging.getLogger("my_app.server"), logging.getLogger("my_app.client")
logging.getLogger("my_app").setLevel(logging.INFO)

with Server(ws_host="127.0.0.1", ws_port=ws_port, logger=server_log) as server:
    assert server.log is server_log
    token = server.add_forward_token()
    with client(token, logger=client_log) as one:
        assert one.log is client_log
        one.wait_ready(timeout=5)
        one.log.info("the program says something too")
        until(lambda: {record.name for record in of_app.records} == {"my_app.server", "my_app.client"})
    assert all(record.levelno >= logging.INFO and record.getMessage() for record in of_app.records)

    set_log_level("info")
    with client(token) as another:
        another.wait_ready(timeout=5)
        until(lambda: any(record.levelno == logging.INFO for record in of_package.records))
    set_log_level(logging.CRITICAL)
    set_log_level("DEBUG")
print("logs: both loggers have records")
