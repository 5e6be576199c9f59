"""The INI file as lines: sections of `key = value`, each with the number of its line.

The standard library's parser stops at the first mistake and forgets where a key stood; an error of ours names
file, line and key, and all errors come at once. The dialect is the same: `#` and `;` begin a comment line,
`=` or `:` divides, a line that is indented deeper than its key is a further line of the value, nothing is
interpolated, and no value is ever quoted in an error, as it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SECTION = re.compile(r"\[([^\]]+)\]")
_ENTRY = re.compile(r"([^=:\s]+)\s*[=:]\s*(.*)")


@dataclass
class Entry:
    section: str
    """Empty for an entry above the first section."""
    key: str
    value: str
    line: int
    indent: int


def read(lines: Iterable[str]) -> tuple[list[Entry], list[tuple[int, str]]]:
    """The entries in their order, and what is wrong, as pairs of line number and reason."""
    entries: list[Entry] = []
    wrong: list[tuple[int, str]] = []
    section = ""
    last: Entry | None = None  # the entry that an indented line goes on with
    for line, raw in enumerate(lines, start=1):
        text = raw.strip()
        if not text or text[0] in "#;":
            continue
        indent = len(raw) - len(raw.lstrip())
        if last is not None and indent > last.indent:
            last.value = f"{last.value}\n{text}".strip()
        elif match := _SECTION.fullmatch(text):
            section, last = match[1].strip(), None
        elif match := _ENTRY.fullmatch(text):
            last = Entry(section, match[1], match[2], line, indent)
            entries.append(last)
        else:
            last = None
            wrong.append((line, "expected [section] or key = value; begin a comment with #"))
    return entries, wrong
