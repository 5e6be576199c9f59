"""The samples of conf/ as a test uses them: the places and numbers of a real machine replaced by the test's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def sample(name: str, replaced: Mapping[str, str]) -> str:
    """The text of conf/`name`; what is to be replaced must be there."""
    text = (ROOT / "conf" / name).read_text()
    for old, new in replaced.items():
        assert old in text, f"conf/{name} has no {old!r}"
        text = text.replace(old, new)
    return text


def filled(**sections: Mapping[str, object]) -> str:
    """conf/linksocks.ini as who edits it leaves it: the headers and the keys of `sections` are in force."""
    left = {(section, key): value for section, values in sections.items() for key, value in values.items()}
    examples, bar, reference = sample("linksocks.ini", {}).partition("\n# -----")
    section, lines = "", []
    for line in reference.split("\n"):
        if header := re.fullmatch(r"#\[(.*)\]", line):
            section = header[1]
        key = line[1:].partition(" = ")[0]
        if header and section in sections:
            lines.append(f"[{section}]")
        elif (section, key) in left:
            lines.append(f"{key} = {left.pop((section, key))}")
        else:
            lines.append(line)
    assert not left, f"conf/linksocks.ini has no {left}"
    return examples + bar + "\n".join(lines)
