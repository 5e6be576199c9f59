"""SSH: paramiko, by its `sock` parameter, with a real OpenSSH server behind the tunnel."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from linksocks import Client
from tests.support.sshd import SSHD, Sshd

pytestmark = pytest.mark.skipif(
    SSHD is None, reason="there is no sshd here; scripts/test gets it where there is apt-get"
)

PATIENCE = 10.0
SIZE = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        yield sshd


@pytest.fixture
def ssh(client: Client, sshd: Sshd) -> Iterator[paramiko.SSHClient]:
    with paramiko.SSHClient() as ssh:
        ssh.get_host_keys().add("target.example", sshd.host_key.get_name(), sshd.host_key)
        ssh.connect(
            "target.example",
            username=sshd.user,
            pkey=sshd.key,
            sock=client.create_connection(("127.0.0.1", sshd.port), PATIENCE),
            allow_agent=False,
            look_for_keys=False,
        )
        yield ssh


def run(ssh: paramiko.SSHClient, command: str, given: bytes = b"") -> tuple[int, bytes]:
    stdin, stdout, _ = ssh.exec_command(command, timeout=PATIENCE)
    # Beside the reading: a command that answers while it reads would wait for us as we do for it.
    writer = threading.Thread(target=lambda: (stdin.write(given), stdin.channel.shutdown_write()))
    writer.start()
    answer = stdout.read()
    writer.join()
    return stdout.channel.recv_exit_status(), answer


def test_a_command(ssh: paramiko.SSHClient) -> None:
    assert run(ssh, "echo hello; exit 3") == (3, b"hello\n")


def test_a_command_with_much_to_read_and_to_say(ssh: paramiko.SSHClient) -> None:
    assert run(ssh, "cat", content := os.urandom(SIZE // 4)) == (0, content)


def test_commands_at_once_on_one_connection(ssh: paramiko.SSHClient) -> None:
    channels = [ssh.exec_command(f"read line; echo $line {number}") for number in range(5)]
    for number, (stdin, stdout, _) in reversed(list(enumerate(channels))):
        stdin.write("hello\n")
        stdin.flush()
        assert stdout.read() == b"hello %d\n" % number


def test_files_both_ways(ssh: paramiko.SSHClient, tmp_path: Path) -> None:
    content = os.urandom(SIZE)
    with ssh.open_sftp() as sftp:
        sftp.putfo(io.BytesIO(content), str(tmp_path / "there"))
        assert hashlib.sha256((tmp_path / "there").read_bytes()).digest() == hashlib.sha256(content).digest()
        back = io.BytesIO()
        assert sftp.getfo(str(tmp_path / "there"), back) == SIZE
        assert hashlib.sha256(back.getvalue()).digest() == hashlib.sha256(content).digest()
        assert sftp.listdir(str(tmp_path)) == ["there"]


def test_another_host_key_is_noticed(client: Client, sshd: Sshd) -> None:
    """The name that is checked is the one that paramiko was given, and not an address of the tunnel."""
    with paramiko.SSHClient() as ssh:
        ssh.get_host_keys().add("target.example", sshd.key.get_name(), sshd.key)
        with pytest.raises(paramiko.BadHostKeyException):
            ssh.connect("target.example", sock=client.create_connection(("127.0.0.1", sshd.port), PATIENCE))
