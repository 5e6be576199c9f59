"""conf/linksocks.service: what systemd thinks of it, and server and client under what it leaves them.

No systemd runs here, only its tools: the unit is not started as such.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from linksocks.config.settings import settings_of
from tests.conf import confined
from tests.conf.samples import ROOT, sample
from tests.support import socks
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.targets import HttpTarget, seeded_sha256

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="there is no systemd-analyze here: systemd is not installed",
)

NOWHERE: Mapping[str, str] = {}

SIZE = 16 * 1024 * 1024

INI = """\
[server]
ws_host = 127.0.0.1
ws_port = {ws_port}
state_file = {folder}/state.sqlite
api_key = a-key-of-the-tests
[token:alice]
token = a-token-of-the-tests
[client]
url = ws://localhost:{ws_port}
token = a-token-of-the-tests
socks_port = {socks_port}
"""


def analyze(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *args], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The sample, with its programs where they are here."""
    path = tmp_path / "linksocks.service"
    path.write_text(sample("linksocks.service", {"/opt/linksocks": str(ROOT)}))
    return path


def said(key: str, places: Mapping[str, str] = NOWHERE) -> list[str]:
    """The values of `key` in the unit."""
    return re.findall(rf"^{key}=(.*)$", sample("linksocks.service", places), re.MULTILINE)


def system_calls() -> list[str]:
    """What SystemCallFilter allows."""
    groups: dict[str, list[str]] = {}
    for line in analyze("syscall-filter").stdout.splitlines():
        if line.startswith(("@", "#")):
            name = line
            groups[name] = []
        elif line.strip() and not line.strip().startswith("#"):
            groups[name].append(line.strip())

    def expand(names: list[str]) -> set[str]:
        return {call for name in names for call in (expand(groups[name]) if name in groups else [name])}

    allowed: set[str] = set()
    for value in said("SystemCallFilter"):
        names = expand(value.removeprefix("~").split())
        allowed = allowed - names if value.startswith("~") else allowed | names
    return sorted(allowed)


@pytest.mark.parametrize("credential", [False, True])
def test_systemd_has_nothing_to_complain_of(unit: Path, credential: bool) -> None:
    """Neither of the unit as it is, nor with what a comment offers."""
    if credential:
        unit.write_text(unit.read_text().replace("#LoadCredential", "LoadCredential"))
    checked = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_it_is_exposed_to_little(unit: Path) -> None:
    """2.0 of 10; a unit without any of this has 9.6."""
    checked = analyze("security", "--offline=yes", "--threshold=20", str(unit))
    if "unrecognized option" in checked.stderr:
        pytest.skip("this systemd-analyze is older than 250 and judges no files")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_systemd_waits_longer_than_grace() -> None:
    grace = next(setting for setting in settings_of("server") if setting.name == "grace").default_value
    assert int(said("TimeoutStopSec")[0]) > grace + 5


def test_server_and_client_need_no_more_than_it_leaves(tmp_path: Path) -> None:
    """Start with an API and a state file, names, a transfer, reload and stop; the command is the unit's own."""
    ini, ws_port, socks_port = tmp_path / "linksocks.ini", free_port(), free_port()
    ini.touch(0o600)
    ini.write_text(INI.format(ws_port=ws_port, socks_port=socks_port, folder=tmp_path))
    places = {"/opt/linksocks": str(ROOT), "/etc/linksocks": str(tmp_path)}
    [command] = said("ExecStart", places)
    check = said("ExecReload", places)[0]
    confine = [sys.executable, confined.__file__, ",".join(system_calls())]
    with Process([*confine, *check.split()]) as checking:
        code = checking.wait_exit()
    if code == confined.UNABLE:
        pytest.skip(checking.err[-1])
    assert code == 0, checking.output
    with Process([*confine, *command.split()]) as process, HttpTarget() as target:
        process.wait_line("logged in at")
        process.wait_port(socks_port)
        page = socks.curl(socks_port, target.url(f"/bytes/{SIZE}?seed=3", "localhost"))
        assert hashlib.sha256(page.stdout).hexdigest() == seeded_sha256(SIZE, 3), page
        ini.write_text(ini.read_text() + "[token:bob]\ntoken = another-token-of-the-tests\n")
        subprocess.run(["/bin/kill", "-HUP", str(process.pid)], check=True)
        process.wait_line("reload: done")
    assert process.wait_exit() == 0, process.output
    assert "Traceback" not in process.output
