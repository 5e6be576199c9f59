"""The settings as documents: docs/settings.rst and conf/linksocks.ini, both made from the table.

`scripts/docs` writes them, and a test says when they are out of date.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Final

from linksocks.config.effect import Way, no_effect
from linksocks.config.setting import ALL, TOKEN, Setting
from linksocks.config.settings import SECTIONS, SETTINGS, Section, command_named, settings_of

_WIDTH: Final = 110

_RST_HEAD: Final = """\
.. Made by scripts/docs from the table in linksocks/config/table: change it there.

Settings
========

A setting is given by a flag, by a variable or in an INI file that ``--config`` names. A flag goes before its
variable, a variable before the file, and that before the default; an empty variable does not count. In the file a key
may be written with dashes or underscores. What is wrong is said with flag, variable or file, line and key, all at
once, and nothing runs then.

``linksocks check-config FILE`` says what a file would run, and ``linksocks show-config`` which values count and where
each comes from, without secrets.

The INI file
------------

===================== ===========================================================================================
section               what it is
===================== ===========================================================================================
``[server]``          what ``linksocks server`` is told; ``[client]``, ``[provider]`` and ``[connector]`` likewise
``[token:NAME]``      a token of the server, any number of them
``[client:NAME]``     one more client; ``[provider:NAME]`` and ``[connector:NAME]`` likewise
===================== ===========================================================================================

``linksocks server --config FILE`` runs ``[server]`` with all tokens, and ``linksocks client --config FILE`` runs
``[client]``. ``linksocks run --config FILE`` runs all that there are sections for, in one process: variables do not
count for them, but for those of ``run`` itself, which hold for all. The most talkative ``debug`` counts. A client
that ends by itself leaves the others alone; the process ends with the last one, or with the server.

``#`` and ``;`` begin a comment, on a line of its own. Lines that are indented deeper than their key go on with its
value. Values stand without quotes. The name of a file is relative to the INI file.

Reload
------

SIGHUP, or ``POST /api/reload``, reads the file again. All of it is checked first, and a file with a mistake changes
nothing. Then only what differs is changed, and each change is a line of the log:

* tokens that came are accepted, and those that went are not any more: what they let in ends;
* a token's port, user name, password, rules and limits hold for what begins from now on, and nothing ends; but with
  another type or text it is another token;
* a client with other settings ends, within its grace, and begins anew;
* ``grace``, ``debug``, ``log-format`` and the server's access rules are taken over; the certificate is read again;
* the server's other settings wait for a restart, and a line says so.

Tokens that were made through the API stay. A client that had ended by itself is begun anew.

"""

_INI_HEAD: Final = """\
# All settings of linksocks, commented out, with their defaults.
#
# Made by scripts/docs from the table in linksocks/config/table.
#
# A section belongs to the command of its name: [server], [client], [provider] and [connector]. With
# `linksocks run --config FILE` one process runs all that have a section, also more of a kind: [client:NAME].
# Each [token:NAME] is a token that the server accepts.
#
# Keys are the long flags without their dashes; dashes and underscores are the same. A comment needs a line of its
# own, and values stand without quotes. `linksocks check-config FILE` says what is wrong, and what would run.
# SIGHUP reads the file again. Secrets are better in files of their own, or let nobody else read this one.
#
"""

EXAMPLES: Final = {
    "Forward: applications at the client, and the server dials.": """\
[server]
[token:alice]
token_file = /etc/linksocks/alice.token

[client]
url = wss://proxy.example.org
token_file = /etc/linksocks/alice.token
socks_port = 9870
""",
    "Reverse: applications at the server, and the provider dials.": """\
[server]
[token:office]
type = reverse
token_file = /etc/linksocks/office.token
port = 9870

[provider]
url = wss://proxy.example.org
token_file = /etc/linksocks/office.token
""",
    "Agent: applications at a connector, and the provider dials; the server joins the two.": """\
[server]
[token:office]
type = reverse
token_file = /etc/linksocks/office.token
[token:visitor]
type = connector
reverse_token = office
token_file = /etc/linksocks/visitor.token

