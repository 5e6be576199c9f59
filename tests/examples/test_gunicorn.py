"""gunicorn, as real processes: each worker answers through a tunnel of its own, and all end when they are told.

gunicorn gives its workers 30 seconds to end, and kills those that are not heard for 30 seconds; all waits here are
shorter, so a worker that hangs fails its test.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.message import Message
from urllib.request import urlopen

import pytest

from tests.examples.conftest import EXAMPLES, World
from tests.support.processes import Process

HERE = EXAMPLES.parent / "tests" / "examples"

GUNICORN = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket"]

ROUNDS = 50
"""Of requests, until each worker has answered one: the kernel chooses who accepts."""


@contextmanager
def gunicorn(world: World, *args: str) -> Iterator[tuple[Process, str]]:
    """gunicorn and its address. It must end by SIGTERM, on its own, with no word of trouble."""
    with Process([*GUNICORN, *args], env=world.env | {"PYTHONPATH": f"{HERE}:{EXAMPLES}"}) as process:
        address = process.wait_line(r"Listening at: (http://127\.0\.0\.1:\d+)")[1]
        yield process, address
        if process.running:
            process.send_signal(signal.SIGTERM)
        assert process.wait_exit(timeout=15) == 0, process.output
    for trouble in ("Traceback", "TIMEOUT", "SIGKILL", "[ERROR]", "Exception ignored"):
        assert trouble not in process.output, process.output


def fetch(url: str) -> tuple[str, Message]:
    with urlopen(url, timeout=10) as answer:
        return answer.read().decode(), answer.headers


def both_workers(address: str) -> list[Message]:
    """What two workers say of themselves, after each has answered through the tunnel."""
    workers: dict[str, Message] = {}
    with ThreadPoolExecutor(8) as pool:
        for _ in range(ROUNDS):
            for page, headers in pool.map(fetch, [f"{address}/some/page"] * 8):
                assert page == "intranet.example.org /some/page\n"
                workers[headers["X-Worker"]] = headers
            if len(workers) == 2:
                return list(workers.values())
    raise AssertionError(f"only {list(workers)} answered")


@pytest.mark.parametrize(
    ("patched", "args"),
    [(False, []), (False, ["--preload"]), (False, ["--worker-class", "sync", "--threads", "1"]), (True, [])],
    ids=["gthread", "preload", "sync", "gevent"],
)
def test_each_worker_has_its_own_tunnel(world: World, patched: bool, args: list[str]) -> None:
    config = EXAMPLES / ("gunicorn_gevent.py" if patched else "gunicorn_gthread.py")
    before = world.logins
    with gunicorn(world, "--config", str(config), *args, "watched:app") as (_, address):
        world.wait_logins(before + 2)  # with nothing to do yet
        for worker in both_workers(address):
            assert worker["X-Patched"] == str(patched)
            if patched:
                assert worker["X-Native-Threads"] == "1", "the tunnel is in the worker's own hub"
            else:
                assert "linksocks" in worker["X-Threads"].split(","), "the tunnel is in its thread"
        assert world.logins == before + 2


@pytest.mark.parametrize("name", ["gunicorn_gthread.py", "gunicorn_gevent.py"])
def test_a_request_that_is_under_way_is_answered_before_the_end(world: World, name: str) -> None:
    before = world.logins
    with (
        ThreadPoolExecutor(1) as pool,
        gunicorn(world, "--config", str(EXAMPLES / name), "watched:app") as (process, address),
    ):
        world.wait_logins(before + 2)  # else the first may answer all, while the other one starts
        both_workers(address)  # one that is in post_fork when SIGTERM comes does not hear it
        asked = pool.submit(fetch, f"{address}/held")
        world.intranet.wait_held()
        process.send_signal(signal.SIGTERM)
        process.wait_line("Handling signal: term")
        world.intranet.release()
        assert asked.result()[0] == "intranet.example.org /held\n"


def test_a_tunnel_of_the_master_is_refused_in_the_worker(world: World) -> None:
    with gunicorn(world, "--preload", "--chdir", str(HERE), "inherited:app") as (_, address):
        for _ in range(4):
            page, _headers = fetch(address)
            refused, works = page.splitlines()
            assert refused.startswith("ForkedError: ")
            assert works == "its own works"


def test_a_wrong_token_ends_it_at_its_start(world: World) -> None:
    config = EXAMPLES / "gunicorn_gthread.py"
    env = world.env | {"LINKSOCKS_TOKEN": "wrong", "PYTHONPATH": str(EXAMPLES)}
    # One worker: gunicorn stumbles when a second one fails while it halts.
    with Process([*GUNICORN, "--config", str(config), "--workers", "1"], env=env) as process:
        assert process.wait_exit() == 3, process.output
    assert "AuthError" in process.output
