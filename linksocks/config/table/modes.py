"""Who is let in, and which way round: by whom targets are dialled."""

from __future__ import annotations

from typing import Final

import linksocks.config.values as v
from linksocks.config.setting import ALL, CLIENTS, SERVER, Setting

SETTINGS: Final = (
    Setting(
        "token",
        ALL,
        v.SECRET,
        "what lets a client in; a server without one makes one and prints it, "
        "a client without one is `anonymous`",
        short="t",
    ),
    Setting("token-file", ALL, v.FILE, "file with the token on its first line", holds="token"),
    Setting("reverse", SERVER, v.SWITCH, "let providers in, and open a port for applications", short="r"),
    Setting(
        "reverse",
        CLIENTS,
        v.SWITCH,
        "reverse mode: be a provider, which dials for others and opens no port",
        short="r",
    ),
    Setting(
        "connector-token",
        ALL,
        v.TOKEN,
        "what lets connectors in, to use the providers' network",
        short="c",
    ),
    Setting(
        "connector-token-file",
        ALL,
        v.FILE,
        "file with that token on its first line",
        holds="connector-token",
    ),
    Setting(
        "connector-autonomy",
        SERVER,
        v.SWITCH,
        "let providers manage connector tokens of their own, and open no port",
        short="a",
    ),
    Setting(
        "connector-wait-provider",
        SERVER,
        v.DURATION,
        "how long a connector's connection waits for a provider",
        default="5s",
    ),
)
