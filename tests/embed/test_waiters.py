"""How callers wait, beside what test_place says."""

from __future__ import annotations

from tests.embed.programs import outcome


def test_a_signal_that_does_not_end_the_systems_wait_is_heard_of():
    """As one that comes just before that wait: here it comes to another thread, so the first one's goes on."""
    said = outcome("""
        import gevent, signal, threading
        home = enter()

        def interrupt():
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

        def run():
            threading.Thread(target=interrupt).start()
            gevent.sleep(1000)

        try:
            home.call(run, timeout=None)
        except KeyboardInterrupt:
            print("interrupted")
        home.leave()
    """)
    assert said == ["interrupted"]
