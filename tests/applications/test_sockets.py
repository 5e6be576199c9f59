"""What programs do with a socket, with one of `create_connection`."""

from __future__ import annotations

import hashlib
import os
import select
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from linksocks import Client
from tests.support.socks import read_exactly
from tests.support.targets import EchoTarget, GreetingTarget, HttpTarget, mute_port

PATIENCE = 10.0
MIB = 1024 * 1024


@pytest.fixture
def sock(client: Client) -> Iterator[socket.socket]:
    """Before a server that echoes."""
    with EchoTarget() as echo, connected(client, echo.port) as sock:
        yield sock


@contextmanager
def connected(client: Client, port: int) -> Iterator[socket.socket]:
    with client.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        yield sock


@contextmanager
def both_ends(client: Client) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection as the application sees it, and as the target does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        with connected(client, listener.getsockname()[1]) as near, listener.accept()[0] as far:
            far.settimeout(PATIENCE)
            yield near, far


def read_to_end(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def reset(sock: socket.socket) -> None:
    """Closes with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class TestWhatItIs:
    def test_a_socket_of_tcp(self, sock: socket.socket) -> None:
        assert type(sock) is socket.socket
        assert (sock.family, sock.type, sock.proto) == (
            socket.AF_INET,
            socket.SOCK_STREAM,
            socket.IPPROTO_TCP,
        )
        assert sock.gettimeout() == PATIENCE

    def test_it_has_addresses_of_its_own(self, client: Client) -> None:
        with both_ends(client) as (near, far):
            names = near.getsockname(), near.getpeername(), far.getsockname(), far.getpeername()
        assert {host for host, _ in names} == {"127.0.0.1"}
        assert len({port for _, port in names}) == 4, "it is connected to the target without a tunnel"

    def test_options_can_be_set(self, sock: socket.socket) -> None:
        for level, option in [
            (socket.IPPROTO_TCP, socket.TCP_NODELAY),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        ]:
            sock.setsockopt(level, option, 1)
            assert sock.getsockopt(level, option) == 1

    def test_no_child_inherits_it_unasked(self, sock: socket.socket) -> None:
        assert not sock.get_inheritable()

    def test_it_outlives_the_object(self, client: Client) -> None:
        with EchoTarget() as echo:
            first = client.create_connection(("127.0.0.1", echo.port), PATIENCE)
            with socket.socket(fileno=first.detach()) as second:
                del first
                second.settimeout(PATIENCE)
                second.sendall(b"hello")
                assert read_exactly(second, 5) == b"hello"

    def test_a_duplicate_is_the_same_connection(self, sock: socket.socket) -> None:
        with sock.dup() as other:
            sock.sendall(b"hello")
            sock.close()
            other.settimeout(PATIENCE)
            assert read_exactly(other, 5) == b"hello"

    def test_a_child_process_gets_it_as_its_input(self, client: Client) -> None:
        with both_ends(client) as (near, far):
            far.sendall(b"from the far end")
            far.shutdown(socket.SHUT_WR)
            near.settimeout(None)
            got = subprocess.run(["cat"], stdin=near, capture_output=True, check=True, timeout=PATIENCE)
        assert got.stdout == b"from the far end"


class TestReading:
    def test_peek_leaves_the_bytes(self, sock: socket.socket) -> None:
        sock.sendall(b"hello")
        assert sock.recv(1, socket.MSG_PEEK) == b"h"
        assert read_exactly(sock, 5) == b"hello"

    def test_into_a_buffer(self, sock: socket.socket) -> None:
        sock.settimeout(None)  # else MSG_WAITALL does not wait
        sock.sendall(b"hello")
        buffer = bytearray(b"-------")
        assert sock.recv_into(memoryview(buffer)[1:], 5, socket.MSG_WAITALL) == 5
        assert buffer == b"-hello-"

    def test_into_several(self, sock: socket.socket) -> None:
        sock.settimeout(None)
        sock.sendmsg([b"hel", b"lo"])
        first, second = bytearray(2), bytearray(3)
        assert sock.recvmsg_into([first, second], 0, socket.MSG_WAITALL)[0] == 5
        assert first + second == b"hello"

    def test_lines_of_a_file(self, sock: socket.socket) -> None:
        with sock.makefile("rw", encoding="utf-8", newline="\n") as file:
            file.write("erste Zeile\nzweite, größere\n")
            file.flush()
            sock.shutdown(socket.SHUT_WR)
            assert list(file) == ["erste Zeile\n", "zweite, größere\n"]

    def test_nothing_in_time_is_a_timeout_and_no_end(self, sock: socket.socket) -> None:
        sock.settimeout(0.01)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(PATIENCE)
        sock.sendall(b"x")
        assert read_exactly(sock, 1) == b"x"

    @pytest.mark.parametrize("flags", [0, socket.MSG_DONTWAIT])
    def test_without_waiting(self, sock: socket.socket, flags: int) -> None:
        sock.setblocking(bool(flags))
        with pytest.raises(BlockingIOError):
            sock.recv(1, flags)

    def test_a_server_that_speaks_first(self, client: Client) -> None:
        with GreetingTarget(b"220 hello") as target, connected(client, target.port) as sock:
            assert read_exactly(sock, 9) == b"220 hello"


class TestWriting:
    def test_a_file(self, sock: socket.socket, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(content := os.urandom(3 * MIB))
        with path.open("rb") as file, closing(sock.dup()) as reader:
            reader.settimeout(PATIENCE)
            file.seek(1)
            # The echo waits in buffers meanwhile: so much they have together.
            assert sock.sendfile(file, offset=1, count=100_000) == 100_000
            assert read_exactly(reader, 100_000) == content[1:100_001]

    def test_one_who_does_not_read_holds_up_the_writer(self, client: Client) -> None:
        with mute_port() as port, connected(client, port) as sock:
            sock.setblocking(False)
            taken = 0
            while select.select([], [sock], [], 0.3)[1]:
                taken += sock.send(bytes(MIB))
                assert taken < 64 * MIB, "somebody holds it all"

    def test_urgent_writes_in_the_order_of_the_program(self, sock: socket.socket) -> None:
        for number in range(1000):
            sock.sendall(struct.pack("!I", number))
        assert [number for (number,) in struct.iter_unpack("!I", read_exactly(sock, 4000))] == list(
            range(1000)
        )


class TestEnds:
    def test_the_end_of_one_direction(self, sock: socket.socket) -> None:
        sock.sendall(b"x" * 100_000)
        sock.shutdown(socket.SHUT_WR)
        assert read_to_end(sock) == b"x" * 100_000

    def test_the_end_of_the_other(self, client: Client) -> None:
        with both_ends(client) as (near, far):
            far.shutdown(socket.SHUT_WR)
            assert near.recv(1) == b""
            near.sendall(b"still here")
            assert read_exactly(far, 10) == b"still here"

    def test_what_was_written_before_the_close_arrives(self, client: Client) -> None:
        digest = hashlib.sha256(content := os.urandom(MIB)).hexdigest()
        with both_ends(client) as (near, far):
            near.sendall(content[:100_000])
            near.close()
            assert read_to_end(far) == content[:100_000]
        with HttpTarget() as target, connected(client, target.port) as sock:
            sock.sendall(b"PUT / HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % MIB + content)
            assert read_to_end(sock).endswith(b"\r\n\r\n" + digest.encode())

    def test_a_reset_by_the_program(self, client: Client) -> None:
        with both_ends(client) as (near, far):
            near.sendall(b"x")
            assert read_exactly(far, 1) == b"x"
            reset(near)
            with pytest.raises(ConnectionResetError):
                far.recv(1)

    def test_a_reset_by_the_target(self, client: Client) -> None:
        with both_ends(client) as (near, far):
            far.sendall(b"x")
            assert read_exactly(near, 1) == b"x"
            reset(far)
            with pytest.raises(ConnectionResetError):
                near.recv(1)

    def test_writing_to_who_is_gone(self, client: Client) -> None:
        with both_ends(client) as (near, far):
            reset(far)
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                near.sendall(bytes(64 * MIB))
