"""One link, kept: when it is tried again, and when not."""

from collections.abc import Callable

import gevent
import pytest
from gevent.event import Event

from linksocks.client import backoff
from linksocks.client.keeper import Keeper, Persistence
from linksocks.errors import AuthError, LinkError
from linksocks.tunnel.channels.link import Link


class Tries:
    """A server that is not there; `change` is set with each try."""

    def __init__(self, error: LinkError) -> None:
        self.count = 0
        self.change = Event()
        self._error = error

    def __call__(self) -> Link:
        self.count += 1
        self.change.set()
        raise self._error

    def until(self, count: int) -> None:
        with gevent.Timeout(10):
            while self.count < count:
                self.change.clear()
                self.change.wait()


def keeper(make: Callable[[], Link], *, reconnect: bool = True, retry_auth: bool = False) -> Keeper:
    return Keeper(make, lambda _: None, lambda *_: None, Persistence(reconnect, retry_auth, 0.01))


@pytest.fixture(autouse=True)
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff.Backoff, "next", lambda _: 3600.0)


def test_who_waits_for_a_link_ends_the_pause() -> None:
    tries = Tries(LinkError("nobody there"))
    kept = keeper(tries)
    running = gevent.spawn(kept.run)
    tries.until(1)
    gevent.idle()
    kept.hurry()
    tries.until(2)
    kept.stop()
    running.get(timeout=10)


def test_the_first_pause_may_be_chosen() -> None:
    """It may be cut short to the shortest wait, which is an hour here."""
    tries = Tries(LinkError("nobody there"))
    kept = Keeper(tries, lambda _: None, lambda *_: None, Persistence(True, False, 3600.0))
    running = gevent.spawn(kept.run)
    tries.until(1)
    gevent.idle()
    kept.hurry()
    running.join(0.1)
    assert tries.count == 1
    assert kept.failure == "nobody there"
    kept.stop()
    running.get(timeout=10)


def test_a_stop_ends_the_pause_too() -> None:
    tries = Tries(LinkError("nobody there"))
    kept = keeper(tries)
    running = gevent.spawn(kept.run)
    tries.until(1)
    kept.stop()
    running.get(timeout=10)
    assert tries.count == 1


@pytest.mark.parametrize(
    ("error", "reconnect"), [(LinkError("nobody there"), False), (AuthError("wrong token"), True)]
)
def test_what_leaves_no_hope_ends_it(error: LinkError, reconnect: bool) -> None:
    with pytest.raises(LinkError, match=str(error)):
        keeper(Tries(error), reconnect=reconnect).run()


@pytest.mark.parametrize(
    ("reconnect", "retry_auth", "known", "hope"),
    [
        (True, False, False, False),
        (True, False, True, True),
        (False, False, True, False),
        (False, True, False, True),
    ],
)
def test_a_token_that_was_good_once_may_be_so_again(
    reconnect: bool, retry_auth: bool, known: bool, hope: bool
) -> None:
    assert Persistence(reconnect, retry_auth).worth_retrying(AuthError("refused"), known=known) is hope