[provider]
url = wss://proxy.example.org
token_file = /etc/linksocks/office.token

[connector]
url = wss://proxy.example.org
token_file = /etc/linksocks/visitor.token
socks_port = 9870
""",
    "Autonomy: a provider that lets connectors in by tokens of its own.": """\
[server]
[token:lab]
type = autonomy
token_file = /etc/linksocks/lab.token

[provider]
url = wss://proxy.example.org
token_file = /etc/linksocks/lab.token
connector_token_file = /etc/linksocks/guests.token
""",
}
"""Each is a file that runs, once its tokens are there."""


def settings_rst() -> str:
    """docs/settings.rst."""
    of_commands = [setting for setting in SETTINGS if set(setting.commands) & set(ALL)]
    of_tokens = settings_of(*TOKEN)
    parts = [
        _RST_HEAD,
        _rst_part("Settings of commands", (s for s in of_commands if not s.later)),
        _rst_part("Settings of tokens", of_tokens, in_tokens=True),
        _rst_part("Known, and refused until they are there", (s for s in of_commands if s.later)),
    ]
    return "\n".join(parts)


def linksocks_ini() -> str:
    """conf/linksocks.ini."""
    parts = [_INI_HEAD]
    for title, example in EXAMPLES.items():
        parts.append(f"# -- {title}\n#\n{_commented(example)}\n")
    parts += [_ini_section(section) for section in SECTIONS]
    return "\n".join(parts)


def _rst_part(title: str, settings: Iterable[Setting], *, in_tokens: bool = False) -> str:
    entries = "\n".join(_rst_entry(setting, in_tokens=in_tokens) for setting in settings)
    return f"{title}\n{'-' * len(title)}\n\n{entries}"


def _rst_entry(setting: Setting, *, in_tokens: bool) -> str:
    lines = [f"``{setting.name}``"]
    plain = _sentence(setting).replace("`", "``").replace("*", r"\*")
    lines += _filled(f"{plain}{_default(setting, '``')}", "    ")
    if not in_tokens:
        short = f"``-{setting.short}``, " if setting.short else ""
        commands = ", ".join(name for name in setting.commands if name not in TOKEN)
        lines += ["", *_filled(f"{short}``{setting.flag}``, ``{setting.variable}``; {commands}.", "    ")]
    elif setting.types:
        lines += ["", f"    For type {' or '.join(setting.types)}."]
    return "\n".join(lines) + "\n"


def _ini_section(section: Section) -> str:
    header = f"[{section.name}{':NAME' if section.names == 'always' else ''}]"
    head = f"# {'-' * 40}\n# {section.summary}\n#{header}\n"
    return "\n".join([head, *(_ini_entry(setting) for setting in keys_of(section.name))])


def keys_of(section: str) -> list[Setting]:
    """What may stand in a section, and does something there."""
    fixed = None if section in TOKEN else command_named(section).reverse
    return [
        setting
        for setting in settings_of(section)
        if setting.in_file and section not in setting.later
        if fixed is None or not no_effect(Way(command=section, reverse=fixed), setting.name)
    ]


def _ini_entry(setting: Setting) -> str:
    types = f" For type {' or '.join(setting.types)}." if setting.types else ""
    lines = _filled(f"{_sentence(setting)}{types}{_default(setting, '')}", "# ")
    value = setting.default or setting.kind.argument or ("0" if setting.name == "debug" else "no")
    return "\n".join([*lines, f"#{setting.name.replace('-', '_')} = {value}"]) + "\n"


def _sentence(setting: Setting) -> str:
    text = setting.help.rstrip(".")
    return f"{text[0].upper()}{text[1:]}. Expected: {setting.kind.expected}."


def _default(setting: Setting, quote: str) -> str:
    return f" Default: {quote}{setting.default}{quote}." if setting.default else ""


def _filled(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _commented(text: str) -> str:
    return "\n".join(f"#{line}" for line in text.rstrip("\n").split("\n"))
