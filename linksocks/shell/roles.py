"""From the settings of a section to the role that they describe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from linksocks.client.provider import ProviderRole
from linksocks.client.role import ClientRole
from linksocks.client.session import USER_AGENT, Uplink
from linksocks.config import Config
from linksocks.config.secret import Secret
from linksocks.errors import ConfigError
from linksocks.net.certificate import Certificate
from linksocks.net.trust import Trust
from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.access import AccessRules


class Role(Protocol):
    """A server or a client, as a process runs it."""

    def start(self) -> None: ...
    def wait(self) -> None: ...
    def stop(self, grace: float) -> None: ...


def server(config: Config, specs: Iterable[TokenSpec]) -> ServerRole:
    """A server with these tokens. Raises ConfigError, ListenError."""
    pair = config["tls-cert"], config["tls-key"]
    role = ServerRole(
        ws_host=config["ws-host"],
        ws_port=config["ws-port"],
        certificate=Certificate(*pair, config["tls-client-ca"]) if all(pair) else None,
        buffer_size=config["buffer-size"],
        socks_host=config["socks-host"],
        port_pool=config["port-pool"],
        socks_no_wait=config["socks-nowait"],
        fast_open=config["fast-open"],
        connector_wait=config["connector-wait-provider"],
        upstream=config["upstream-proxy"],
        dns_prefer_ipv4=config["dns-prefer-ipv4"],
        dial_rules=_access(config),
        api_keys=[key.reveal() for key in config["api-key"]],
        state_file=config["state-file"],
    )
    for spec in specs:
        role.add(spec)
    return role


def tokens(config: Config, made: Secret) -> list[TokenSpec]:
    """Those that the settings of a server declare; `made` stands in where they say none. Raises ConfigError."""
    token, connector_token = (config["token"] or made).reveal(), config["connector-token"].reveal()
    if not token:  # the API makes them
        if config["reverse"]:
            raise ConfigError(
                "--reverse: with --api-key it is about --token; give that too or leave this out"
            )
        return []
    if not config["reverse"]:
        return [TokenSpec(Kind.FORWARD, token)]
    rules = _access(config)  # of those who come in, by whichever door
    if config["connector-autonomy"]:
        if connector_token:
            raise ConfigError(
                "--connector-token: with --connector-autonomy providers bring theirs; leave one out"
            )
        return [TokenSpec(Kind.AUTONOMY, token, rules=rules)]
    reverse = TokenSpec(
        Kind.REVERSE,
        token,
        port=config["socks-port"],
        username=config["socks-username"],
        password=config["socks-password"].reveal(),
        rules=rules,
    )
    if not connector_token:
        return [reverse]
    return [reverse, TokenSpec(Kind.CONNECTOR, connector_token, reverse_token=token, rules=rules)]


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
        rules=_access(config),
    )


def _provider(config: Config) -> ProviderRole:
    token: Secret = config["connector-token"]
    return ProviderRole(
        _uplink(config),
        connector_tokens=[token.reveal()] if token else [],
        upstream=config["upstream-proxy"],
        rules=_access(config),
    )


def _access(config: Config) -> AccessRules:
    return AccessRules(config["access-rule"], config["deny-rule"], config["block-private"])


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
        user_agent=config["user-agent"] or USER_AGENT,
        headers=[(name, value.reveal()) for name, value in config["header"]],
        host_header=config["host-header"],
        tls_server_name=config["tls-server-name"],
    )
