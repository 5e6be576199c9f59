"""The settings: each one declared once, as data.

The flags and help texts of the commands, the LINKSOCKS_* variables, the keys of the INI file and what the
errors say about them are all read from this table. To add a setting, add a line here.

Invariants, all tested: names and short forms are unique within a command; a default is text that the kind
parses; every flag, short form and variable of PROTOCOL section 6.1 is here. A setting whose feature a later
version brings is `later` for the commands that have to wait: it is known, and refused unless it asks for no
more than the default, so that nothing is silently ignored. Its default is what happens today.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import linksocks.config.values as v

SERVER = ("server",)
CLIENTS = ("client", "provider", "connector")
ALL = SERVER + CLIENTS
RUN = ("run",)
TOKEN = ("token",)


@dataclass(frozen=True)
class Command:
    name: str
    summary: str
    reverse: bool | None = None
    """Which way round it runs, where --reverse does not say so."""


@dataclass(frozen=True)
class Section:
    """A kind of section of the INI file; a command has one of its name."""

    name: str
    summary: str
    names: str
    """Whether it can be [NAME:SOMETHING]: `never`, `maybe`, or `always`."""


@dataclass(frozen=True)
class Setting:
    name: str
    """The long flag without its dashes; the INI key too, with dashes or underscores."""
    commands: tuple[str, ...]
    """And sections, those that are no command: they have neither flags nor variables."""
    kind: v.Kind
    help: str
    short: str = ""
    default: str = ""
    """As a user would write it; empty where the kind's `absent` is the default."""
    environment: str = ""
    """The variable, where PROTOCOL section 6.1 gives it a name that does not follow from ours."""
    later: tuple[str, ...] = ()
    """The commands for which a later version brings the feature."""
    holds: str = ""
    """The secret that is the first line of the file which this setting names."""
    needs: str = ""
    """The setting without which this one must not stand, on pain of less protection than was meant."""
    in_file: bool = True
    """False for what can't stand in the INI file."""
    types: tuple[str, ...] = ()
    """The types of tokens that it is about, where it is not about all."""

    @property
    def flag(self) -> str:
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        return self.environment or "LINKSOCKS_" + self.name.upper().replace("-", "_")

    @property
    def default_value(self) -> Any:
        return self.kind.parse(self.default) if self.default else self.kind.absent


COMMANDS = (
    Command("server", "Accepts links from clients and dials the targets that they ask for."),
    Command("client", "Opens a SOCKS5 port and carries its connections to a server."),
    Command("provider", "Lends this machine's network to others through a server.", reverse=True),
    Command(
        "connector", "Opens a SOCKS5 port to the network of a provider, through a server.", reverse=False
    ),
    Command("run", "Runs all that an INI file has sections for, in one process."),
)

SECTIONS = (
    Section("server", "The server, where this file describes one.", "never"),
    Section("token", "A token that the server accepts; there may be any number.", "always"),
    Section("client", "A client; for more than one, write [client:NAME].", "maybe"),
    Section("provider", "A client that lends its network; likewise [provider:NAME].", "maybe"),
    Section("connector", "A client of a provider's network; likewise [connector:NAME].", "maybe"),
)

