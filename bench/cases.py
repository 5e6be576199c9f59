"""What is measured: each case puts load on a contender that has just been started, and returns numbers by name.

Loads and origins are processes of their own (`bench.load`, `bench.origin`); here they are only started, waited
for within a deadline and read.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bench.contenders import LOOPBACK, Running, Start
from tests.interop.peer import PeerError
from tests.support.processes import Process

PAUSE: Final = 0.02
"""Seconds before each small request or new connection beside bulk: they are there to be delayed, not to compete.
And without a pause, a contender that stalls for 100 ms and then answers a thousand requests in the next would show
the median of its good moments."""

Result = dict[str, Any]
"""Numbers by name; ``"error"`` is there when something failed, and says what."""


class Failed(Exception):  # noqa: N818 - the contender failed, not the bench
    """A contender could not do what a load wanted; the text says why."""


@dataclass(frozen=True)
class Stage:
    """A contender that is up, and fresh origins behind it."""

    running: Running
    seconds: float  # how long each number is measured
    deadline: float  # seconds for a load to end, all included
    bulk_port: int
    requests_port: int

    def requests(self, kind: str, **options: float) -> Result:
        """A load on the origin of requests, to its end."""
        with self._load(kind, self.requests_port, **options) as load:
            return self.result(load)

    @contextmanager
    def bulk(self, streams: int, direction: str) -> Iterator[Process]:
        """A bulk load that has warmed up; it is measured until its stdin is closed."""
        with self._load("bulk", self.bulk_port, streams=streams, direction=direction) as load:
            try:
                line = load.wait_line(r'^\{"(warm|error)": .*', timeout=self.deadline)
            except AssertionError:
                raise Failed(f"not all streams ran within {self.deadline:g} s") from None
            said = json.loads(line.string)
            if "error" in said:
                raise Failed(said["error"])
            yield load

    def result(self, load: Process) -> Result:
        """What a load says at its end."""
        try:
            load.wait_exit(timeout=self.deadline)
        except AssertionError:
            raise Failed(f"not done within {self.deadline:g} s") from None
        said: Result = json.loads(load.out[-1]) if load.out else {"error": load.output}
        if "error" in said:
            raise Failed(said["error"])
        return said

    def _load(self, kind: str, port: int, **options: Any) -> Process:
        pids = {role: process.pid for role, process in self.running.processes.items()}
        options |= {"target": (LOOPBACK, port), "proxy": self.running.proxy, "pids": pids}
        return Process([sys.executable, "-m", "bench.load", kind, json.dumps(options)])


# -- the cases


def bulk(stage: Stage, streams: int, direction: str) -> Result:
    with stage.bulk(streams, direction) as load:
        time.sleep(stage.seconds)  # what is measured: this long
        load.close_stdin()
        return stage.result(load)


def rounds(stage: Stage, connections: int) -> Result:
    return stage.requests("rounds", connections=connections, size=64, seconds=stage.seconds)


def responses(stage: Stage) -> Result:
    """The median time of a response, by size."""
    sizes = {"1 kB": 1_000, "20 kB": 20_000, "300 kB": 300_000, "2 MB": 2_000_000}
    seconds = stage.seconds / 2
    return {
        f"{name} ms": stage.requests("rounds", connections=1, size=size, seconds=seconds)["p50 ms"]
        for name, size in sizes.items()
    }


def connects(stage: Stage, at_once: int) -> Result:
    return stage.requests("connects", at_once=at_once, seconds=stage.seconds)


def mixed(stage: Stage, streams: int, direction: str) -> Result:
    """Small requests on one connection while bulk streams run, then small requests on new connections."""
    result: Result = {}
    failures = []
    with stage.bulk(streams, direction) as load:
        try:
            small = stage.requests("rounds", connections=1, size=64, seconds=2 * stage.seconds, pause=PAUSE)
            result |= {"p50 ms": small["p50 ms"], "p99 ms": small["p99 ms"]}
        except Failed as error:
            failures.append(f"requests: {error}")
        try:
            new = stage.requests("connects", at_once=1, seconds=stage.seconds, pause=PAUSE)
            result["new p50 ms"] = new["p50 ms"]
        except Failed as error:
            failures.append(f"new connections: {error}")
        load.close_stdin()
        try:
            result |= stage.result(load)
        except Failed as error:
            failures.append(f"bulk: {error}")
    return result | ({"error": "; ".join(failures)} if failures else {})


def idle(stage: Stage, channels: int) -> Result:
    try:
        return stage.requests("idle", channels=channels)
    except Failed as error:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        raise Failed(f"{error} (a process may have {files:,} open files here)") from None


@dataclass(frozen=True)
class Case:
    title: str
    run: Callable[[Stage], Result]
    deadline: float = 20.0  # seconds for each load
    thorough: bool = False  # not in a quick run


def _by_direction(name: str, title: str, run: Callable[..., Result], streams: int) -> dict[str, Case]:
    stem, number = (name, "a stream") if streams == 1 else (f"{name}-{streams}", f"{streams} streams")
    return {
        f"{stem}-{direction}": Case(
            f"{title} {number} {direction}",
            partial(run, streams=streams, direction=direction),
            thorough=streams > 1,
        )
        for direction in ("down", "up")
    }


CASES: Final = {
    **_by_direction("bulk", "random bytes,", bulk, 1),
    **_by_direction("bulk", "random bytes,", bulk, 8),
    "rounds-1": Case("64-byte round trips, one connection", partial(rounds, connections=1)),
    "rounds-100": Case("64-byte round trips, 100 connections", partial(rounds, connections=100)),
    "responses": Case("request and response, median by size", responses),
    "connects-1": Case("new connections, one at a time", partial(connects, at_once=1)),
    "connects-32": Case("new connections, 32 at a time", partial(connects, at_once=32)),
    **_by_direction("mixed", "64-byte requests beside", mixed, 1),
    **_by_direction("mixed", "64-byte requests beside", mixed, 4),
    "idle-1000": Case("1,000 idle channels, each", partial(idle, channels=1_000), deadline=60),
    "idle-10000": Case("10,000 idle channels, each", partial(idle, channels=10_000), 120, thorough=True),
}
"""By name, in the order of the report."""


def measure(case: Case, start: Start, seconds: float) -> Result:
    """One measurement from nothing to nothing; a failure is a result too."""
    try:
        with _origin("bulk") as bulk_port, _origin("requests") as requests_port, start() as running:
            return case.run(Stage(running, seconds, case.deadline, bulk_port, requests_port))
    except (Failed, PeerError, AssertionError) as error:
        return {"error": str(error)}


@contextmanager
def _origin(kind: str) -> Iterator[int]:
    with Process([sys.executable, "-m", "bench.origin", kind]) as process:
        yield int(json.loads(process.wait_line(r'^\{"port"').string)["port"])
