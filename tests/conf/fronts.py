"""A real nginx on conf/nginx.conf, and processes of ours that talk through it.

All waiting lets this thread's hub run, so that downloads go on meanwhile.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Self

from tests.conf.samples import sample
from tests.support.certificates import Files
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.waits import eventually

# scripts/test puts one beside our Python; some systems have theirs where only root looks.
NGINX = shutil.which(
    "nginx", path=f"{os.defpath}:{os.environ['PATH']}:/usr/sbin:{Path(sys.executable).parent}"
)

_MAIN = """\
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/main.log notice;
worker_processes 1;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class Nginx:
    """nginx before the server at `ws_port`, below `folder`; `timeout` is how long it bears an idle link."""

    def __init__(self, folder: Path, files: Files, ws_port: int, timeout: str = "90s") -> None:
        self.port = free_port()
        self.ca = str(files.ca)
        self._folder = folder
        folder.mkdir()
        places = {
            "server 127.0.0.1:8765;": f"server 127.0.0.1:{ws_port};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "listen [::]:443 ssl;": "",
            "/etc/letsencrypt/live/proxy.example.org/fullchain.pem": str(files.cert),
            "/etc/letsencrypt/live/proxy.example.org/privkey.pem": str(files.key),
            "/var/log/nginx": str(folder),
            "90s": timeout,
        }
        (folder / "site.conf").write_text(sample("nginx.conf", places))
        user = "" if os.getuid() else "user root;"  # else its workers can't get at `folder`
        (folder / "main.conf").write_text(_MAIN.format(folder=folder, user=user))

    def __enter__(self) -> Self:
        assert NGINX is not None
        log = str(self._folder / "main.log")
        self.process = Process([NGINX, "-p", str(self._folder), "-c", "main.conf", "-e", log])
        self.process.wait_port(self.port)
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.stop()

    @property
    def url(self) -> str:
        """Where a client finds the server."""
        return f"wss://127.0.0.1:{self.port}"

    def reload(self) -> None:
        """The configuration is read again, and a new worker takes what comes."""
        before = self.logs.count("start worker process ")
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.logs.count("start worker process ") > before, self.process)

    @property
    def logs(self) -> str:
        """All that it has logged anywhere."""
        return "".join(path.read_text() for path in sorted(self._folder.glob("*.log"))) + self.process.output


def paced(pace: str, *args: str) -> Process:
    """Our command line in a process that first runs the Python of `pace`, to make a constant small."""
    script = f"import sys\n{pace}\nfrom linksocks.cli import main\nsys.exit(main())\n"
    return Process([sys.executable, "-c", script, *args])
