"""Events: in any thread, in asyncio, for many at once, and for nobody in the end."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable

import pytest

from linksocks import Client, Event, LinkDown, LinkUp, PartnersChanged, Server
from linksocks.library.events import KEPT, Broadcast, Events
from tests.library.conftest import url_of

pytestmark = pytest.mark.usefixtures("clean")


def collected(events: Events) -> tuple[list[Event], Callable[[], None]]:
    """What a thread gets out of `events`, and how to wait for its end."""
    got: list[Event] = []
    thread = threading.Thread(target=lambda: got.extend(events))
    thread.start()

    def join() -> None:
        thread.join(10)
        assert not thread.is_alive()

    return got, join


def test_a_link_comes_and_goes(server: Server) -> None:
    client = Client(server.add_forward_token(), ws_url=url_of(server), socks=False)
    (ours, ours_end), (theirs, theirs_end) = collected(client.events()), collected(server.events())
    second, second_end = collected(client.events())
    client.wait_ready(10)
    client.close()
    ours_end()
    second_end()
    up, down = ours
    assert isinstance(up, LinkUp)
    assert isinstance(down, LinkDown)
    assert up.name == down.name
    assert second == ours
    server.close()
    theirs_end()
    assert [type(event) for event in theirs] == [LinkUp, LinkDown]


def test_partners_come_and_go(server: Server) -> None:
    lent = server.add_reverse_token().token
    key = server.add_connector_token(None, lent)
    with Client(key, ws_url=url_of(server), socks=False) as connector:
        connector.wait_ready(10)
        events = connector.events()
        with Client(lent, ws_url=url_of(server), reverse=True) as provider:
            provider.wait_ready(10)
            assert next(events) == PartnersChanged(1)
        assert next(events) == PartnersChanged(0)


def test_asyncio_reads_them_too(server: Server) -> None:
    async def main() -> list[Event]:
        client = Client(server.add_forward_token(), ws_url=url_of(server), socks=False)
        events = client.events()
        async with client:
            pass
        return [event async for event in events]

    assert [type(event) for event in asyncio.run(main())] == [LinkUp, LinkDown]


def test_asyncio_is_woken(server: Server) -> None:
    async def main() -> list[Event]:
        client = Client(server.add_forward_token(), ws_url=url_of(server), socks=False)

        async def follow() -> list[Event]:
            return [event async for event in client.events()]

        reading = asyncio.create_task(follow())
        await asyncio.sleep(0)  # it waits now
        async with client:
            pass
        return await reading

    assert [type(event) for event in asyncio.run(main())] == [LinkUp, LinkDown]


def test_a_reader_whose_loop_is_gone_hurts_nobody() -> None:
    broadcast = Broadcast()
    events = broadcast.subscribe()

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(events.__anext__(), 0.01)

    asyncio.run(give_up())
    assert events._readers == set()
    broadcast.tell(PartnersChanged(1))
    assert next(events) == PartnersChanged(1)


def test_one_that_nobody_reads_keeps_the_last() -> None:
    broadcast = Broadcast()
    events = broadcast.subscribe()
    for count in range(KEPT + 10):
        broadcast.tell(PartnersChanged(count))
    broadcast.end()
    kept = list(events)
    assert len(kept) == KEPT
    assert kept[-1] == PartnersChanged(KEPT + 9)


def test_a_forgotten_one_is_collected(client: Client) -> None:
    forgotten = weakref.ref(client.events())
    gc.collect()
    assert forgotten() is None


def test_many_threads_share_one() -> None:
    broadcast = Broadcast()
    events = broadcast.subscribe()
    readers = [collected(events) for _ in range(10)]
    for count in range(500):
        broadcast.tell(PartnersChanged(count))
    broadcast.end()
    for _, join in readers:
        join()
    got = [event for part, _ in readers for event in part]
    assert sorted(event.count for event in got if isinstance(event, PartnersChanged)) == list(range(500))


def test_after_the_end_there_are_none() -> None:
    client = Client("token")
    waiting, join = collected(client.events())
    client.close()
    join()
    assert waiting == list(client.events()) == []


def test_an_observer_does_not_keep_the_tunnel(server: Server) -> None:
    client = Client(server.add_forward_token(), ws_url=url_of(server), socks=False)
    events = client.events()
    client.wait_ready(10)
    del client
    gc.collect()
    assert [type(event) for event in events] == [LinkUp, LinkDown]
