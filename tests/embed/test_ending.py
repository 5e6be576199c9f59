"""Programs that exit while tunnels are open: they end by themselves, in order, in time, and quietly."""

from __future__ import annotations

import pytest

from tests.embed.programs import outcome

# A tunnel as far as a home knows one: greenlets that go on and on, and a stop.
_TUNNEL = """
import gevent
class Tunnel:
    def __init__(self, name="stopped"):
        self.home, self.name = enter(), name
        self.home.call(self.start, timeout=5)
        self.home.hold(self.stop)
    def start(self):
        self.greenlet = gevent.spawn(self.run)
    def run(self):
        while True:
            gevent.sleep(0.001)
    def stop(self):
        gevent.sleep(0.01)
        self.greenlet.kill()
        print(self.name, flush=True)
"""


def ended(text: str, *, patched: bool = False) -> list[str]:
    """What a program printed that had the class Tunnel."""
    return outcome(_TUNNEL, text, patched=patched)


@pytest.mark.parametrize("patched", [False, True])
@pytest.mark.parametrize(
    "end",
    [
        "tunnel = Tunnel()",  # a global
        "tunnel = Tunnel(); tunnel.me = tunnel",  # in a cycle
        "Tunnel()",  # nobody has it
        "tunnel = Tunnel(); sys.exit(0)",
        "tunnel = Tunnel(); threading.Thread(target=sys.exit).start()",
        "async def main(): return Tunnel()\nasyncio.run(main())",
        "async def main(): globals().update(t=await asyncio.to_thread(Tunnel))\nasyncio.run(main())",
    ],
)
def test_it_is_stopped(end: str, patched: bool):
    assert ended(end, patched=patched) == ["stopped"]


def test_all_are_stopped_together():
    """Each waits until all have been told."""
    said = ended(
        """
        from gevent.event import Event
        home, told, all_told = enter(), [], Event()
        def stop():
            told.append(1)
            if len(told) == 9:
                all_told.set()
            print(all_told.wait(2), flush=True)
        for _ in range(9):
            home.hold(stop)
        """
    )
    assert said == ["True"] * 9


def test_who_has_left_is_not_stopped():
    assert ended("a, b = Tunnel('a'), Tunnel('b')\nb.home.leave()") == ["a"]


def test_threads_that_go_on_have_their_tunnel():
    """Exit comes after the last thread that is no daemon, and until then all works."""
    said = ended(
        """
        tunnel = Tunnel()
        def work():
            threading.main_thread().join()
            for n in range(20):
                assert tunnel.home.call(lambda: (gevent.sleep(0.001), n)[1], timeout=5) == n
            print("worked", flush=True)
        threading.Thread(target=work).start()
        """
    )
    assert said == ["worked", "stopped"]


def test_daemons_that_wait_are_left_waiting():
    said = ended(
        """
        tunnel = Tunnel()
        begun = threading.Event()
        def work():
            tunnel.home.call(lambda: (begun.set(), gevent.sleep(1000)), timeout=None)
        threading.Thread(target=work, daemon=True).start()
        begun.wait(5)
        """
    )
    assert said == ["stopped"]


@pytest.mark.parametrize("patched", [False, True])
def test_daemons_that_call_meanwhile_or_later_are_left_waiting(patched: bool):
    said = ended(
        """
        import atexit
        atexit.register(lambda: (daemon.join(0.2), late.start(), late.join(0.2), print(errors)))
        tunnel, errors = Tunnel(), []
        begun = threading.Event()
        def work(make):
            try:
                while True:
                    make()
                    begun.set()
            except Exception as error:
                errors.append(error)
        async def call():
            await tunnel.home.async_call(gevent.sleep, 0.001, timeout=5)
        daemon = threading.Thread(target=work, args=(lambda: asyncio.run(call()),), daemon=True)
        daemon.start()
        late = threading.Thread(target=work, args=(enter,), daemon=True)
        begun.wait(5)
        """,
        patched=patched,
    )
    assert said == ["stopped", "[]"]


def test_a_thread_that_the_exit_waits_for_hears_of_the_error():
    """Of a handler that is older than the first tunnel, say: nobody is left waiting who would be missed."""
    said = ended(
        """
        import atexit
        def close():
            thread = threading.Thread(target=call)
            thread.start()
            thread.join()
        def call():
            try:
                tunnel.home.call(int, timeout=5)
            except ClosedError as error:
                print(error)
        from linksocks.errors import ClosedError
        atexit.register(close)
        tunnel = Tunnel()
        """
    )
    assert said == ["stopped", "the interpreter exits"]


def test_handlers_of_the_program_come_first_if_they_are_younger():
    said = ended(
        """
        import atexit
        atexit.register(lambda: print("older", end=" ") or late())
        tunnel = Tunnel()
        atexit.register(lambda: print("younger", tunnel.home.call(lambda: 7, timeout=5), flush=True))
        def late():
            from linksocks.errors import LinkSocksError
            for what in (lambda: tunnel.home.call(int, timeout=5), enter):
                try:
                    what()
                except LinkSocksError as error:
                    print(error, end="; ")
            tunnel.home.post(print)
            tunnel.home.leave()
        """
    )
    assert said == [
        "younger 7",
        "stopped",
        "older the interpreter exits; no tunnel can start any more: the interpreter exits; ",
    ]


def test_what_does_not_stop_is_left():
    said = ended(
        """
        from linksocks.embed import ending
        ending.TIMEOUT = 1.5  # for the first one, whatever holds the program up
        tunnel, other = Tunnel(), Tunnel()
        other.greenlet.kill = lambda: gevent.sleep(1000)
        """
    )
    assert said == ["stopped"]


def test_what_fails_to_stop_is_logged_and_hurts_nobody():
    said = ended(
        """
        import logging
        logging.basicConfig(stream=sys.stdout, format="%(name)s %(message)s")
        logging.getLogger().handlers[0].formatter.formatException = lambda info: repr(info[1])
        tunnel, other = Tunnel(), Tunnel()
        other.greenlet.kill = lambda: 1 / 0
        """
    )
    assert sorted(said) == [
        "ZeroDivisionError('division by zero')",
        "linksocks.hub stop at exit failed",
        "stopped",
    ]


def test_a_patched_programs_other_hubs_are_stopped_too():
    """Those of threads that have ended can't be."""
    said = ended(
        """
        from gevent import monkey
        made, dead = [], []
        def lives():
            gevent.get_hub()
            made.append(Tunnel("lives"))
            gevent.sleep(1000)
        def dies():
            gevent.get_hub()
            made.append(Tunnel("dies"))
            dead.append(threading.get_native_id())
        from linksocks.embed import ending
        ending.TIMEOUT = 60  # who waits for the dead one waits too long
        gevent.get_hub()  # two threads at once that make the first one hang in gevent's import
        for work in (dies, lives):
            monkey.get_original("_thread", "start_new_thread")(work, ())
        while len(made) < 2 or not dead or os.path.exists(f"/proc/self/task/{dead[0]}"):
            gevent.sleep(0.001)
        """,
        patched=True,
    )
    assert said == ["lives"]


def test_a_finalizer_at_the_very_end_does_nothing():
    said = ended(
        """
        import weakref
        class Owner:
            def __init__(self):
                self.tunnel = Tunnel()
                self.me = self
            def __del__(self):
                self.tunnel.home.post(self.tunnel.stop)
                self.tunnel.home.leave()
        owner = Owner()
        sys.keep = owner
        """
    )
    assert said == ["stopped"]
