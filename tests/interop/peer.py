"""The real peers: where each is installed and how a test plays a role with one.

A role runs as a process of its own, on the Python of the peer's venv, by the drivers in `peers/`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import Process

_DRIVERS = Path(__file__).parent / "peers"
_VENVS = Path(__file__).parents[2] / ".peers"


class PeerError(Exception):
    """The peer could not take its role; the text is its own."""


@dataclass(frozen=True)
class Peer:
    """A release of another implementation, made by scripts/peers."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"

    @property
    def made(self) -> bool:
        """Whether the venv is finished: the stamp is written last."""
        return (_VENVS / str(self) / ".made").exists()

    @property
    def why_skipped(self) -> str | None:
        """Why this machine can't have the peer, if so."""
        note = _VENVS / f"{self}.skipped"
        return note.read_text().strip() if note.exists() else None

    def program(self, name: str) -> Path:
        """A program that came with the peer."""
        return _VENVS / str(self) / "bin" / name

    @contextmanager
    def play(self, role: str, **options: str | int) -> Iterator[Process]:
        """The peer in `role`, ready; `options` are the arguments of that role in the peer's driver."""
        argv = [
            str(self.program("python")),
            str(_DRIVERS / f"drive_{self.name}.py"),
            role,
            json.dumps(options),
        ]
        with Process(argv, env={"PYTHONPATH": None}) as process:
            said = json.loads(process.wait_line(r'^\{"(ready|error)": .*').group())
            if "error" in said:
                raise PeerError(said["error"])
            yield process


PEERS = (
    Peer("pywssocks", "1.5.1"),
    Peer("linksocks", "1.9.0"),
    Peer("linksocks", "1.10.1"),
    Peer("linksocks", "1.10.3"),
)
