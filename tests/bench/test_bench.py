"""The bench as one starts it, with one tiny case; and that no contender gets away with wrong bytes or silence."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.cases import CASES, measure
from bench.contenders import Running, direct
from bench.report import Results, table
from bench.targets import judged
from tests.support.ports import free_port
from tests.support.processes import Process

CONTENDERS = ("direct", "relay", "ours")


def test_one_case_makes_a_whole_report(tmp_path: Path) -> None:
    arguments = ["--only", ",".join(CONTENDERS), "--case", "rounds-1", "--rounds", "1", "--seconds", "0.05"]
    with Process([sys.executable, "-m", "bench", *arguments, "--results", str(tmp_path)]) as bench:
        assert bench.wait_exit(timeout=50) == 0, bench.output
        said = bench.output
    files = {path.suffix: path.read_text() for path in tmp_path.iterdir()}
    case = json.loads(files[".json"])["cases"]["rounds-1"]
    assert tuple(case) == CONTENDERS
    for contender in CONTENDERS:
        assert len(case[contender]["rounds"]) == 1
        assert set(case[contender]["median"]) == {"/s", "p50 ms", "p99 ms"}
        assert all(number > 0 for number in case[contender]["median"].values())
        assert f"\n    {contender} " in files[".txt"]
    assert case["relay"]["ratio"] == {"/s": 1, "p50 ms": 1, "p99 ms": 1}
    assert "p50 ms" in files[".txt"]
    assert "x relay, at most 1.15" in files[".txt"]
    assert files[".txt"].strip() in said.replace("out| ", "")
    assert ElementTree.fromstring(files[".svg"]).tag.endswith("svg")


def test_unknown_names_end_with_the_known_ones() -> None:
    with Process([sys.executable, "-m", "bench", "--only", "squid"]) as bench:
        assert bench.wait_exit() == 1
        assert "direct, relay, ours" in bench.output


@pytest.mark.parametrize("case", ["bulk-down", "bulk-up", "rounds-1", "connects-1", "mixed-up", "idle-1000"])
def test_a_contender_that_refuses_has_failed_with_the_reason(case: str) -> None:
    @contextmanager
    def nobody() -> Iterator[Running]:
        yield Running(("127.0.0.1", free_port()), {})

    assert "Connection refused" in measure(CASES[case], nobody, 0.05)["error"]


def test_a_contender_that_cannot_start_has_failed() -> None:
    @contextmanager
    def lame() -> Iterator[Running]:
        with Process([sys.executable, "-c", "print('no luck')"]) as process:
            process.wait_line("never said")
        yield Running(None, {})

    assert "no luck" in measure(CASES["rounds-1"], lame, 0.05)["error"]


@pytest.mark.parametrize("case", ["bulk-down", "bulk-up", "rounds-1"])
def test_changed_bytes_are_a_failure(case: str) -> None:
    @contextmanager
    def forger() -> Iterator[Running]:
        with _forging_proxy() as port:
            yield Running(("127.0.0.1", port), {})

    assert "wrong bytes" in measure(CASES[case], forger, 0.05)["error"]


def test_without_a_proxy_streams_arrive_in_good_order() -> None:
    for case in ("bulk-8-down", "bulk-8-up"):
        assert measure(CASES[case], direct, 0.05)["MiB/s"] > 0


def test_ratios_are_the_median_of_each_round_and_failures_stay_in_the_table() -> None:
    results = Results()
    for relay, ours in ((100.0, 90.0), (200.0, 190.0), (10.0, 20.0)):
        results.add("bulk-down", "relay", {"MiB/s": relay})
        results.add("bulk-down", "ours", {"MiB/s": ours})
        results.add("bulk-down", "chisel", {"error": "lost its way\nand more"})
    assert results.value("bulk-down", "ours", "MiB/s") == 90
    assert results.ratio("bulk-down", "ours", "MiB/s") == 0.95
    assert "chisel  failed: lost its way" in " ".join(table(results).split("   "))
    assert [line.split()[0] for line in judged(results)] == ["met"]


@contextmanager
def _forging_proxy() -> Iterator[int]:
    """A SOCKS5 proxy that changes a bit of whatever it reads, in both directions."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_forge, args=(sock,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    with closing(listener):
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _forge(near: socket.socket) -> None:
    with near, contextlib.suppress(OSError):
        near.recv(3)
        near.sendall(b"\x05\x00")
        request = near.recv(10)
        target = socket.inet_ntoa(request[4:8]), int.from_bytes(request[8:])
        with socket.create_connection(target) as far:
            near.sendall(b"\x05\x00\x00\x01" + bytes(6))
            threading.Thread(target=_forward, args=(far, near), daemon=True).start()
            _forward(near, far)


def _forward(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := bytearray(source.recv(65536)):
            if len(data) > 60:  # not the first byte of a stream, its purpose
                data[-1] ^= 1
            sink.sendall(data)
