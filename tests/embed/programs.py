"""Small programs that have a home."""

from __future__ import annotations

from tests.support import programs
from tests.support.processes import Process

_PRELUDE = """
import asyncio, os, sys, threading, time
from linksocks.embed import enter
"""


def program(*parts: str, patched: bool = False) -> Process:
    """See programs.program."""
    return programs.program(_PRELUDE, *parts, patched=patched)


def outcome(*parts: str, patched: bool = False) -> list[str]:
    """See programs.outcome."""
    return programs.outcome(_PRELUDE, *parts, patched=patched)
