"""The INI file as sections of settings, each entry checked by itself.

=========================================== =====================================================
[server], [client], [provider], [connector] what the command of that name is told
[client:NAME], [provider:NAME] ...          more of them, for `linksocks run`
[token:NAME]                                a token of the server
=========================================== =====================================================

Invariants: the whole file is checked, whatever is run from it, and all that is wrong is said at once, in the order
of its lines. No section and no key stands twice. A value in quotes, or with a comment behind it, is refused: nobody
means those to be part of it.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from linksocks.config import ini
from linksocks.config.given import Given, Level, nearest, parse, reason_of
from linksocks.config.setting import Setting
from linksocks.config.settings import SECTIONS, section_named, settings_of
from linksocks.errors import ConfigError

_HEADER: Final = re.compile(r"(\w+)(?:\s*:\s*(.*))?")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_QUOTED: Final = re.compile(r"([\"'`]).*\1", re.DOTALL)
_COMMENTED: Final = re.compile(r".*\s[;#](?:\s.*|)", re.DOTALL)


@dataclass(frozen=True)
class Section:
    """What one section says."""

    kind: str
    """A command, or `token`."""
    name: str = ""
    where: str = ""
    """What an error calls it: `file.ini:3: [token:alice]`."""
    said: dict[str, Given] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What stands between the brackets."""
        return f"{self.kind}:{self.name}" if self.name else self.kind


def read_file(config: Given, problems: list[str], warnings: list[str]) -> list[Section]:
    """The sections of the file that `config` names, with their good entries; the bad ones become problems."""
    try:
        document = ini.read(Path(config.text).read_text("utf-8-sig").split("\n"))
    except (OSError, ValueError) as error:
        problems.append(f"{config.where}: can't read {config.text!r}: {reason_of(error)}")
        return []
    found = [(line, f"{config.text}:{line}: {reason}") for line, reason in document.wrong]
    sections = _sections(config.text, document.sections, found)
    base, seen = Path(config.text).parent, dict[tuple[int, str], int]()
    for entry in document.entries:
        where = f"{config.text}:{entry.line}: {entry.key}"
        given = Given(Level.FILE, where, entry.value, base)
        name = entry.key.lower().replace("_", "-")
        first = seen.setdefault((entry.header, name), entry.line)
        section = sections.get(entry.header)
        if not entry.header:
            what = "stands above the first section; put it below [server] or [client]"
            found.append((entry.line, f"{where}: {what}"))
        elif section is None:
            continue  # of a header that was complained of
        elif first != entry.line:
            found.append((entry.line, f"{where}: is already on line {first}; leave one of them out"))
        elif problem := _entry_problem(section, name, given):
            found.append((entry.line, problem))
        else:
            section.said[name] = given
    problems += [problem for _, problem in sorted(found)]
    if any(_secrets_of(section) for section in sections.values()):
        warn_if_readable(Path(config.text), warnings)
    return list(sections.values())


def warn_if_readable(path: Path, warnings: list[str]) -> None:
    """Says so, once for each file, where others than its owner can read a file with secrets."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # who reads it will say so
    others = [who for who, bit in (("its group", stat.S_IRGRP), ("everybody", stat.S_IROTH)) if mode & bit]
    if not stat.S_ISREG(mode) or not others:
        return
    warning = f"{path} holds secrets, and {' and '.join(others)} can read it: chmod go-rwx {path}"
    if warning not in warnings:
        warnings.append(warning)


def _sections(
    file: str, headers: Iterable[tuple[int, str]], found: list[tuple[int, str]]
) -> dict[int, Section]:
    """The good ones, by the lines of their headers."""
    sections: dict[int, Section] = {}
    lines: dict[str, int] = {}
    for line, header in headers:
        where = f"{file}:{line}: [{header}]"
        match = _HEADER.fullmatch(header)
        section = Section(match[1], (match[2] or "").strip(), where) if match else Section(header, "", where)
        first = lines.setdefault(section.label, line)
        if problem := _header_problem(section, named=bool(match and match[2] is not None)):
            found.append((line, f"{where}: {problem}"))
        elif first != line:
            found.append((line, f"{where}: is already on line {first}; put the two together"))
        else:
            sections[line] = section
    return sections


def _header_problem(section: Section, *, named: bool) -> str:
    """What is wrong with a section's header; empty when nothing is."""
    known = [known.name for known in SECTIONS]
    if section.kind not in known:
        return f"there is no such section{nearest(section.kind, known)}"
    names = section_named(section.kind).names
    if named and names == "never":
        return f"takes no name, as there is one only: write [{section.kind}]"
    if not section.name and names == "always":
        return f"needs a name: [{section.kind}:NAME]"
    if named and not _NAME.fullmatch(section.name):
        return "a name is 1 to 64 letters, digits, dashes, dots and underscores, and begins with none of the latter"
    return ""


def _entry_problem(section: Section, name: str, given: Given) -> str:
    """What is wrong with an entry; empty when nothing is."""
    known = {setting.name: setting for setting in settings_of(section.kind) if setting.in_file}
    if name not in known:
        return f"{given.where}: [{section.label}] has no such setting{nearest(name, known)}"
    if _QUOTED.fullmatch(given.text):
        return f"{given.where}: the quotes would be part of the value; leave them out{_or_file(known[name], known)}"
    if _COMMENTED.fullmatch(given.text):
        alone = "a comment needs a line of its own, else it would be part of the value"
        return f"{given.where}: {alone}{_or_file(known[name], known)}"
    try:
        parse(known[name], given)
    except ConfigError as error:
        return str(error)
    return ""


def _or_file(setting: Setting, known: dict[str, Setting]) -> str:
    """The way for who means it."""
    held = setting.kind.secret and f"{setting.name}-file" in known
    return f"; if they belong to it, use {setting.name}-file" if held else ""


def _secrets_of(section: Section) -> list[str]:
    return [s.name for s in settings_of(section.kind) if s.kind.secret and s.name in section.said]
