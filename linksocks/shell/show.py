"""What a file would run, and which settings count and why, as text without secrets."""

from __future__ import annotations

from collections.abc import Iterator

from linksocks.config import Config, Settings
from linksocks.config.effect import no_effect
from linksocks.config.secret import MASK, Secret, redact_url
from linksocks.config.setting import Setting
from linksocks.config.settings import settings_of
from linksocks.errors import ConfigError
from linksocks.net.sockets import shown as address
from linksocks.server.specs import Kind, TokenSpec
from linksocks.shell.plan import plan_of
from linksocks.shell.roles import certificate, client
from linksocks.shell.tokens import OWN, SERVER

_VALUE, _SOURCE = 26, 30
"""Widths before these columns."""


def checked(settings: Settings) -> str:
    """What would run. Raises ConfigError for what only shows when it begins."""
    plan = plan_of(settings, Secret("one that is made up"))
    problems = []
    for section, config in plan.roles.items():
        try:
            certificate(config) if section == SERVER else client(config)
        except ConfigError as error:
            problems.append(f"[{section}]: {error}")
    if problems:
        raise ConfigError("\n".join(problems))
    lines = [f"{settings.file} is good. linksocks run --config {settings.file} runs:"]
    lines += [_line(section, _role(config)) for section, config in plan.roles.items()]
    made_up = not plan.roles[SERVER]["token"] if SERVER in plan.roles else False
    for section, spec in plan.tokens.items():
        note = ", which is made up and printed" if section == OWN and made_up else ""
        lines.append(_line(section, _token(spec) + note))
    return "\n".join(lines) + "\n"


def shown(settings: Settings) -> str:
    """Every setting that has an effect, with its value and where that comes from."""
    tokens = {f"token:{name}": config for name, config in settings.tokens.items()}
    parts = []
    for section, config in {**settings.roles, **tokens}.items():
        lines = [f"[{section}]"]
        for setting in _effective(config):
            lines += _entry(setting, config)
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(section: str, text: str) -> str:
    return f"  {section:<24} {text}"


def _role(config: Config) -> str:
    match config.command:
        case "server":
            scheme = "wss" if config["tls-cert"] else "ws"
            return f"accepts {scheme}:// on {address((config['ws-host'], config['ws-port']))}"
        case _ if config["reverse"]:
            return f"is a provider at {redact_url(config['url'])}"
        case _:
            port = address((config["socks-host"], config["socks-port"]))
            return f"serves applications on {port} through {redact_url(config['url'])}"


def _token(spec: TokenSpec) -> str:
    if spec.kind is Kind.REVERSE:
        return f"a reverse token, with port {spec.port or 'of the pool'} for applications"
    return f"a{'n' * (spec.kind is Kind.AUTONOMY)} {spec.kind.value} token"


def _effective(config: Config) -> Iterator[Setting]:
    for setting in settings_of(config.command):
        if config.command in setting.later or setting.name in ("config", "reverse"):
            continue
        if setting.types and config["type"] not in setting.types:
            continue
        if config.way and no_effect(config.way, setting.name):
            continue
        if not setting.holds or setting.name in config.said:
            yield setting


def _entry(setting: Setting, config: Config) -> Iterator[str]:
    given = config.said.get(setting.name)
    text = setting.default if given is None else given.text
    if given is not None and setting.kind.secret:
        text = MASK
    if not setting.kind.argument and not text:
        text = "0" if setting.name == "debug" else "no"
    first, *rest = redact_url(text).split("\n")
    where = "default" if given is None else given.where
    yield f"  {setting.name:<{_VALUE}} {first:<{_SOURCE}} {where}"
    yield from (f"  {'':<{_VALUE}} {line}" for line in rest)
