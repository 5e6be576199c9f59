"""From the settings of a server to its tokens: those of [server] itself and those with sections of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from linksocks.config import Config
from linksocks.config.secret import Secret
from linksocks.errors import ConfigError
from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.access import AccessRules
from linksocks.tunnel.channels.limits import Limits

SERVER: Final = "server"
"""The section of a server."""

OWN, OWN_CONNECTORS = "server's token", "server's connector token"
"""Names of the tokens that this section itself declares, beside token:NAME."""


def tokens(server: Config, sections: Mapping[str, Config], made: Secret) -> dict[str, TokenSpec]:
    """The tokens by the names of their sections, connector tokens behind those that they lead to.

    `made` stands in where nothing else lets anybody in. Raises ConfigError.
    """
    alone = not (sections or server["api-key"])
    own = _own(server, (server["token"] or (made if alone else Secret(""))).reveal())
    others = {f"token:{name}": _spec(config, sections) for name, config in sections.items()}
    in_order = sorted(others, key=lambda section: others[section].kind is Kind.CONNECTOR)
    return own | {section: others[section] for section in in_order}


def access_rules(config: Config) -> AccessRules:
    """Those of one section."""
    return AccessRules(config["access-rule"], config["deny-rule"], config["block-private"])


def limits(config: Config) -> Limits:
    """The same of limits."""
    return Limits(
        channels=config["max-channels"],
        links=config["max-links"],
        rate=config["rate-limit"],
        channel_rate=config["channel-rate-limit"],
        idle=config["idle-timeout"],
    )


def _own(config: Config, token: str) -> dict[str, TokenSpec]:
    """Those of [server]."""
    connector_token = config["connector-token"].reveal()
    if not token:  # the API makes them, or sections declare them
        if config["reverse"]:
            raise ConfigError(
                "--reverse: is about --token, which nobody gave; give that too or leave this out"
            )
        return {}
    if not config["reverse"]:
        return {OWN: TokenSpec(Kind.FORWARD, token)}
    rules = access_rules(config)  # of those who come in, by whichever door
    if config["connector-autonomy"]:
        if connector_token:
            raise ConfigError(
                "--connector-token: with --connector-autonomy providers bring theirs; leave one out"
            )
        return {OWN: TokenSpec(Kind.AUTONOMY, token, rules=rules)}
    reverse = TokenSpec(
        Kind.REVERSE,
        token,
        port=config["socks-port"],
        username=config["socks-username"],
        password=config["socks-password"].reveal(),
        rules=rules,
    )
    if not connector_token:
        return {OWN: reverse}
    connector = TokenSpec(Kind.CONNECTOR, connector_token, reverse_token=token, rules=rules)
    return {OWN: reverse, OWN_CONNECTORS: connector}


def _spec(config: Config, sections: Mapping[str, Config]) -> TokenSpec:
    """That of one section; `sections` are those that it may speak of."""
    leads_to = config["reverse-token"]
    return TokenSpec(
        Kind(config["type"]),
        config["token"].reveal(),
        port=config["port"],
        username=config["username"],
        password=config["password"].reveal(),
        reverse_token=sections[leads_to]["token"].reveal() if leads_to else "",
        rules=access_rules(config),
        limits=limits(config),
    )
