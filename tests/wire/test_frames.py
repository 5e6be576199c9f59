"""Frames as we write them: all length forms, masked and not, and what a close frame says."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as ForeignFrame

from linksocks.errors import FrameError
from linksocks.wire.frames import FrameWriter, Opcode, pack_close, parse_close

LENGTHS = [0, 1, 125, 126, 127, 4096, 4097, 65535, 65536, 200_000]


def read_by_websockets(raw: bytes, *, masked: bool) -> ForeignFrame:
    """The one frame in `raw`, as the package `websockets` reads it; it must take all bytes."""
    at = 0

    def read_exact(size: int):
        nonlocal at
        at += size
        yield from ()
        return raw[at - size : at]

    reader = ForeignFrame.parse(read_exact, mask=masked)
    with pytest.raises(StopIteration) as done:
        next(reader)
    assert at == len(raw)
    return done.value.value


@pytest.mark.parametrize("masking", [True, False])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_foreign_reader_reads_our_frames(masking, length):
    payload = bytes(range(256)) * (length // 256 + 1)
    raw = b"".join(FrameWriter(masking=masking).frame(Opcode.BINARY, payload[:length]))
    read = read_by_websockets(raw, masked=masking)
    assert (read.opcode, read.data, read.fin) == (Opcode.BINARY, payload[:length], True)


@pytest.mark.parametrize(("length", "head"), [(125, 2), (126, 4), (65535, 4), (65536, 10)])
def test_lengths_are_written_in_their_shortest_form(length, head):
    raw = b"".join(FrameWriter(masking=False).frame(Opcode.BINARY, bytes(length)))
    assert len(raw) == head + length


@given(
    st.lists(st.binary(max_size=40).map(lambda part: part * 4), max_size=3),
    st.one_of(st.binary(max_size=50), st.integers(4000, 4200).map(bytes)),
    st.booleans(),
)
def test_parts_make_one_payload(parts, last, masking):
    raw = b"".join(FrameWriter(masking=masking).frame(Opcode.BINARY, *parts, last))
    assert read_by_websockets(raw, masked=masking).data == b"".join([*parts, last])


def test_large_parts_are_masked_from_the_start_of_the_key():
    parts = [bytes(24), memoryview(b"ab" * 5000)]
    raw = b"".join(FrameWriter(masking=True).frame(Opcode.BINARY, *parts))
    assert read_by_websockets(raw, masked=True).data == b"".join(parts)


def test_a_large_payload_is_not_copied_where_it_need_not_be():
    payload = bytes(10_000)
    assert FrameWriter(masking=False).frame(Opcode.BINARY, payload)[-1] is payload


def test_each_frame_has_a_key_of_its_own():
    writer = FrameWriter(masking=True)
    keys = {bytes(writer.frame(Opcode.BINARY, b"")[0][2:6]) for _ in range(3000)}
    assert len(keys) > 2990  # 32 random bits: the odd collision is fair


# Close frames


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 4999])
def test_close_round_trip(code):
    assert parse_close(pack_close(code, "why é")) == (code, "why é")


def test_an_empty_close_is_1005():
    assert parse_close(b"") == (1005, "")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535])
def test_codes_that_may_not_stand_on_the_wire(code):
    with pytest.raises(FrameError) as caught:
        parse_close(struct.pack("!H", code))
    assert caught.value.code == 1002


def test_a_close_of_one_byte():
    with pytest.raises(FrameError) as caught:
        parse_close(b"\x03")
    assert caught.value.code == 1002


@pytest.mark.parametrize("reason", [b"\xff", b"ok\xc3", b"\xed\xa0\x80", b"\xc0\x80"])
def test_a_reason_that_is_not_utf8(reason):
    with pytest.raises(FrameError) as caught:
        parse_close(struct.pack("!H", 1000) + reason)
    assert caught.value.code == 1007


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_long_reason_is_cut_between_characters(reason):
    packed = pack_close(1000, reason)
    assert len(packed) <= 125
    code, kept = parse_close(packed)
    assert code == 1000
    assert reason.startswith(kept)
    assert kept == reason or len(packed) > 125 - 4


@given(st.binary(max_size=125))
def test_random_close_payloads_raise_only_frame_error(payload):
    code = 0
    try:
        parse_close(payload)
    except FrameError as error:
        code = error.code
    assert code in (0, 1002, 1007)
