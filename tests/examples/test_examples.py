"""Each program of examples/, run as its docstring says; those of gunicorn are in test_gunicorn.py."""

from __future__ import annotations

import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

from tests.examples.conftest import EXAMPLES, World, assert_silent
from tests.support.processes import Process


def python(name: str, *args: str, world: World | None = None) -> Process:
    return Process([sys.executable, str(EXAMPLES / name), *args], env=world.env if world else {})


def test_every_example_has_a_test_that_names_it() -> None:
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    assert [file.name for file in EXAMPLES.glob("*.py") if file.stem not in tests] == []


def test_every_example_says_how_to_run_it() -> None:
    for file in EXAMPLES.glob("*.py"):
        head = file.read_text().split('"""')[1]
        assert "::\n\n    " in head, file.name
        assert file.name in head or file.stem in head, file.name


def test_fifty_threads() -> None:
    """As it is run, but for the last word: that nothing was patched, and that no thread is left."""
    program = (
        "import runpy, sys, threading\n"
        f"runpy.run_path({str(EXAMPLES / 'fifty_threads.py')!r}, run_name='__main__')\n"
        "from gevent import monkey\n"
        "print(monkey.saved, threading.enumerate() == [threading.main_thread()])\n"
    )
    with Process([sys.executable, "-c", program]) as process:
        assert process.wait_exit() == 0, process.output
    requests, last_word = process.out
    assert requests.endswith("bytes in 1000 requests")
    assert last_word == "{} True"
    assert_silent(process)


def test_process_pool(world: World) -> None:
    sizes = [1, 20, 300, 4_000, 50_000, 600_000, 7_000_000, 8]
    urls = [f"http://intranet.example.org/pages/{size}" for size in sizes]
    with python("process_pool.py", *urls, world=world) as process:
        assert process.wait_exit() == 0, process.output
    assert [line.split() for line in process.out] == [
        [str(size), url] for size, url in zip(sizes, urls, strict=True)
    ]
    assert_silent(process)


def test_asyncio_door(world: World) -> None:
    with python("asyncio_door.py", "0", "db.example.org:5432", world=world) as process:
        port = int(process.wait_line(r"127\.0\.0\.1:(\d+) leads to db\.example\.org:5432")[1])
        with ExitStack() as stack:
            applications = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
                for _ in range(5)
            ]
            for number, application in enumerate(applications):
                application.sendall(b"line %d\n" % number)
            lines = [stack.enter_context(application.makefile("rb")) for application in applications]
            for number, line in enumerate(lines):
                assert line.readline() == b"line %d\n" % number
            applications[0].shutdown(socket.SHUT_WR)
            assert lines[0].read() == b""
            # The others are still there: nobody waits for them.
            process.send_signal(signal.SIGINT)
            assert process.wait_exit() == 0, process.output
    assert_silent(process)


def test_flask_app(world: World) -> None:
    argv = [sys.executable, "-m", "flask", "--app", str(EXAMPLES / "flask_app"), "run", "--port", "0"]
    with Process(argv, env=world.env) as process:
        address = process.wait_line(r"Running on (http://127\.0\.0\.1:\d+)")[1]
        for path in ("/", "/news/today"):
            with urlopen(address + path, timeout=10) as answer:
                assert answer.read().decode() == f"intranet.example.org {path}\n"
        process.send_signal(signal.SIGINT)
        process.wait_exit()
    assert "Traceback" not in process.output


def test_pytest_tunnel(tmp_path: Path) -> None:
    copied = tmp_path / "test_tunnel.py"
    copied.write_text((EXAMPLES / "pytest_tunnel.py").read_text())
    # -I: neither the settings of this repository nor its directory.
    argv = [sys.executable, "-Im", "pytest", "-q", "--rootdir", str(tmp_path), "-c", "/dev/null", str(copied)]
    with Process(argv) as process:
        assert process.wait_exit() == 0, process.output
    assert process.out[-1].startswith("1 passed"), process.output
    assert_silent(process)


def test_celery_tasks(world: World, tmp_path: Path) -> None:
    sizes = [1, 20, 300, 4_000]
    # Celery's broker of files: who sends writes to data_out, the worker reads data_in.
    (tmp_path / "queue").mkdir()
    for name in ("data_in", "data_out"):
        (tmp_path / name).symlink_to("queue")
    env = world.env | {
        "CELERY_BROKER_URL": "filesystem://",
        "CELERY_RESULT_BACKEND": f"file://{tmp_path / 'queue'}",
        "PYTHONPATH": f"{EXAMPLES}",
    }
    worker = [
        "--workdir",
        str(tmp_path),
        "--app",
        "celery_tasks",
        "worker",
        "--without-mingle",
        "--without-gossip",
        "--without-heartbeat",
        "--concurrency",
        "2",
        "--loglevel",
        "info",
    ]
    ask = (
        f"import os; os.chdir({str(tmp_path)!r})\n"
        "from celery_tasks import size\n"
        f"asked = [size.delay(f'http://intranet.example.org/pages/{{n}}') for n in {sizes}]\n"
        "print([result.get(timeout=20) for result in asked])\n"
    )
    before = world.logins
    with Process([sys.executable, "-m", "celery", *worker], env=env) as celery:
        world.wait_logins(before + 2)  # one for each process of the pool, with nothing to do yet
        with Process([sys.executable, "-c", ask], env=env) as asking:
            assert asking.wait_exit(timeout=30) == 0, asking.output + celery.output
        assert asking.out == [str(sizes)]
        assert world.logins == before + 2  # none for who asked
        celery.send_signal(signal.SIGTERM)
        assert celery.wait_exit() == 0, celery.output
    assert "Traceback" not in celery.output
