"""Every mode between processes of the command line, from the port for applications to who dials.

======== ============================ ==============================================
mode     port for applications        who dials
======== ============================ ==============================================
forward  the client's                 the server
reverse  the server's                 a provider, in turn
agent    a connector's                a provider, in turn
autonomy a connector's                the provider that brought the connector's token
======== ============================ ==============================================

Ports are the kernel's, read from what the processes say; those of a server that is to come back are the test's, as
the kernel may give its own to somebody else meanwhile. All waiting lets this thread's hub run.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import gevent
from gevent import socket

from tests.support import socks
from tests.support.cable import Cable
from tests.support.ports import free_port
from tests.support.processes import Process, linksocks
from tests.support.targets import EchoTarget
from tests.support.tunnels import Target, application
from tests.support.waits import eventually

TOKEN, CONNECTOR_TOKEN = "the-token-of-the-tests", "the-connector-token-of-the-tests"

LENT = ["reverse", "agent", "autonomy"]
"""The modes with a provider."""

MODES = ["forward", *LENT]

_SERVER = {
    "forward": (),
    "reverse": ("-r",),
    "agent": ("-r", "-c", CONNECTOR_TOKEN),
    "autonomy": ("-r", "-a"),
}

_PROVIDER = {"autonomy": ("-c", CONNECTOR_TOKEN)}


class Chain:
    """The processes of `mode`, with one provider and one port for applications at `socks_port`.

    `entry` are flags for whoever has that port, `server` for the server; `pace` is Python that each process runs
    first, to make a constant small. All links go through `cable` where there is one, the first provider's first. The
    server will be killed and come back where it `comes_back`.
    """

    def __init__(
        self,
        mode: str,
        *,
        entry: Sequence[str] = (),
        server: Sequence[str] = (),
        pace: str = "",
        cable: Cable | None = None,
        comes_back: bool = False,
    ) -> None:
        self.mode = mode
        self.providers: list[Process] = []
        self.connectors: list[Process] = []
        self._entry = tuple(entry)
        self._server = (*_SERVER[mode], *server)
        self._pace = pace
        self._cable = cable
        self._stack = ExitStack()
        self._ended: list[Process] = []
        self.ws_port, self.socks_port = (free_port(), free_port()) if comes_back else (0, 0)

    def __enter__(self) -> Self:
        with self._stack:
            self.start_server()
            if self.mode != "forward":
                self.add_provider()
            self.socks_port = self.server_s_port() if self.mode == "reverse" else self.add_connector()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        with self._stack:
            if kind is None:
                for process in self.processes:
                    process.send_signal(signal.SIGTERM)
                eventually(lambda: not any(process.running for process in self.processes), *self.processes)
        for process in (*self.processes, *self._ended):
            assert "Traceback" not in process.output, process.output

    @property
    def processes(self) -> list[Process]:
        """All that run, the server first."""
        return [self.server, *self.providers, *self.connectors]

    def server_s_port(self) -> int:
        """Where the server takes applications itself, in reverse and in agent mode."""
        return int(said(self.server, r"applications' port (\d+) is open"))

    def start_server(self) -> None:
        """Starts it, after a kill with the ports that it had."""
        args = ["server", "-t", TOKEN, "-H", "127.0.0.1", "-P", str(self.ws_port), *self._server]
        if self.mode in ("reverse", "agent"):
            args += ["-p", str(self.socks_port if self.mode == "reverse" else 0)]
        if self.mode == "reverse":
            args += self._entry
        self.server = self._start(*args)
        self.ws_port = int(said(self.server, r"listening on 127\.0\.0\.1:(\d+)"))
        if self._cable is not None:
            self._cable.far_port = self.ws_port

    def add_provider(self) -> Process:
        """Another one, logged in."""
        process = self._start("provider", "-t", TOKEN, "-u", self._url, *_PROVIDER.get(self.mode, ()))
        said(process, "logged in at")
        self.providers.append(process)
        return process

    def add_connector(self) -> int:
        """Another one, or in forward mode a client; its port."""
        command, token = ("client", TOKEN) if self.mode == "forward" else ("connector", CONNECTOR_TOKEN)
        args = [command, "-t", token, "-u", self._url, "-p", "0", *self._entry]
        if self.mode == "autonomy":  # its token is only known once the provider has said it
            args.append("--retry-auth")
        process = self._start(*args)
        self.connectors.append(process)
        return self.port_of(process)

    def port_of(self, connector: Process) -> int:
        """Where it takes applications."""
        return int(said(connector, r"applications' port 127\.0\.0\.1:(\d+) is open"))

    def kill(self, process: Process) -> None:
        """Kills `process`, which is no part of this any more."""
        process.send_signal(signal.SIGKILL)
        eventually(lambda: not process.running)
        for role in (self.providers, self.connectors):
            if process in role:
                role.remove(process)
        self._ended.append(process)

    def connect(self, port: int, host: str = "127.0.0.1", **how: Any) -> Any:
        """A plain socket of the standard library, behind the port for applications."""
        return socks.connect(self.socks_port, host, port, **how)

    def join(self, target: Target, *, receive_buffer: int = 0, socks_port: int = 0) -> Ends:
        """An application, and its connection as the target sees it; both are gevent's."""
        accepting = gevent.spawn(target.accept)
        port = socks_port or self.socks_port
        app = application(port, target.port, receive_buffer=receive_buffer)
        return app, accepting.get()

    def works(self, echo: EchoTarget) -> None:
        """A new connection goes through."""
        with application(self.socks_port, echo.port) as app:
            app.sendall(b"hello")
            assert socks.read_exactly(app, 5) == b"hello"

    @property
    def _url(self) -> str:
        return f"ws://127.0.0.1:{self._cable.port if self._cable else self.ws_port}"

    def _start(self, *args: str) -> Process:
        if not self._pace:
            return self._stack.enter_context(linksocks(*args))
        script = f"import sys\n{self._pace}\nfrom linksocks.cli import main\nsys.exit(main())\n"
        return self._stack.enter_context(Process([sys.executable, "-c", script, *args]))


@contextmanager
def stopped(process: Process) -> Iterator[None]:
    """During the block `process` does not run, but the kernel keeps its connections."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


Ends = tuple[socket.socket, socket.socket]


def said(process: Process, pattern: str, *, times: int = 1) -> str:
    """Waits until `process` has said `pattern` for the nth time; its first group then, if it has one."""
    found: list[re.Match[str]] = []

    def often_enough() -> bool:
        silent = process.silent  # asked first: its last lines may come after its end
        found[:] = [match for line in list(process.err) if (match := re.search(pattern, line))]
        if len(found) < times and silent:
            raise AssertionError(f"{pattern!r}: the process ended\n{process.output}")
        return len(found) >= times

    eventually(often_enough, process)
    match = found[times - 1]
    return match[1] if match.re.groups else match[0]
