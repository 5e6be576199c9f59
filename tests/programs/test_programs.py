"""Each program of this folder runs unchanged with PyPI's linksocks 1.10.3 and with ours, and the two go together.

A program is proven with the real package first: what it asserts is how that behaves. Where the real one does not do
what its own documentation says, `CANNOT` has the reason, and a test shows that it still is so.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.interop.peer import Peer
from tests.programs.outside import free_port
from tests.support.processes import Process

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

REAL = Peer("linksocks", "1.10.3")

OTHERS = {"__init__", "outside", "test_programs", "test_signatures", "serve", "signatures", "visit", "which"}
"""No programs to run by themselves: the last four are for certain tests."""

PROGRAMS = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in OTHERS)

CANNOT = {
    "after_close": "AttributeError: 'NoneType' object has no attribute",  # the wrapped object is None by then
    "direct_options": "AttributeError: .* no attribute 'WithDirectEnable'",  # its wrapper never got the options
    "failures": "AssertionError: .* gave 'token already exists'",  # error and token come back through one slot
    "is_connected": r"AssertionError: \[False, False\]",  # it asks the wrapped object, which does not have it
    "port_pool": "NotImplementedError: port_pool is not supported",
    "socks_port": "assert client.socks_port",  # it is the option, not the port
    "unknown_token": r"AssertionError: \[True, True, True\]",  # the Go function has no other result
    "upstream_url": "SocksRefused: SOCKS reply 4",  # it takes the URL for a host and a port
}
"""What the real one can't run, and how it ends instead."""

MODES = ("forward", "reverse", "agent", "autonomy")


def run(package: str, program: str, *args: object) -> Process:
    """A program with the package `real` or `ours`, in an interpreter that finds no other."""
    if package == "real" and not REAL.made:
        pytest.skip(f"no {REAL}: {REAL.why_skipped or 'run scripts/peers'}")
    python, path = {"real": (str(REAL.program("python")), None), "ours": (sys.executable, str(ROOT))}[package]
    # Not the working directory but the program's own is on the module path, and no package is in there.
    return Process([python, str(HERE / f"{program}.py"), *map(str, args)], env={"PYTHONPATH": path})


def assert_runs(process: Process) -> None:
    """It ends well, with the one line that a program says, and nothing went wrong beside it."""
    assert process.wait_exit() == 0, process.output
    assert len(process.out) == 1, process.output
    assert "Traceback" not in process.output


@pytest.mark.parametrize("program", PROGRAMS)
def test_with_ours(program: str) -> None:
    with run("ours", program) as process:
        assert_runs(process)


@pytest.mark.parametrize("program", [program for program in PROGRAMS if program not in CANNOT])
def test_with_the_real_one(program: str) -> None:
    with run("real", program) as process:
        assert_runs(process)


@pytest.mark.parametrize("program", CANNOT)
def test_the_real_one_still_can_not(program: str) -> None:
    with run("real", program) as process:
        assert process.wait_exit() == 1, process.output
        process.wait_line(CANNOT[program])


@pytest.mark.parametrize(("server", "client"), [("real", "ours"), ("ours", "real")])
@pytest.mark.parametrize("mode", MODES)
def test_pair(mode: str, server: str, client: str) -> None:
    ports = free_port(), free_port()
    with run(server, "serve", mode, *ports) as serving:
        serving.wait_line(f"^{mode}: ready$")
        with run(client, "visit", mode, *ports) as visiting:
            assert_runs(visiting)
        serving.close_stdin()
        assert_runs(serving)


@pytest.mark.parametrize("package", ["real", "ours"])
def test_who_is_who(package: str) -> None:
    with run(package, "which") as process:
        assert_runs(process)
        where = Path(process.out[0]).parent
    assert (where == ROOT / "linksocks") == (package == "ours")
