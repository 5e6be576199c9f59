"""The tokens of a server, each in a section of its own."""

from __future__ import annotations

from typing import Final

import linksocks.config.values as v
from linksocks.config.setting import TOKEN, Setting

SETTINGS: Final = (
    Setting(
        "type",
        TOKEN,
        v.choice("forward", "reverse", "autonomy", "connector"),
        "forward: clients that use this server's network. reverse: providers, with a port for applications. "
        "autonomy: providers that manage connector tokens of their own. connector: clients of a reverse token's "
        "providers",
        default="forward",
    ),
    Setting("token", TOKEN, v.TOKEN, "the token itself: what a client must give"),
    Setting("token-file", TOKEN, v.FILE, "file with the token on its first line", holds="token"),
    Setting(
        "reverse-token",
        TOKEN,
        v.SECTION,
        "name of the section whose providers it leads to: alice for [token:alice]",
        types=("connector",),
    ),
    Setting(
        "port",
        TOKEN,
        v.PORT,
        "port for applications, at the server's socks-host; 0 takes one of the server's port-pool",
        default="0",
        types=("reverse",),
    ),
    Setting(
        "username",
        TOKEN,
        v.USER,
        "user name that applications must give",
        needs="password",
        types=("reverse",),
    ),
    Setting(
        "password",
        TOKEN,
        v.SECRET,
        "password that applications must give",
        needs="username",
        types=("reverse",),
    ),
    Setting(
        "password-file",
        TOKEN,
        v.FILE,
        "file with that password on its first line",
        holds="password",
        types=("reverse",),
    ),
)
