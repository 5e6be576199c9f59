"""The adapters in programs: with threads, patched by gevent, without the libraries that they are for."""

from __future__ import annotations

import sys

import pytest

from tests.support.processes import Process
from tests.support.targets import HttpTarget, seeded_sha256

SIZE = 100_000


@pytest.mark.parametrize("kind", ["threads", "gevent"])
def test_many_threads_on_one_tunnel(kind: str) -> None:
    with (
        HttpTarget() as target,
        Process(
            [
                sys.executable,
                "-Werror::ResourceWarning",
                "-m",
                "tests.contrib.busy_program",
                kind,
                target.url(f"/bytes/{SIZE}?seed=3"),
                seeded_sha256(SIZE, 3),
            ]
        ) as program,
    ):
        assert program.wait_exit(timeout=40) == 0, program.output
        said = program.wait_line(r"^200 right answers, (\w+), (\d+) modules patched$")
    assert said[1] == kind
    assert (int(said[2]) > 0) == (kind == "gevent")
    assert program.err == []


@pytest.mark.parametrize("name", ["requests", "urllib3"])
def test_a_library_that_is_not_there(name: str) -> None:
    script = f"import sys; sys.modules[{name!r}] = None; import linksocks.contrib.{name}"
    with Process([sys.executable, "-c", script]) as program:
        assert program.wait_exit() == 1
    assert program.err[-1].startswith(f"ImportError: linksocks.contrib.{name} needs {name}: pip install ")


def test_nobody_gets_them_unasked() -> None:
    script = (
        "import sys; from linksocks import Client, Server; print({'requests', 'urllib3'} & {*sys.modules})"
    )
    with Process([sys.executable, "-c", script]) as program:
        assert program.wait_exit() == 0, program.output
    assert program.out == ["set()"]
