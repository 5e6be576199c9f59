"""The words of other peers, as they were seen in their answers, and what an application is told."""

import pytest

from linksocks.errors import Cause
from linksocks.tunnel.channels.causes import cause_of


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("dial tcp 127.0.0.1:9: connect: connection refused", Cause.REFUSED),
        ("[Errno 111] Connect call failed: Connection refused", Cause.REFUSED),
        ("[Errno 111] Connect call failed ('127.0.0.1', 9)", Cause.REFUSED),
        ("dial tcp 10.0.0.1:80: connect: permission denied", Cause.NOT_ALLOWED),
        ("[Errno 13] Permission denied", Cause.NOT_ALLOWED),
        ("dial tcp: lookup nowhere on 127.0.0.1:53: server misbehaving", Cause.HOST_UNREACHABLE),
        ("encoding with 'idna' codec failed", Cause.HOST_UNREACHABLE),
        ("dial tcp: lookup nowhere.invalid: no such host", Cause.HOST_UNREACHABLE),
        ("[Errno -2] Name or service not known", Cause.HOST_UNREACHABLE),
        ("[Errno -3] Temporary failure in name resolution", Cause.HOST_UNREACHABLE),
        ("dial tcp 10.0.0.1:80: connect: no route to host", Cause.HOST_UNREACHABLE),
        ("dial tcp 10.0.0.1:80: connect: network is unreachable", Cause.NETWORK_UNREACHABLE),
        ("no available reverse client", Cause.NETWORK_UNREACHABLE),
        ("dial tcp 10.0.0.1:80: i/o timeout", Cause.TIMED_OUT),
        ("[Errno 110] Connection timed out", Cause.TIMED_OUT),
        ("connection denied by access control", Cause.NOT_ALLOWED),
        ("something else", Cause.GENERAL),
        ("", Cause.GENERAL),
    ],
)
def test_the_cause_is_read_from_the_text(text: str, cause: Cause) -> None:
    assert cause_of(text) is cause
