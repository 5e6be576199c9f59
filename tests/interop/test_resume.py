"""LinkSocks 1.10.3 takes a lost link's channels up again on a new one, without a look at the server's version.

Our server has closed them by then. It must answer "channel expired" and not dial: the rest of one stream would be
the beginning of another (PROTOCOL section 1.3).
"""

from __future__ import annotations

import signal
from contextlib import ExitStack

import gevent
import pytest

from tests.interop.peer import OURS, Option, Peer
from tests.interop.runs import need
from tests.support.cable import Cable
from tests.support.ports import free_port
from tests.support.processes import Process, linksocks
from tests.support.tunnels import Target, application, read_to_end
from tests.support.waits import eventually

TOKEN, CONNECTOR_TOKEN = "the-token", "the-connector-token"


PEER = Peer("linksocks", "1.10.3")
"""The only one that does so; 1.10.1 does not."""


@pytest.mark.parametrize("role", ["client", "connector"])
def test_a_channel_of_a_lost_link_is_not_dialled_again(role: str) -> None:
    need(PEER)
    with ExitStack() as stack, Target() as target:
        ws_port, socks_port = free_port(), free_port()
        server = stack.enter_context(_server(role, ws_port))
        server.wait_line("listening on")
        if role == "connector":
            stack.enter_context(OURS.play("provider", ws_port=ws_port, token=TOKEN))
        cable = stack.enter_context(Cable(ws_port))
        token = CONNECTOR_TOKEN if role == "connector" else TOKEN
        theirs = _play(stack, role, ws_port=cable.port, token=token, socks_port=socks_port, reconnect=True)

        before = application(socks_port, target.port)
        before.sendall(b"before")
        at_target = target.accept()
        assert at_target.recv(6) == b"before"
        cable.wires[0].cut()
        eventually(lambda: _expired(server), server, theirs)
        assert read_to_end(at_target) == (b"", False), "its connection was reset"

        after = application(socks_port, target.port)
        after.sendall(b"after")
        assert target.accept().recv(5) == b"after", "the first that was dialled since"
        assert not target.has_waiting()
        theirs.send_signal(signal.SIGKILL)  # an orderly stop takes its time


def _server(role: str, ws_port: int) -> Process:
    """Ours, which logs each message."""
    options: dict[str, Option] = {"ws_port": ws_port, "token": TOKEN}
    if role == "client":
        return linksocks(*OURS.command("server", **options), "-dd")
    options |= {"connector_token": CONNECTOR_TOKEN, "socks_port": free_port()}
    return linksocks(*OURS.command("agent_server", **options), "-dd")


def _play(stack: ExitStack, role: str, **options: Option) -> Process:
    """The peer in `role`, while this hub carries its login."""
    play = PEER.play(role, **options)
    process: Process = gevent.get_hub().threadpool.apply(stack.enter_context, (play,))
    return process


def _expired(server: Process) -> bool:
    return any("sending Disconnect" in line and "channel expired" in line for line in server.err)
