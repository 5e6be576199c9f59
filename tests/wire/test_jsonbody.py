"""JSON bodies: what of them the golden cases of test_codec.py can't show, as it would be too long."""

from __future__ import annotations

import json

import pytest

from linksocks.errors import MessageError
from linksocks.wire import messages as m
from linksocks.wire.codec import pack, parse
from linksocks.wire.jsonbody import MAX_JSON, SHAPES


def packed(body: bytes, kind: int = m.Log.type) -> bytes:
    return bytes((1, kind)) + len(body).to_bytes(4) + body


def test_a_body_up_to_the_limit() -> None:
    body = b'{"msg":""}'
    text = "x" * (MAX_JSON - len(body))
    assert parse(packed(body.replace(b'""', f'"{text}"'.encode()))) == m.Log("", text)


def test_a_body_over_the_limit() -> None:
    with pytest.raises(MessageError, match=f"Log: {MAX_JSON + 1} bytes of JSON"):
        parse(packed(b"{}" + b" " * (MAX_JSON - 1)))


@pytest.mark.parametrize("front", [b"[", b'{"msg":', b'{"msg":['])
def test_depth_bombs(front: bytes) -> None:
    with pytest.raises(MessageError):
        parse(packed(front * 30_000))


def test_null_means_the_zero_value() -> None:
    for cls in SHAPES:
        if hasattr(cls, "type"):
            nulls = json.dumps({key.name: None for key in SHAPES[cls]}).encode()
            assert parse(packed(nulls, cls.type)) == parse(packed(b"{}", cls.type))


def test_keys_are_in_lower_case_as_lookups_are() -> None:
    assert all(key.name == key.name.lower() for shape in SHAPES.values() for key in shape)


def test_no_key_is_left_out_but_an_optional_zero() -> None:
    assert pack(m.ChannelMigrateAck(bytes(16), False)).endswith(b'"success":false}')
