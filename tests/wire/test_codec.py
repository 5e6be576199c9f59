"""The codec: golden bytes, round trips, and that nothing but MessageError comes out of foreign bytes.

A golden case is `fixtures/messages/NAME.hex`, bytes in hex with comments, and `NAME.json`, what they mean: a
message with its fields (bytes in hex) or a part of the error. A `canonical` one packs back to the same bytes.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linksocks.errors import MessageError
from linksocks.wire import messages as m
from linksocks.wire.codec import DATA_HEADER_SIZE, MAX_MESSAGE, VERSION, data_header, pack, parse, version_of
from tests.wire import strategies

FIXTURES = Path(__file__).parent / "fixtures" / "messages"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.hex"))

CHANNEL = bytes(range(16))


def golden(name: str) -> tuple[bytes, dict[str, Any]]:
    lines = (FIXTURES / f"{name}.hex").read_text().splitlines()
    raw = bytes.fromhex(" ".join(line.partition("#")[0] for line in lines))
    return raw, json.loads((FIXTURES / f"{name}.json").read_text())


def plain(value: Any) -> Any:
    """A field as JSON writes it."""
    if isinstance(value, bytes | memoryview):
        return value.hex()
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def flat(message: m.Message) -> m.Message:
    """The message with its payload copied, so that messages compare whatever they were parsed from."""
    return (
        dataclasses.replace(message, payload=bytes(message.payload))
        if isinstance(message, m.Data)
        else message
    )


# Golden bytes


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_parses_golden_bytes(name: str, kind: type) -> None:
    raw, expected = golden(name)
    if "error" in expected:
        with pytest.raises(MessageError) as caught:
            parse(kind(raw))
        assert expected["error"] in caught.value.reason
    else:
        message = parse(kind(raw))
        assert (type(message).__name__, plain(message)) == (expected["message"], expected["fields"])


@pytest.mark.parametrize("name", [name for name in NAMES if golden(name)[1].get("canonical")])
def test_packs_golden_bytes(name: str) -> None:
    raw, _ = golden(name)
    assert pack(parse(raw), version_of(raw)).hex() == raw.hex()


def test_every_type_has_a_canonical_golden_case() -> None:
    cases = [golden(name)[1] for name in NAMES]
    seen = {case["message"] for case in cases if case.get("canonical")}
    assert seen == {cls.__name__ for cls in get_args(m.Message)}


def test_fixtures_come_in_pairs() -> None:
    assert NAMES
    assert sorted(path.stem for path in FIXTURES.glob("*.json")) == NAMES


# Round trips


@settings(max_examples=1500)
@given(strategies.messages, strategies.versions)
def test_round_trip(message: m.Message, version: int) -> None:
    raw = pack(message, version)
    assert version_of(raw) == version
    assert flat(parse(raw)) == message
    assert pack(parse(raw), version) == raw


@given(strategies.ids, st.binary(), strategies.versions)
def test_data_header_is_the_head_of_a_packed_message(channel: bytes, payload: bytes, version: int) -> None:
    assert data_header(version, channel, len(payload)) + payload == pack(m.Data(channel, payload), version)


def test_data_header_keeps_the_phase_of_the_mask() -> None:
    assert len(data_header(VERSION, CHANNEL, 0)) == DATA_HEADER_SIZE
    assert DATA_HEADER_SIZE % 4 == 0


@pytest.mark.parametrize("transport", m.Transport)
def test_a_payload_is_a_view_not_a_copy(transport: m.Transport) -> None:
    raw = bytearray(pack(m.Data(CHANNEL, b"hello", transport)))
    message = parse(raw)
    assert isinstance(message, m.Data)
    raw[24:29] = b"HELLO"
    assert message.payload == b"HELLO"


def test_we_speak_version_1_until_told_otherwise() -> None:
    assert pack(m.EndOfStream(CHANNEL))[0] == 0x01


# What does not fit


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a" * 255, "a" * 255),
        ("a" * 256, "a" * 255),
        ("a" + "ü" * 200, "a" + "ü" * 127),
        ("ü" * 200, "ü" * 127),
        ("😀" * 64, "😀" * 63),
        ("a\ud800", "a?"),
    ],
)
def test_error_texts_are_cut_at_a_character(text: str, kept: str) -> None:
    for message in (
        m.AuthResponse(False, text),
        m.ConnectResponse(False, CHANNEL, text),
        m.Disconnect(CHANNEL, text),
        m.ConnectorResponse(CHANNEL, False, text),
    ):
        parsed = parse(pack(message))
        assert parsed == dataclasses.replace(message, error=kept)


@pytest.mark.parametrize(
    "message",
    [
        m.Auth("ü" * 128, False, CHANNEL),
        m.Auth("t", False, CHANNEL[:15]),
        m.AuthResponse(True, token="t" * 256),
        m.Connect(CHANNEL, "h" * 256, 80),
        m.Connect(CHANNEL, "\ud800", 80),
        m.Connect(CHANNEL, "h", 65536),
        m.Connect(CHANNEL, "h", -1),
        m.Connect(CHANNEL + b"x", "h", 80),
        m.Connect(CHANNEL, "h", 80, None),
        m.Data(CHANNEL, b"", None),
        m.Data(CHANNEL[:15], b""),
        m.Data(CHANNEL, b"", sequence=2**64),
        m.Data(CHANNEL, b"", m.Transport.UDP, target=("h" * 256, 1)),
        m.Connector(CHANNEL, "t" * 256, m.Operation.ADD),
        m.Consumed(CHANNEL, -1, 0),
        m.Consumed(CHANNEL, 0, 2**32),
        m.ChannelDataAck(CHANNEL, -1),
        m.ChannelBind(CHANNEL[:15], "tcp"),
    ],
    ids=repr,
)
def test_our_own_bugs_are_value_errors(message: m.Message) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - one kind, many causes
        pack(message)


def test_a_long_name_is_named_as_such() -> None:
    with pytest.raises(ValueError, match="at most 255 bytes, not 256"):
        pack(m.Connect(CHANNEL, "ü" * 128, 80))


# Compression


def gzipped(plain: bytes) -> bytes:
    body = gzip.compress(plain)
    return pack(m.Data(CHANNEL, body)).replace(
        b"\0" + len(body).to_bytes(4), b"\1" + len(body).to_bytes(4), 1
    )


def test_gzip_up_to_the_limit() -> None:
    message = parse(gzipped(bytes(MAX_MESSAGE)))
    assert isinstance(message, m.Data)
    assert len(message.payload) == MAX_MESSAGE


def test_gzip_up_to_a_limit_of_the_callers() -> None:
    assert parse(gzipped(bytes(1000)), 1000) == parse(gzipped(bytes(1000)))
    with pytest.raises(MessageError, match="gzip data of more than 999 bytes"):
        parse(gzipped(bytes(1000)), 999)


def test_gzip_bomb() -> None:
    with pytest.raises(MessageError, match="gzip data of more than 33554432 bytes"):
        parse(gzipped(bytes(MAX_MESSAGE + 1)))


# Foreign bytes


def parse_or_refuse(raw: bytes) -> None:
    """Anything that is not a MessageError fails the test."""
    try:
        message = parse(raw)
    except MessageError:
        return
    assert version_of(raw) <= 0x0F
    assert repr(message)


TYPES = st.one_of(st.integers(0, 0x11), st.integers(0x40, 0x43), st.integers(0, 255))


@settings(max_examples=2000)
@given(st.integers(0, 0x11), TYPES, st.binary(max_size=100))
@example(0, 4, b"")
def test_random_bytes(version: int, kind: int, body: bytes) -> None:
    parse_or_refuse(bytes((version, kind)) + body)


@settings(max_examples=500)
@given(st.binary(max_size=4))
def test_random_stumps(raw: bytes) -> None:
    parse_or_refuse(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ["level", "msg", "count", "session_id", "candidates", "metrics", "public_key", "channel_id", "success"]
)


@settings(max_examples=400)
@given(st.integers(0x09, 0x11), st.dictionaries(KEYS, JSON) | JSON)
def test_random_json(kind: int, value: Any) -> None:
    body = json.dumps(value).encode()
    parse_or_refuse(bytes((1, kind)) + len(body).to_bytes(4) + body)


@settings(max_examples=2000)
@given(st.sampled_from(NAMES), st.data())
def test_mutated_golden_bytes(name: str, data: st.DataObject) -> None:
    raw = bytearray(golden(name)[0])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    parse_or_refuse(bytes(raw))


@settings(max_examples=1000)
@given(strategies.messages, st.data())
def test_every_cut_of_a_message(message: m.Message, data: st.DataObject) -> None:
    raw = pack(message)
    parse_or_refuse(raw[: data.draw(st.integers(0, len(raw)))])
