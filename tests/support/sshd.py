"""A real OpenSSH server, for the user of the tests alone, below a folder: its keys, its configuration, its log."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from pathlib import Path
from typing import Self

import paramiko

from tests.support.ports import free_port
from tests.support.processes import Process

# scripts/test puts one beside our Python; where it is installed, only root looks for it.
SSHD = shutil.which("sshd", path=f"{os.defpath}:{os.environ['PATH']}:/usr/sbin:{Path(sys.executable).parent}")

_PRIVILEGES = "/run/sshd"
"""An empty directory, fixed when sshd was compiled; as root it does not start without."""

_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
PrintMotd no
Subsystem sftp internal-sftp
"""


class Sshd:
    """Lets in who has `key`, as `user`; `host_key` is how it is known."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.key = paramiko.ECDSAKey.generate()
        self.host_key = paramiko.ECDSAKey.generate()
        self.host_key.write_private_key_file(str(folder / "host"))
        (folder / "authorized").write_text(f"{self.key.get_name()} {self.key.get_base64()}\n")
        self._config = folder / "config"
        self._config.write_text(_CONFIG.format(folder=folder, port=self.port))

    def __enter__(self) -> Self:
        assert SSHD is not None
        if os.getuid() == 0:
            Path(_PRIVILEGES).mkdir(mode=0o755, exist_ok=True)
        self.process = Process([SSHD, "-D", "-e", "-f", str(self._config)])
        self.process.wait_line("Server listening")
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.stop()
