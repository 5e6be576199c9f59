"""From the settings of a section to the role that they describe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from linksocks.client.provider import ProviderRole
from linksocks.client.role import ClientRole
from linksocks.client.session import USER_AGENT, Uplink
from linksocks.config import Config
from linksocks.config.secret import Secret
from linksocks.errors import LinkSocksError
from linksocks.net.tls.certificate import Certificate
from linksocks.net.tls.trust import Trust
from linksocks.server.role import ServerRole
from linksocks.server.specs import TokenSpec
from linksocks.shell.tokens import access_rules, limits
from linksocks.tunnel.channels.limits import CHANNEL_IDLE


class Role(Protocol):
    """A server or a client, as a process runs it."""

    def start(self) -> None: ...
    def wait(self) -> None: ...
    def stop(self, grace: float) -> None: ...


def server(config: Config, specs: Iterable[TokenSpec]) -> ServerRole:
    """A server with these tokens. Raises ConfigError, ListenError."""
    first, last = config["port-pool"]
    role = ServerRole(
        ws_host=config["ws-host"],
        ws_port=config["ws-port"],
        certificate=certificate(config),
        buffer_size=config["buffer-size"],
        socks_host=config["socks-host"],
        port_pool=range(first, last + 1),
        socks_no_wait=config["socks-nowait"],
        fast_open=config["fast-open"],
        connector_wait=config["connector-wait-provider"],
        upstream=config["upstream-proxy"],
        dns_prefer_ipv4=config["dns-prefer-ipv4"],
        dial_rules=access_rules(config),
        entry_rules=access_rules(config),
        api_keys=[key.reveal() for key in config["api-key"]],
        state_file=config["state-file"],
        limits=limits(config),
        max_handshakes=config["max-handshakes"],
        max_handshakes_of_one=config["max-handshakes-per-address"],
        metrics_address=config["metrics-address"],
    )
    try:
        for spec in specs:
            role.add(spec)
    except LinkSocksError:
        role.stop(0)
        raise
    return role


def certificate(config: Config) -> Certificate | None:
    """A server's, where it has one. Raises ConfigError."""
    pair = config["tls-cert"], config["tls-key"]
    return Certificate(*pair, config["tls-client-ca"]) if all(pair) else None


def client(config: Config) -> ClientRole | ProviderRole:
    """A client, whichever way round it runs. Raises ConfigError."""
    return _provider(config) if config["reverse"] else _client(config)


def _client(config: Config) -> ClientRole:
    password: Secret = config["socks-password"]
    return ClientRole(
        _uplink(config),
        socks_host=config["socks-host"],
        socks_port=config["socks-port"],
        socks_username=config["socks-username"],
        socks_password=password.reveal(),
        socks_no_wait=config["socks-no-wait"],
        fast_open=config["fast-open"],
        rules=access_rules(config),
        metrics_address=config["metrics-address"],
    )


def _provider(config: Config) -> ProviderRole:
    token: Secret = config["connector-token"]
    return ProviderRole(
        _uplink(config),
        connector_tokens=[token.reveal()] if token else [],
        upstream=config["upstream-proxy"],
        rules=access_rules(config),
        metrics_address=config["metrics-address"],
    )


def _uplink(config: Config) -> Uplink:
    token: Secret = config["token"]
    return Uplink(
        url=config["url"],
        token=token.reveal(),
        threads=config["threads"],
        reconnect=not config["no-reconnect"],
        retry_auth=config["retry-auth"],
        buffer_size=config["buffer-size"],
        trust=Trust(
            ca_file=config["ca-file"],
            insecure=config["insecure"],
            pin=config["tls-pin"],
            client_cert=config["tls-client-cert"],
            client_key=config["tls-client-key"],
        ),
        # A provider has it for its targets.
        proxy=None if config["reverse"] else config["upstream-proxy"],
        env_proxy=not config["no-env-proxy"],
        dns_prefer_ipv4=config["dns-prefer-ipv4"],
        idle_timeout=config["idle-timeout"] or CHANNEL_IDLE,
        user_agent=config["user-agent"] or USER_AGENT,
        headers=[(name, value.reveal()) for name, value in config["header"]],
        host_header=config["host-header"],
        tls_server_name=config["tls-server-name"],
    )
