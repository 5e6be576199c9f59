"""Small programs, each in a process of its own: patching, signals, forks and exits belong to a process."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

from tests.support.processes import Process

_ROOT = Path(__file__).parents[2]


def program(*parts: str, patched: bool = False) -> Process:
    """A running one of these parts, in a process that gevent has `patched` or not."""
    before = "from gevent import monkey; monkey.patch_all()\n" if patched else ""
    return Process(
        [sys.executable, "-c", before + "".join(map(dedent, parts))], env={"PYTHONPATH": str(_ROOT)}
    )


def outcome(*parts: str, patched: bool = False) -> list[str]:
    """What it printed. It must end by itself, well, and say nothing on stderr."""
    with program(*parts, patched=patched) as process:
        code = process.wait_exit()
    assert (code, process.err) == (0, []), process.output
    return process.out
