"""What may be reached, and how much there may be of everything.

A token's limits are its own; the server's are for tokens without.
"""

from __future__ import annotations

from typing import Final

import linksocks.config.values as v
from linksocks.config.setting import ALL, SERVER, TOKEN, Setting

SETTINGS: Final = (
    Setting(
        "access-rule",
        ALL + TOKEN,
        v.RULES,
        "allow only such targets: HOST:PORT, where HOST is a network, an address, a range of addresses, a name or "
        "*.NAME, and each may be * for any; may be repeated, in the INI file on further lines",
    ),
    Setting(
        "deny-rule",
        ALL + TOKEN,
        v.RULES,
        "block such targets, also among those that are allowed; may be repeated",
    ),
    Setting(
        "block-private",
        ALL + TOKEN,
        v.SWITCH,
        "block targets that are not on the Internet: loopback, private, link-local; the metadata of clouds",
    ),
    Setting(
        "max-channels", SERVER + TOKEN, v.LIMIT, "connections and UDP associations of one client at once"
    ),
    Setting("max-links", SERVER + TOKEN, v.LIMIT, "links at once with one token, of all its clients"),
    Setting(
        "rate-limit",
        SERVER + TOKEN,
        v.RATE,
        "bytes a second in each direction with one token, of all its clients",
    ),
    Setting(
        "channel-rate-limit",
        SERVER + TOKEN,
        v.RATE,
        "bytes a second in each direction of one connection",
    ),
    Setting(
        "idle-timeout",
        ALL + TOKEN,
        v.IDLE,
        "end a connection in which nothing moved for so long; 12h if not given",
    ),
    Setting(
        "max-handshakes",
        SERVER,
        v.LIMIT,
        "connections at once whose client has not logged in",
        default="1024",
    ),
    Setting(
        "max-handshakes-per-address",
        SERVER,
        v.LIMIT,
        "the same from one address; set it to 0 behind a reverse proxy, which is the address of all",
        default="128",
    ),
    Setting(
        "buffer-size",
        ALL,
        v.BUFFER,
        "how much one channel may hold in memory",
        short="b",
        default=str(v.MIB),
    ),
)
