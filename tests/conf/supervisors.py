"""A real supervisord on conf/supervisord.conf, with conf/linksocks.ini as a test has edited it.

All waiting lets this thread's hub run, so that downloads go on meanwhile.
"""

from __future__ import annotations

import getpass
import os
import re
import sys
import time
from pathlib import Path
from typing import Self

import gevent

from tests.conf.samples import ROOT, filled, sample
from tests.support.ports import free_port
from tests.support.processes import PATIENCE, Process, ran

SERVER, CLIENT = "linksocks-server", "linksocks-client"

KEPT, OLD, NEW = "the-token-that-is-kept", "the-token-that-goes", "the-token-that-comes"

_MAIN = """\
[supervisord]
nodaemon = true
user = {user}
logfile = {folder}/supervisord.log
pidfile = {folder}/supervisord.pid
childlogdir = {folder}

[unix_http_server]
file = {folder}/s

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{folder}/s

[include]
files = programs.conf
"""


class Supervisor:
    """supervisord with both programs of the sample, below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.ws_port, self.socks_port = free_port(), free_port()
        self._folder = folder
        self._ini = folder / "linksocks.ini"
        self._ini.touch(0o600)

    def __enter__(self) -> Self:
        self.write(kept=KEPT, old=OLD)
        user = getpass.getuser()
        places = {
            "/opt/linksocks": str(ROOT),
            "/etc/linksocks": str(self._folder),
            "/var/log/linksocks": str(self._folder),
            "startsecs = 3": "startsecs = 1",
            "user = linksocks": f"user = {user}",
        }
        (self._folder / "programs.conf").write_text(sample("supervisord.conf", places))
        main = self._folder / "main.conf"
        main.write_text(_MAIN.format(folder=self._folder, user=user))
        clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith("LINKSOCKS_")}
        self._process = Process([sys.executable, "-m", "supervisor.supervisord", "-c", str(main)], env=clean)
        return self

    def __exit__(self, *exc: object) -> None:
        # Killed before its programs have ended, it would leave them behind.
        self._process.stop(grace=PATIENCE)

    def write(self, **tokens: str) -> None:
        """The INI file, with a section for each of `tokens`."""
        said = "".join(f"[token:{name}]\ntoken = {token}\n" for name, token in tokens.items())
        server = {"ws_host": "127.0.0.1", "ws_port": self.ws_port}
        url = f"ws://127.0.0.1:{self.ws_port}"
        client = {"url": url, "token": KEPT, "socks_port": self.socks_port, "grace": "1s"}
        self._ini.write_text(f"{filled(server=server, client=client)}\n{said}")

    def control(self, *args: str) -> str:
        """What supervisorctl answers."""
        config = str(self._folder / "main.conf")
        done = ran([sys.executable, "-m", "supervisor.supervisorctl", "-c", config, *args], text=True)
        return str(done.stdout + done.stderr).strip()

    def wait_running(self, program: str, *, other_than: int = 0) -> int:
        """Until `program` is RUNNING, with another pid than that of an earlier run; its pid."""
        status = ""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            status = self.control("status", program)
            found = re.search(r"RUNNING +pid (\d+)", status)
            if found and int(found[1]) != other_than:
                return int(found[1])
            gevent.sleep(0.1)  # the pace of the polling, not what is waited for
        raise AssertionError(f"{program} does not run: {status}\n{self.output}")

    def wait_log(self, program: str, pattern: str, *, times: int = 1) -> None:
        """Until the log of `program` has `pattern` so often."""
        deadline = time.monotonic() + PATIENCE
        while len(re.findall(pattern, self.log(program))) < times:
            assert time.monotonic() < deadline, f"no {pattern!r} in time\n{self.output}"
            gevent.sleep(0.02)  # likewise

    def log(self, program: str) -> str:
        """What `program` has said."""
        path = self._folder / f"{program.removeprefix('linksocks-')}.log"
        return path.read_text() if path.exists() else ""

    @property
    def said(self) -> str:
        """What supervisord has said itself."""
        return (self._folder / "supervisord.log").read_text()

    @property
    def output(self) -> str:
        """All that was said, for the message of a failing assert."""
        return "\n".join([self.said, self.log(SERVER), self.log(CLIENT)])
