"""Who plays a role in the interop tests: the real peers, each in a venv of its own, and we ourselves.

A role runs as a process of its own, by the same call for all. A peer runs on the Python of its venv, by the drivers
in `peers/`; what we play is what a user starts, the command line. A peer's client takes `url` too, where it is not
that of `ws_port` on loopback.

=================  ==========================================================  ======================================
role               what it is                                                  options besides `ws_port`, `token`
=================  ==========================================================  ======================================
`server`           dials for forward clients
`reverse_server`   has a SOCKS port for its providers, open from the first on  `socks_port`, `fast_open`
`agent_server`     stands between providers and connectors                     `connector_token`, `socks_port`
`autonomy_server`  the same, the providers bring the connector tokens
`client`           has a SOCKS port, open on return                            `socks_port`, `fast_open`
`connector`        the same, at an agent or autonomy server                    as `client`
`provider`         dials for others; logged in on return                       `connector_token`
=================  ==========================================================  ======================================
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.processes import Process, linksocks

Option = str | int

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
    def play(self, role: str, **options: Option) -> Iterator[Process]:
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


@dataclass(frozen=True)
class Ourselves:
    """This working copy, by its command line."""

    def __str__(self) -> str:
        return "ours"

    @contextmanager
    def play(self, role: str, **options: Option) -> Iterator[Process]:
        """Our command for `role`, ready. A reverse server's SOCKS port may open later, as with the peers."""
        with linksocks(*self.command(role, **options)) as process:
            brings_token = role == "provider" and "connector_token" in options
            process.wait_line("lets connectors in" if brings_token else _READY[role])
            yield process

    @staticmethod
    def command(role: str, **options: Option) -> list[str]:
        """The command line for `role`."""
        port = options.pop("ws_port")
        if role.endswith("server"):
            argv = [*_COMMANDS[role], "--ws-host", "127.0.0.1", "--ws-port", str(port)]
        else:
            argv = [*_COMMANDS[role], "--url", f"ws://127.0.0.1:{port}"]
        for name, value in options.items():
            flag = f"--{name.replace('_', '-')}"
            argv += [flag] if value is True else [flag, str(value)]
        return argv


_COMMANDS: Final = {
    "server": ("server",),
    "reverse_server": ("server", "--reverse"),
    "agent_server": ("server", "--reverse"),
    "autonomy_server": ("server", "--reverse", "--connector-autonomy"),
    "client": ("client",),
    "connector": ("connector",),
    "provider": ("provider",),
}

_READY: Final = {
    "server": r"listening on",
    "reverse_server": r"listening on",
    "agent_server": r"listening on",
    "autonomy_server": r"listening on",
    "client": r"applications' port .+ is open",
    "connector": r"applications' port .+ is open",
    "provider": r"logged in at",
}
"""What a command logs when it has taken its role."""


OURS: Final = Ourselves()

PEERS: Final = (
    Peer("linksocks", "1.9.0"),
    Peer("linksocks", "1.10.1"),
    Peer("linksocks", "1.10.3"),
    Peer("pywssocks", "1.5.1"),
)
