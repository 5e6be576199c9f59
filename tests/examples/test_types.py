"""What the types say to a program that uses the library: mypy --strict, outside of this repository.

The program's environment has linksocks and nothing else, as that of a user without stubs for gevent.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of a user, with an environment that has linksocks."""
    folder = tmp_path_factory.mktemp("user")
    venv.create(folder / "venv")
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    (packages / "linksocks.pth").write_text(f"{EXAMPLES.parent}\n")
    return folder


def mypy(home: Path, file: Path) -> list[str]:
    """What `mypy --strict` says of `file`, line by line."""
    argv = [sys.executable, "-m", "mypy", "--strict", "--warn-unreachable", "--config-file", ""]
    argv += ["--cache-dir", str(home / "cache"), "--python-executable", str(home / "venv/bin/python")]
    ended = subprocess.run(
        [*argv, str(file)], cwd=home, capture_output=True, text=True, timeout=50, check=False
    )
    assert ended.stderr == ""
    return ended.stdout.splitlines()


@pytest.mark.parametrize(
    "file",
    [HERE / "typed_program.py", EXAMPLES / "fifty_threads.py", EXAMPLES / "asyncio_door.py"],
    ids=lambda file: file.stem,
)
def test_what_is_called_has_types(home: Path, file: Path) -> None:
    assert mypy(home, file) == ["Success: no issues found in 1 source file"]


def test_a_wrong_call_is_found(home: Path) -> None:
    """So it was linksocks that was read, with its types, and not Any."""
    wrong = home / "wrong.py"
    wrong.write_text(
        "from linksocks import Client, Clint, Server\n"
        "Client('token', ws_uri='ws://localhost')\n"
        "Server(ws_port='8765')\n"
        "port: str = Server().ws_port\n"
    )
    errors = [line for line in mypy(home, wrong) if ": error: " in line]
    assert [line.split("[")[-1] for line in errors] == [
        "attr-defined]",
        "call-arg]",
        "arg-type]",
        "assignment]",
    ]
