"""conf/supervisord.conf under a real supervisord: start, reload, stop and what comes after a kill."""

from __future__ import annotations

import configparser
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest

from linksocks.config.settings import settings_of
from tests.conf.samples import sample
from tests.conf.supervisors import CLIENT, KEPT, NEW, OLD, SERVER, Supervisor
from tests.support import socks
from tests.support.flows import WHOLE, Flow
from tests.support.processes import Process, linksocks
from tests.support.targets import EchoTarget
from tests.support.tunnels import Target, application
from tests.support.waits import eventually

OPENED = "applications' port .* is open"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """supervisord with a server and a client that has logged in, and opened its port behind that."""
    with Supervisor(tmp_path) as supervisor:
        for program in (SERVER, CLIENT):
            supervisor.wait_running(program)
        supervisor.wait_log(CLIENT, OPENED)
        yield supervisor


@contextmanager
def download(supervisor: Supervisor) -> Iterator[Flow]:
    """Goes on, slowly, through client and server."""
    with Target() as target:
        accepting = gevent.spawn(target.accept)
        app = application(supervisor.socks_port, target.port, receive_buffer=4096)
        flow = Flow(1, accepting.get(), app, speed=200_000).start()
        try:
            eventually(lambda: bool(flow.received))
            yield flow
        finally:
            flow.close()


@contextmanager
def client(supervisor: Supervisor, token: str) -> Iterator[Process]:
    """Another client, with a token of its own."""
    url = f"ws://127.0.0.1:{supervisor.ws_port}"
    with linksocks("client", "-t", token, "-u", url, "-p", "0") as process:
        yield process


def works(supervisor: Supervisor) -> None:
    """A connection goes through."""
    with EchoTarget() as echo, application(supervisor.socks_port, echo.port) as app:
        app.sendall(b"hello")
        assert socks.read_exactly(app, 5) == b"hello"


def test_server_and_client_run_and_no_secret_shows(supervisor: Supervisor) -> None:
    works(supervisor)
    for program in (SERVER, CLIENT):
        pid = int(supervisor.control("pid", program))
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert command_line.endswith(b"/linksocks.ini\0")
        for secret in (KEPT, OLD):
            assert secret.encode() not in command_line
            assert secret not in supervisor.output


def test_hup_adds_a_token_and_removes_another_while_a_download_goes_on(supervisor: Supervisor) -> None:
    pid = supervisor.control("pid", SERVER)
    with download(supervisor) as flow, client(supervisor, OLD) as leaving:
        eventually(lambda: "logged in at" in leaving.output, leaving)
        supervisor.write(kept=KEPT, new=NEW)
        assert supervisor.control("signal", "HUP", SERVER) == f"{SERVER}: signalled"
        supervisor.wait_log(SERVER, "reload: done")
        then = flow.received
        eventually(lambda: "token removed" in leaving.output, leaving)
        eventually(lambda: "invalid token" in leaving.output, leaving)
        with client(supervisor, NEW) as coming:
            eventually(lambda: "logged in at" in coming.output, coming)
        eventually(lambda: flow.received > then)
        flow.speed = 0
        flow.stop()
        assert flow.wait() == WHOLE
    assert supervisor.log(CLIENT).count("logged in at") == 1
    assert supervisor.control("pid", SERVER) == pid


def test_a_wrong_file_is_told_and_changes_nothing(supervisor: Supervisor) -> None:
    supervisor.write(kept=KEPT, old="short\ntokn = x")
    supervisor.control("signal", "HUP", SERVER)
    supervisor.wait_log(SERVER, "reload: nothing was changed")
    assert "did you mean token?" in supervisor.log(SERVER)
    works(supervisor)


def test_stop_waits_for_open_connections_and_then_ends_in_time(supervisor: Supervisor) -> None:
    with download(supervisor) as flow:
        stopping = gevent.spawn(supervisor.control, "stop", SERVER)
        supervisor.wait_log(SERVER, r"stopping: 1 channel")
        then = flow.received
        eventually(lambda: flow.received > then)
        flow.speed = 0
        flow.stop()
        assert flow.wait() == WHOLE
        flow.close()
        assert stopping.get(timeout=60) == f"{SERVER}: stopped"
    assert f"stopped: {SERVER} (exit status 0)" in supervisor.said
    assert "SIGKILL" not in supervisor.said


def test_stop_ends_connections_that_do_not_end(supervisor: Supervisor) -> None:
    """After `grace`, which is over before supervisord kills."""
    with download(supervisor):
        assert supervisor.control("stop", CLIENT) == f"{CLIENT}: stopped"
        assert "1 s to end" in supervisor.log(CLIENT)
    assert f"stopped: {CLIENT} (exit status 0)" in supervisor.said
    assert "SIGKILL" not in supervisor.said


def test_supervisord_waits_longer_than_grace() -> None:
    """As the sample and the table of settings have them."""
    programs = configparser.ConfigParser(inline_comment_prefixes=";")
    programs.read_string(sample("supervisord.conf", {}))
    grace = next(setting for setting in settings_of("server") if setting.name == "grace").default_value
    assert len(programs.sections()) == 2
    for section in programs.sections():
        assert programs.getint(section, "stopwaitsecs") > grace + 5


def test_who_was_killed_comes_back(supervisor: Supervisor) -> None:
    for program, logins, openings in ((SERVER, 2, 1), (CLIENT, 3, 2)):
        pid = int(supervisor.control("pid", program))
        os.kill(pid, signal.SIGKILL)
        supervisor.wait_running(program, other_than=pid)
        supervisor.wait_log(CLIENT, "logged in at", times=logins)
        supervisor.wait_log(CLIENT, OPENED, times=openings)
        works(supervisor)
