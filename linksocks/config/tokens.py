"""The sections of tokens: what goes with which type, and with each other and with [server]."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from linksocks.config.file import Section
from linksocks.config.given import Given, nearest
from linksocks.config.result import Config
from linksocks.config.settings import settings_of


def drop_strangers(section: Section, said: dict[str, Given], problems: list[str]) -> None:
    """Takes out of `said` what is not about a token of its type, and names what is missing."""
    kind = said["type"].text if "type" in said else "forward"
    for setting in settings_of(section.kind):
        given = said.get(setting.name)
        if given is not None and setting.types and kind not in setting.types:
            del said[setting.name]
            needed = " or ".join(setting.types)
            problems.append(f"{given.where}: has no effect with type {kind}; it is for {needed}")
    if not said.keys() & {"token", "token-file"}:
        problems.append(f"{section.where}: needs token or token_file")
    if kind == "connector" and "reverse-token" not in said:
        problems.append(
            f"{section.where}: needs reverse_token, the name of a [token:NAME] whose providers it leads to"
        )


def token_problems(tokens: Mapping[str, Config], server: Config | None) -> list[str]:
    """What is wrong between sections."""
    return [*_lost(tokens), *_twice(_texts(tokens, server)), *_twice(_ports(tokens, server))]


def _lost(tokens: Mapping[str, Config]) -> Iterable[str]:
    """Connector tokens that lead nowhere."""
    for token in tokens.values():
        given = token.said.get("reverse-token")
        if given is None:
            continue
        target = tokens.get(token["reverse-token"])
        if target is None:
            yield f"{given.where}: there is no section [token:{given.text}]{nearest(given.text, tokens)}"
        elif target["type"] != "reverse":
            yield f"{given.where}: [token:{given.text}] is of type {target['type']}; expected a reverse token"


def _texts(tokens: Mapping[str, Config], server: Config | None) -> Iterable[tuple[str, str, Given]]:
    """Each token with where it stands."""
    for name in ("token", "connector-token") if server is not None else ():
        if server is not None and name in server.said:
            yield server[name].reveal(), "the same token", server.said[name]
    for token in tokens.values():
        if "token" in token.said:
            yield token["token"].reveal(), "the same token", token.said["token"]


def _ports(tokens: Mapping[str, Config], server: Config | None) -> Iterable[tuple[str, str, Given]]:
    """Each fixed port for applications, likewise."""
    if server is not None and server["reverse"] and "socks-port" in server.said and server["socks-port"]:
        yield str(server["socks-port"]), "the same port", server.said["socks-port"]
    for token in tokens.values():
        if token["port"]:
            yield str(token["port"]), "the same port", token.said["port"]


def _twice(uses: Iterable[tuple[str, str, Given]]) -> Iterable[str]:
    """`uses` are of what must not be used twice: the thing itself, which may be a secret, and what it is."""
    first: dict[str, Given] = {}
    for thing, what, given in uses:
        if first.setdefault(thing, given) is not given:
            yield f"{given.where}: is {what} as {first[thing].where}; each token needs its own"
