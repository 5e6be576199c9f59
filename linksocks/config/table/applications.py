"""The port for applications."""

from __future__ import annotations

from typing import Final

import linksocks.config.values as v
from linksocks.config.setting import ALL, CLIENTS, SERVER, Setting

SETTINGS: Final = (
    Setting(
        "socks-host",
        ALL,
        v.HOST,
        "address of the port for applications",
        short="s",
        default="127.0.0.1",
    ),
    Setting(
        "socks-port",
        ALL,
        v.PORT,
        "port for applications; a server takes one of --port-pool for 0",
        short="p",
        default="9870",
    ),
    Setting(
        "socks-username",
        ALL,
        v.USER,
        "user name that applications must give",
        short="n",
        needs="socks-password",
    ),
    Setting(
        "socks-password",
        ALL,
        v.SECRET,
        "password that applications must give",
        short="w",
        needs="socks-username",
    ),
    Setting(
        "socks-password-file",
        ALL,
        v.FILE,
        "file with that password on its first line",
        holds="socks-password",
    ),
    Setting(
        "socks-no-wait",
        CLIENTS,
        v.SWITCH,
        "open the port for applications before the server answers; connections wait",
        short="i",
    ),
    Setting(
        "socks-nowait",
        SERVER,
        v.SWITCH,
        "open the port for applications before a provider is there",
        short="i",
    ),
    Setting(
        "port-pool",
        SERVER,
        v.PORTS,
        "ports for applications to choose from where none is given",
        default="1024-10240",
    ),
    Setting(
        "fast-open",
        ALL,
        v.SWITCH,
        "answer applications before the target does",
        short="f",
        environment="LINKSOCKS_FASTOPEN",
    ),
)
