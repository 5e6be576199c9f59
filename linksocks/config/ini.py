"""The INI file as lines: sections of `key = value`, each with the number of its line.

The standard library's parser stops at the first mistake and forgets where a key stood; an error of ours names
file, line and key, and all errors come at once. The dialect is the same: `#` and `;` begin a comment line,
`=` or `:` divides, a line that is indented deeper than its key is a further line of the value, nothing is
interpolated, quotes and comments behind a value are part of it, and no value is ever quoted in an error, as it may
be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_SECTION = re.compile(r"\[([^\]]+)\]")
_ENTRY = re.compile(r"([^=:\s]+)\s*[=:]\s*(.*)")


@dataclass
class Entry:
    header: int
    """The line of its section's header; 0 for an entry above the first."""
    key: str
    value: str
    line: int
    indent: int


@dataclass
class Document:
    """What a file says, in its order."""

    sections: list[tuple[int, str]] = field(default_factory=list)
    """Line number and name of each header; a name may come twice."""
    entries: list[Entry] = field(default_factory=list)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    """Line number and reason."""


def read(lines: Iterable[str]) -> Document:
    """What the lines of a file say."""
    found = Document()
    header = 0
    last: Entry | None = None  # the entry that an indented line goes on with
    for line, raw in enumerate(lines, start=1):
        text = raw.strip()
        if not text or text[0] in "#;":
            continue
        indent = len(raw) - len(raw.lstrip())
        if last is not None and indent > last.indent:
            last.value = f"{last.value}\n{text}".strip()
        elif match := _SECTION.fullmatch(text):
            header, last = line, None
            found.sections.append((line, match[1].strip()))
        elif match := _ENTRY.fullmatch(text):
            last = Entry(header, match[1], match[2], line, indent)
            found.entries.append(last)
        else:
            last = None
            found.wrong.append((line, "expected [section] or key = value; begin a comment with #"))
    return found
