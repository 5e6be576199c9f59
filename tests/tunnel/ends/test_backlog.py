"""What waits comes out whole and in order, in few pieces."""

from linksocks.tunnel.channels.terms import CHUNK
from linksocks.tunnel.ends.backlog import Backlog


def _taken(backlog: Backlog) -> list[bytes]:
    pieces = []
    while backlog:
        assert backlog.first
        pieces.append(bytes(backlog.pop()))
    return pieces


def test_what_waits_comes_out_in_order() -> None:
    backlog = Backlog()
    lines = [b"%5d" % number for number in range(1000)]
    for line in lines:
        backlog.add(line)
    pieces = _taken(backlog)
    assert b"".join(pieces) == b"".join(lines)
    assert len(pieces) == 2


def test_pieces_are_bounded() -> None:
    backlog = Backlog()
    for _ in range(10):
        backlog.add(bytes(CHUNK - 1))
    assert all(len(piece) < 2 * CHUNK for piece in _taken(backlog))


def test_nothing_is_added_to_the_first_piece() -> None:
    """It may be on its way already."""
    backlog = Backlog()
    backlog.add(b"first")
    first = memoryview(backlog.first)  # would make an addition fail
    backlog.add(b"second")
    backlog.add(b"third")
    assert bytes(first) == b"first"
    first.release()
    assert _taken(backlog) == [b"first", b"secondthird"]


def test_what_is_kept_is_a_copy() -> None:
    backlog = Backlog()
    payload = bytearray(b"payload")
    backlog.add(payload)
    payload[:] = b"changed"
    assert _taken(backlog) == [b"payload"]


def test_nothing_waits_after_clear() -> None:
    backlog = Backlog()
    backlog.add(b"dropped")
    backlog.clear()
    assert not backlog
