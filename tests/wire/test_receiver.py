"""The receiver: whole messages under any fragmentation, every violation with its close code, bounded memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as ForeignFrame
from websockets.frames import Opcode as ForeignOpcode

from linksocks.errors import FrameError
from linksocks.wire.receiver import FRAGMENT, MAX_MESSAGE, MessageReceiver
from tests.support.rawsocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

Events = list[tuple[int, bytes]]


def feed(receiver: MessageReceiver, raw: bytes, sizes: list[int] | None = None) -> Events:
    """All events of `raw`, read as a socket would give it: in pieces of `sizes`, in turn and again."""
    events: Events = []
    at, turn = 0, 0
    while True:
        while (event := receiver.next_event()) is not None:
            if event is not FRAGMENT:
                events.append((event.opcode, bytes(event.payload)))
        if at == len(raw):
            return events
        room = receiver.buffer()
        assert len(room), "a read of no bytes would look like the end of the stream"
        size = min(sizes[turn % len(sizes)] if sizes else len(raw), len(room), len(raw) - at)
        room[:size] = raw[at : at + size]
        receiver.received(size)
        at, turn = at + size, turn + 1


def violation(raw: bytes, *, masked: bool = False, early: bytes = b"") -> int:
    """The close code of the FrameError that `raw` raises."""
    with pytest.raises(FrameError) as caught:
        feed(MessageReceiver(masked=masked, early=early), raw)
    return caught.value.code


# What is right

controls = st.tuples(st.sampled_from([PING, PONG, CLOSE]), st.binary(max_size=125))
payloads = st.one_of(
    st.binary(max_size=200),
    st.integers(120, 130).map(bytes),
    st.sampled_from([65535, 65536, 196_607, 196_608, 196_609, 300_000]).map(lambda n: b"0123456" * (n // 7)),
)


@st.composite
def streams(draw):
    """Messages in any frames, control frames between any of them: the bytes, and the events that they are."""
    masked = draw(st.booleans())
    raw, events = b"", []
    for _ in range(draw(st.integers(1, 3))):
        opcode, payload = draw(st.sampled_from([TEXT, BINARY])), draw(payloads)
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
        pieces = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        for place, piece in enumerate(pieces):
            for control, body in draw(st.lists(controls, max_size=2)):
                raw += frame(control, body, masked=masked)
                events.append((control, body))
            last = place == len(pieces) - 1
            raw += frame(CONTINUATION if place else opcode, piece, masked=masked, fin=last)
        events.append((opcode, payload))
    return masked, raw, events


@given(streams(), st.lists(st.integers(1, 100_000), min_size=1, max_size=5), st.data())
def test_any_frames_in_any_pieces(stream, sizes, data):
    masked, raw, events = stream
    early = raw[: data.draw(st.integers(0, len(raw)))]
    receiver = MessageReceiver(masked=masked, early=early)
    # Now and then a large piece: else some examples are a million reads of one byte, and the test takes a minute.
    sizes = sizes * (1000 // len(sizes)) + [len(raw)]
    assert feed(receiver, raw[len(early) :], sizes) == events


@pytest.mark.parametrize("masked", [True, False])
def test_byte_by_byte(masked):
    raw = frame(BINARY, b"x" * 130, masked=masked) + frame(PING, b"p", masked=masked)
    assert feed(MessageReceiver(masked=masked), raw, [1]) == [(BINARY, b"x" * 130), (PING, b"p")]


@given(st.binary(max_size=70_000), st.booleans())
def test_reads_what_websockets_writes(payload, masked):
    raw = ForeignFrame(ForeignOpcode.BINARY, payload).serialize(mask=masked)
    assert feed(MessageReceiver(masked=masked), raw, [999]) == [(BINARY, payload)]


def test_many_small_messages_fill_the_buffer_again_and_again():
    payload = bytes(1000)
    raw = frame(BINARY, payload, masked=False) * 3000
    events = feed(MessageReceiver(masked=False), raw, [262_144, 70_001])
    assert events == [(BINARY, payload)] * 3000


def test_a_payload_is_a_view_where_it_can_be():
    receiver = MessageReceiver(masked=False, early=frame(BINARY, bytes(1000), masked=False))
    event = receiver.next_event()
    assert event is not None
    assert isinstance(event.payload, memoryview)


def test_the_largest_message():
    raw = frame(BINARY, bytes(MAX_MESSAGE), masked=False)
    [(opcode, payload)] = feed(MessageReceiver(masked=False), raw)
    assert (opcode, len(payload)) == (BINARY, MAX_MESSAGE)


# What is wrong

VIOLATIONS = {
    **{
        f"rsv {bits:03b}": lambda m, bits=bits: frame(BINARY, b"x", masked=m, rsv=bits)
        for bits in range(1, 8)
    },
    **{
        f"opcode {code}": lambda m, code=code: frame(code, b"x", masked=m)
        for code in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
    },
    "fragmented ping": lambda m: frame(PING, b"", masked=m, fin=False),
    "fragmented close": lambda m: frame(CLOSE, b"", masked=m, fin=False),
    "ping of 126 bytes": lambda m: frame(PING, bytes(126), masked=m),
    "close of 2^40 bytes": lambda m: frame(CLOSE, b"", masked=m, length=1 << 40),
    "125 in two bytes": lambda m: frame(BINARY, bytes(125), masked=m, length_bytes=2),
    "0 in eight bytes": lambda m: frame(BINARY, b"", masked=m, length_bytes=8),
    "65535 in eight bytes": lambda m: frame(BINARY, bytes(65535), masked=m, length_bytes=8),
    "highest bit of a length": lambda m: frame(BINARY, b"", masked=m, length=1 << 63, length_bytes=8),
    "continuation of nothing": lambda m: frame(CONTINUATION, b"x", masked=m),
    "last continuation of nothing": lambda m: frame(CONTINUATION, b"x", masked=m, fin=False),
    "continuation after the last": lambda m: (
        frame(BINARY, b"", masked=m, fin=False)
        + frame(CONTINUATION, b"", masked=m)
        + frame(CONTINUATION, b"", masked=m)
    ),
    "message in a message": lambda m: frame(BINARY, b"", masked=m, fin=False) + frame(TEXT, b"", masked=m),
    "wrong masking": lambda m: frame(BINARY, b"x", masked=not m),
    "wrong masking of a ping": lambda m: frame(PING, b"", masked=not m),
}


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("make", VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_violations_are_1002(make, masked):
    assert violation(make(masked), masked=masked) == 1002


def test_a_violation_stays_one():
    receiver = MessageReceiver(masked=False, early=frame(3, b"", masked=False))
    for _ in range(2):
        with pytest.raises(FrameError):
            receiver.next_event()


# Too much


def test_a_frame_over_the_limit_is_refused_by_its_head():
    head = frame(BINARY, b"", masked=True, length=MAX_MESSAGE + 1)
    assert violation(head, masked=True) == 1009


def test_the_largest_length_of_all_takes_no_memory():
    tracemalloc.start()
    try:
        assert violation(frame(BINARY, b"", masked=True, length=(1 << 63) - 1), masked=True) == 1009
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_fragments_are_summed_up():
    half = frame(BINARY, bytes(600), masked=False, fin=False)
    receiver = MessageReceiver(masked=False, max_message=1000, early=half)
    assert receiver.next_event() is FRAGMENT
    assert receiver.next_event() is None
    with pytest.raises(FrameError) as caught:
        feed(receiver, frame(CONTINUATION, b"", masked=False, length=401))  # not a byte of it has come
    assert caught.value.code == 1009


def test_a_ping_counts_for_no_message():
    raw = frame(BINARY, bytes(1000), masked=False, fin=False) + frame(PING, bytes(100), masked=False)
    receiver = MessageReceiver(masked=False, max_message=1000)
    assert feed(receiver, raw + frame(CONTINUATION, b"", masked=False)) == [
        (PING, bytes(100)),
        (BINARY, bytes(1000)),
    ]


def test_the_limit_can_be_raised():
    receiver = MessageReceiver(masked=False, max_message=10)
    assert feed(receiver, frame(BINARY, bytes(10), masked=False)) == [(BINARY, bytes(10))]
    receiver.max_message = 11
    assert feed(receiver, frame(BINARY, bytes(11), masked=False)) == [(BINARY, bytes(11))]


# Anything at all


@given(st.binary(max_size=2000), st.booleans())
def test_random_bytes_raise_only_frame_error(raw, masked):
    code = 0
    try:
        feed(MessageReceiver(masked=masked, max_message=1 << 20), raw, [7, 100])
    except FrameError as error:
        code = error.code
    assert code in (0, 1002, 1009)


@given(streams(), st.data())
def test_a_changed_byte_raises_only_frame_error(stream, data):
    masked, raw, _ = stream
    place = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:place] + bytes([raw[place] ^ data.draw(st.integers(1, 255))]) + raw[place + 1 :]
    code = 0
    try:
        feed(MessageReceiver(masked=masked), changed, [4096])
    except FrameError as error:
        code = error.code
    assert code in (0, 1002, 1009)
