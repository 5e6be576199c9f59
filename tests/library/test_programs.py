"""Whole programs: they end by themselves, however they end, and a fork or a patch is no surprise."""

from __future__ import annotations

import signal

import pytest

from tests.support.programs import outcome, program

TUNNEL = """
import gc, os, signal, socket, sys, threading
from linksocks import *
server = Server(ws_host="127.0.0.1", ws_port=0)
token = server.add_forward_token()
server.wait_ready()
client = Client(token, ws_url=f"ws://127.0.0.1:{server.ws_port}", socks_port=0)
target = ("127.0.0.1", server.ws_port)
def visit():
    with client.create_connection(target, timeout=10) as sock:
        sock.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        return sock.recv(12).decode()
"""


def said(text: str, *, patched: bool = False) -> list[str]:
    return outcome(TUNNEL, text, patched=patched)


def test_one_that_closes_nothing_ends_by_itself() -> None:
    assert said("print(visit())") == ["HTTP/1.1 200"]


def test_one_that_holds_connections_ends_by_itself() -> None:
    assert said("sock = client.create_connection(target); print(client.is_connected)") == ["True"]


def test_one_whose_objects_are_in_a_cycle_ends_by_itself() -> None:
    assert said("client.self = client; server.client = client; print(visit())") == ["HTTP/1.1 200"]


@pytest.mark.parametrize("patched", [False, True])
@pytest.mark.parametrize("wait", ["sock.recv(1)", "visit()"])
def test_its_daemons_do_not_see_the_end(wait: str, patched: bool) -> None:
    """They only would print what has happened to them, into the last words of the program."""
    said_at_the_end = outcome(
        """
import atexit
def look():
    daemon.join(0.2)
    print(daemon.is_alive())
atexit.register(look)
""",
        TUNNEL,
        f"""
sock = client.create_connection(target)
def wait():
    begun.set()
    while True:
        {wait}
begun = threading.Event()
daemon = threading.Thread(target=wait, daemon=True)
daemon.start()
begun.wait()
""",
        patched=patched,
    )
    assert said_at_the_end == ["True"]


def test_one_that_dies_of_an_exception_says_only_that() -> None:
    with program(TUNNEL, "visit(); raise SystemExit('bye')") as process:
        assert process.wait_exit() == 1
        assert process.err == ["bye"], process.output


def test_ctrl_c_ends_a_wait() -> None:
    waiting = """
lonely = Client("token", ws_url="ws://127.0.0.1:1", socks=False, reconnect=True)
try:
    print("waiting", flush=True)
    lonely.wait_ready()
except KeyboardInterrupt:
    print("interrupted")
"""
    with program(TUNNEL, waiting) as process:
        process.wait_line("waiting")
        process.send_signal(signal.SIGINT)
        assert process.wait_exit() == 0, process.output
        assert process.out[-1] == "interrupted"
        assert not process.err, process.output


def test_nothing_is_patched_and_one_thread_is_enough() -> None:
    text = """
pages = []
threads = [threading.Thread(target=lambda: pages.extend(visit() for _ in range(2))) for _ in range(50)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
from gevent import monkey
print(len(pages), set(pages), monkey.saved, [thread.name for thread in threading.enumerate()])
client.close(); server.close()
print([thread.name for thread in threading.enumerate()])
"""
    assert said(text) == ["100 {'HTTP/1.1 200'} {} ['MainThread', 'linksocks']", "['MainThread']"]


def test_a_patched_program_has_it_in_its_own_hub() -> None:
    text = """
import gevent
jobs = [gevent.spawn(visit) for _ in range(50)]
gevent.joinall(jobs)
print(len(jobs), {job.get() for job in jobs}, type(client.create_connection(target)).__module__)
print("linksocks" in [thread.name for thread in threading.enumerate()])
timeout = gevent.Timeout.start_new(0.05)
try:
    Client("token", ws_url="ws://127.0.0.1:1", socks=False, reconnect=True).wait_ready()
except gevent.Timeout as late:
    print(late is timeout)
"""
    assert said(text, patched=True) == ["50 {'HTTP/1.1 200'} gevent._socket3", "False", "True"]


def test_a_greenlet_that_waits_is_not_hurt_when_its_tunnel_is_closed() -> None:
    text = """
import gevent
lonely = Client("token", ws_url="ws://127.0.0.1:1", socks=False, reconnect=True)
def patient():
    try:
        lonely.wait_ready()
    except ClosedError:
        gevent.sleep(0.01)
        return "goes on"
caller = gevent.spawn(patient)
gevent.sleep(0)
lonely.close()
print(caller.get(timeout=10))
"""
    assert said(text, patched=True) == ["goes on"]


@pytest.mark.parametrize("patched", [False, True])
def test_a_forked_child_hears_of_it_and_makes_its_own(patched: bool) -> None:
    text = """
print(visit(), flush=True)
if os.fork() == 0:
    calls = visit, client.wait_ready, server.add_forward_token, client.get_rtt, client.stats, events.__next__
    for call in calls:
        try:
            print(call())
        except ForkedError as error:
            pass
    print(client.is_connected, client.socks_port > 0, server.ws_port == target[1])
    client.close(); server.close()
    with Server(ws_host="127.0.0.1", ws_port=0) as own:
        with Client(own.add_forward_token(), ws_url=f"ws://127.0.0.1:{own.ws_port}", socks=False) as client:
            target = ("127.0.0.1", own.ws_port)
            print(visit(), flush=True)
    sys.exit()
print(os.wait()[1], visit())
"""
    out = said("events = client.events()\n" + text, patched=patched)
    assert out == ["HTTP/1.1 200", "False True True", "HTTP/1.1 200", "0 HTTP/1.1 200"]


def test_the_server_of_a_parent_that_has_closed_is_gone_while_its_child_lives() -> None:
    text = """
visit()
parent, child = socket.socketpair()
if os.fork() == 0:
    child.recv(1)
    sys.exit()
client.close(); server.close()
try:
    socket.create_connection(target, timeout=10)
except ConnectionRefusedError:
    print("gone")
parent.sendall(b"x")
os.wait()
"""
    assert said(text) == ["gone"]


def test_a_forked_child_has_events_of_its_own_tunnels_alone() -> None:
    text = """
token, url = server.add_forward_token(), f"ws://127.0.0.1:{server.ws_port}"
fresh, ended = Client(token, ws_url=url, socks=False), Client(token, ws_url=url, socks=False)
ended.wait_ready()
ended.close()
visit()
if os.fork() == 0:
    signal.alarm(10)
    for _ in range(2):
        try:
            print(*client.events())
        except ForkedError:
            print("forked")
        client.close()
    events = fresh.events()
    fresh.wait_ready()
    fresh.close()
    print(*(type(event).__name__ for event in events), *ended.events(), flush=True)
    os._exit(0)
print(os.wait()[1])
"""
    assert said(text) == ["forked", "forked", "LinkUp LinkDown", "0"]