SETTINGS = (
    # The server's own port, and the way to it.
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
        "retry-auth", CLIENTS, v.SWITCH, "try again when the server refuses the token, instead of ending"
    ),
    Setting(
        "no-reconnect", CLIENTS, v.SWITCH, "end when the link is lost, instead of making a new one", short="R"
    ),
    # Proxies on the way, and what the handshake says.
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
    Setting(
        "tls-server-name",
        CLIENTS,
        v.HOST,
        "name to ask the server's certificate for (SNI) and to check it against, instead of the URL's host",
    ),
    # Secrets.
    Setting(
        "token",
        ALL,
        v.SECRET,
        "what lets a client in; a server without one makes one and prints it, "
        "a client without one is `anonymous`",
        short="t",
    ),
    Setting("token-file", ALL, v.FILE, "file with the token on its first line", holds="token"),
    # The local SOCKS port.
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
        "open the SOCKS port before the server answers; connections wait",
        short="i",
    ),
    Setting(
        "socks-nowait",
        SERVER,
        v.SWITCH,
        "open the SOCKS port before a provider is there",
        short="i",
    ),
    Setting(
        "port-pool",
        SERVER,
        v.PORTS,
        "ports for applications to choose from where none is given",
        default="1024-10240",
    ),
    # Reverse: applications at the server or at connectors, targets at a provider.
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
        v.CONNECTOR_TOKEN,
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
    # The tokens of a server, each in a section of its own.
    Setting(
        "type",
        TOKEN,
        v.choice("forward", "reverse", "autonomy", "connector"),
        "forward: clients that use this server's network. reverse: providers, with a port for applications. "
        "autonomy: providers that manage connector tokens of their own. connector: clients of a reverse token's "
        "providers",
        default="forward",
    ),
    Setting("token", TOKEN, v.CONNECTOR_TOKEN, "the token itself: what a client must give"),
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
    # Access rules.
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
    # Limits. Those of a token are its own, the server's are for tokens without.
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
        "metrics-address",
        ALL,
        v.ADDRESS,
        "serve /metrics, /healthz and /readyz here, to all who can reach it",
    ),
    # The API.
    Setting(
        "api-key",
        SERVER,
        v.SECRETS,
        "serve the API to whom has this key; may be repeated, in the INI file on further lines",
        short="k",
    ),
    Setting("api-key-file", SERVER, v.FILE, "file with such keys, one on each line", holds="api-key"),
    Setting(
        "state-file",
        SERVER,
        v.FILE,
        "SQLite file in which the tokens that the API makes outlive the server, which makes the file",
    ),
    # The process.
    Setting(
        "buffer-size",
        ALL,
        v.BUFFER,
        "how much one channel may hold in memory",
        short="b",
        default=str(v.MIB),
    ),
    Setting(
        "grace",
        ALL + RUN,
        v.DURATION,
        "how long open connections may go on after SIGTERM or Ctrl-C",
        default="10s",
    ),
    Setting("debug", ALL + RUN, v.DEBUG, "log more; -dd logs most", short="d"),
    Setting(
        "log-format", ALL + RUN, v.choice("text", "json"), "how log lines look: text or json", default="text"
    ),
    Setting(
        "config",
        ALL + RUN,
        v.FILE,
        "INI file with a section for each command; SIGHUP reads it again",
        in_file=False,
    ),
    Setting(
        "threads",
        CLIENTS,
        v.number(1, 64, "a number from 1 to 64"),
        "links to the server at once; a connection stays on one of them",
        short="T",
        default="1",
    ),
    # Features to come.
    Setting(
        "transport-grace", ALL, v.DURATION, "how long channels outlive a lost link", default="0", later=ALL
    ),
    Setting(
        "fast-open",
        ALL,
        v.SWITCH,
        "answer applications before the target does",
        short="f",
        environment="LINKSOCKS_FASTOPEN",
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

_FOR_APPLICATIONS = frozenset(
    {
        "socks-host",
        "socks-port",
        "socks-username",
        "socks-password",
        "socks-password-file",
        "socks-no-wait",
        "socks-nowait",
        "port-pool",
        "fast-open",
    }
)
"""What is of use to the side with the port for applications."""

_FOR_TARGETS = frozenset({"upstream-proxy", "upstream-proxy-file"})
"""What is of use to a server only where it dials."""

_FOR_CONNECTORS = frozenset(
    {"connector-token", "connector-token-file", "connector-autonomy", "connector-wait-provider"}
)
"""What is of use where there are providers."""


_FOR_ANY_TOKEN = frozenset(
    {
        "socks-host",
        "socks-nowait",
        "port-pool",
        "fast-open",
        "connector-wait-provider",
        "upstream-proxy",
        "upstream-proxy-file",
    }
)
"""What is of use to a server with tokens of any kind."""


def has_effect(command: str, name: str, *, reverse: bool, any_token: bool = False) -> bool:
    """Whether a setting does something for a command that runs that way round, or with tokens of any kind."""
    if any_token and name in _FOR_ANY_TOKEN:
        return True
    if name in _FOR_TARGETS and command == "server":
        return not reverse
    if name in _FOR_APPLICATIONS:
        return reverse == (command == "server")
    return reverse or name not in _FOR_CONNECTORS


def command_named(name: str) -> Command:
    return next(command for command in COMMANDS if command.name == name)


def section_named(name: str) -> Section:
    return next(section for section in SECTIONS if section.name == name)


def settings_of(command: str) -> tuple[Setting, ...]:
    """What a command or a section can be told, in the order of its help text."""
    return tuple(setting for setting in SETTINGS if command in setting.commands)
