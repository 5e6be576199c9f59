"""The server's port for links, a client's way there, and what the handshake says."""

from __future__ import annotations

from typing import Final

import linksocks.config.values as v
from linksocks.config.setting import ALL, CLIENTS, SERVER, Setting

SETTINGS: Final = (
    Setting(
        "ws-host",
        SERVER,
        v.HOST,
        "address to accept WebSocket clients on",
        short="H",
        default="0.0.0.0",
        environment="LINKSOCKS_WEBSOCKET_HOST",
    ),
    Setting(
        "ws-port",
        SERVER,
        v.PORT,
        "port to accept WebSocket clients on",
        short="P",
        default="8765",
        environment="LINKSOCKS_WEBSOCKET_PORT",
    ),
    Setting(
        "tls-cert",
        SERVER,
        v.FILE,
        "serve wss:// and https:// with this certificate, PEM with its chain; a new file is noticed",
        needs="tls-key",
    ),
    Setting("tls-key", SERVER, v.FILE, "PEM file of the certificate's key", needs="tls-cert"),
    Setting(
        "tls-client-ca",
        SERVER,
        v.FILE,
        "let in only who has a certificate of an authority in this PEM file",
        needs="tls-cert",
    ),
    Setting(
        "url",
        CLIENTS,
        v.URL,
        "the server's address; without a scheme it is wss://",
        short="u",
        default="ws://localhost:8765",
    ),
    Setting(
        "ca-file",
        CLIENTS,
        v.FILE,
        "PEM file of the authorities that may sign a wss:// server, instead of the system's",
    ),
    Setting(
        "tls-pin",
        CLIENTS,
        v.FINGERPRINT,
        "SHA-256 fingerprint that the wss:// server's certificate must have; stands in for all other checks of it, "
        "unless --ca-file is given too",
    ),
    Setting(
        "tls-client-cert",
        CLIENTS,
        v.FILE,
        "PEM certificate to show to a wss:// server that asks for one",
        needs="tls-client-key",
    ),
    Setting("tls-client-key", CLIENTS, v.FILE, "PEM file of its key", needs="tls-client-cert"),
    Setting(
        "insecure",
        CLIENTS,
        v.SWITCH,
        "take any certificate of a wss:// server: who is on the way can read and change everything",
    ),
    Setting(
        "tls-server-name",
        CLIENTS,
        v.HOST,
        "name to ask the server's certificate for (SNI) and to check it against, instead of the URL's host",
    ),
    Setting(
        "retry-auth", CLIENTS, v.SWITCH, "try again when the server refuses the token, instead of ending"
    ),
    Setting(
        "no-reconnect", CLIENTS, v.SWITCH, "end when the link is lost, instead of making a new one", short="R"
    ),
    Setting(
        "threads",
        CLIENTS,
        v.number(1, 64, "a number from 1 to 64"),
        "links to the server at once; a connection stays on one of them",
        short="T",
        default="1",
    ),
    Setting(
        "upstream-proxy",
        ALL,
        v.PROXY,
        "go through a proxy: socks5://, socks5h:// or http:// [USER:PASSWORD@]HOST[:PORT]; a server or provider "
        "reaches its targets so, the others their server",
        short="x",
    ),
    Setting(
        "upstream-proxy-file",
        ALL,
        v.FILE,
        "file with that address on its first line",
        holds="upstream-proxy",
    ),
    Setting(
        "no-env-proxy",
        CLIENTS,
        v.SWITCH,
        "ignore HTTPS_PROXY (for wss://), HTTP_PROXY (for ws://) and ALL_PROXY on the way to the server",
        short="E",
    ),
    Setting(
        "dns-prefer-ipv4",
        ALL,
        v.SWITCH,
        "try the IPv4 addresses of a name first, whatever the system's order is",
    ),
    Setting("user-agent", CLIENTS, v.HEADER_VALUE, "User-Agent of the handshake, instead of ours"),
    Setting(
        "header",
        CLIENTS,
        v.HEADERS,
        "header to add to the handshake, as `Name: value`; may be repeated, in the INI file on further lines",
    ),
    Setting("header-file", CLIENTS, v.FILE, "file with such headers, one on each line", holds="header"),
    Setting("host-header", CLIENTS, v.HEADER_VALUE, "Host of the handshake, instead of the URL's"),
)
