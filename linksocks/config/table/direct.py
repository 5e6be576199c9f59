"""Ways past the server, and channels that outlive a link: features to come."""

from __future__ import annotations

from typing import Final

import linksocks.config.values as v
from linksocks.config.setting import ALL, CLIENTS, SERVER, Setting

SETTINGS: Final = (
    Setting(
        "transport-grace", ALL, v.DURATION, "how long channels outlive a lost link", default="0", later=ALL
    ),
    Setting(
        "direct-mode",
        CLIENTS,
        v.choice("relay-only", "auto", "direct-only"),
        "way to the peer",
        default="relay-only",
        later=CLIENTS,
    ),
    Setting(
        "direct-discovery",
        CLIENTS,
        v.choice("stun", "server", "auto"),
        "how peers find each other",
        default="stun",
        later=CLIENTS,
    ),
    Setting(
        "direct-host-candidates",
        CLIENTS,
        v.choice("auto", "never", "always"),
        "offer local addresses",
        default="auto",
        later=CLIENTS,
    ),
    Setting("stun-server", CLIENTS, v.LIST, "STUN server, as HOST:PORT; may be repeated", later=CLIENTS),
    Setting(
        "direct-only-action",
        CLIENTS,
        v.choice("exit", "refuse"),
        "when there is no direct way",
        default="exit",
        later=CLIENTS,
    ),
    Setting("direct-upnp", CLIENTS, v.SWITCH, "ask the router for a port", later=CLIENTS),
    Setting(
        "direct-upnp-lease", CLIENTS, v.DURATION, "how long the router keeps it", default="30m", later=CLIENTS
    ),
    Setting("direct-upnp-keep", CLIENTS, v.SWITCH, "leave it open at the end", later=CLIENTS),
    Setting("direct-upnp-external-port", CLIENTS, v.PORT, "the router's port", default="0", later=CLIENTS),
    Setting("direct-enable", SERVER, v.SWITCH, "help clients to find a direct way", later=SERVER),
    Setting("direct-rendezvous-udp", SERVER, v.SWITCH, "tell clients their public UDP address", later=SERVER),
    Setting(
        "direct-rendezvous-host", SERVER, v.HOST, "UDP address for that, --ws-host if not given", later=SERVER
    ),
    Setting(
        "direct-rendezvous-port",
        SERVER,
        v.PORT,
        "UDP port for that, --ws-port if 0",
        default="0",
        later=SERVER,
    ),
)
