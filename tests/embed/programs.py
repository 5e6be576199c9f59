"""Small programs, each in a process of its own: patching, signals, forks and exits belong to a process."""

from __future__ import annotations

import sys
import textwrap

from tests.support.processes import Process

PATCHED = "from gevent import monkey; monkey.patch_all()\n"

_PRELUDE = """
import asyncio, os, sys, threading, time
from linksocks.embed import enter
"""


def program(text: str, *, patched: bool = False) -> Process:
    """A running one."""
    return Process([sys.executable, "-c", (PATCHED if patched else "") + _PRELUDE + textwrap.dedent(text)])


def outcome(text: str, *, patched: bool = False) -> list[str]:
    """What it printed. It must end by itself, well, and say nothing on stderr."""
    with program(text, patched=patched) as process:
        code = process.wait_exit(timeout=10)
    assert (code, process.err) == (0, []), process.output
    return process.out
