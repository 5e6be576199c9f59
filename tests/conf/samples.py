"""The samples of conf/ as a test uses them: the places and numbers of a real machine replaced by the test's."""

from __future__ import annotations

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
