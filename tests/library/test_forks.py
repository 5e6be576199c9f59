"""A fork leaves the child no lock of ours that nobody opens: at each line of what other threads run meanwhile."""

from __future__ import annotations

import pytest

from tests.support.programs import outcome

_FORKS = """
import os, signal, sys, threading
from linksocks import Client, LinkUp
from linksocks.library.events import Broadcast

def fork(child):
    pid = os.fork()
    if pid == 0:
        signal.alarm(5)
        child()
        os._exit(0)
    ended.append(os.waitpid(pid, 0)[1])

def traced(frame, event, _value):
    '''Called at each line; another thread forks there.'''
    if os.path.basename(os.path.dirname(frame.f_code.co_filename)) != "library":
        return None
    if event == "line":
        forker = threading.Thread(target=fork, args=(child,))
        forker.start()
        forker.join()
    return traced

def forks_in(run):
    '''How many children there were, and how they ended.'''
    def work():
        sys.settrace(traced)
        run()
        sys.settrace(None)
    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    print(len(ended) > 5, set(ended))

ended = []
"""

_CLIENT = """
client = Client("token", ws_url="ws://127.0.0.1:9", socks=False)
kept = client.events()
def child():
    subscribed = client.events()
    client.close()
    assert list(subscribed) == []
"""

_BROADCAST = """
broadcast = Broadcast()
kept = broadcast.subscribe()
def child():
    subscribed = broadcast.subscribe()
    broadcast.tell(LinkUp("x"))
    broadcast.end()
    assert list(subscribed) == [LinkUp("x")]
"""


@pytest.mark.parametrize(
    ("there", "run"),
    [
        (_CLIENT, "client.events"),
        (_CLIENT, "client.close"),
        (_BROADCAST, "lambda: broadcast.tell(LinkUp('x'))"),
        (_BROADCAST, "lambda: (broadcast.tell(LinkUp('x')), next(kept))"),
    ],
)
def test_whatever_another_thread_does(there: str, run: str) -> None:
    assert outcome(_FORKS, there, f"forks_in({run})") == ["True {0}"]


def test_while_another_thread_waits_for_an_event() -> None:
    """It is woken by nobody of the child, where its locks may be taken."""
    text = """
class Taken:
    '''A reader in the parent, woken in the child.'''
    def __call__(self):
        raise SystemExit("woken")
kept._readers.add(Taken())
fork(child)
print(ended)
"""
    assert outcome(_FORKS, _CLIENT, text) == ["[0]"]
