"""The mask: our two ways and the definition of RFC 6455 section 5.3 give the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linksocks.wire.mask import apply_mask, translate_mask

keys = st.binary(min_size=4, max_size=4)
MASKS = [apply_mask, translate_mask]


@pytest.mark.parametrize("mask", MASKS)
@given(data=st.binary(max_size=300), key=keys)
def test_is_the_definition(mask, data, key):
    assert mask(data, key) == bytes(byte ^ key[i % 4] for i, byte in enumerate(data))


@pytest.mark.parametrize("mask", MASKS)
@given(data=st.binary(max_size=300), key=keys)
def test_twice_is_nothing(mask, data, key):
    assert mask(mask(data, key), key) == data


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_takes_every_kind_of_buffer_and_leaves_it(mask, kind):
    data = kind(bytearray(b"some payload"))
    assert mask(data, b"\x00\x01\x02\x03") == b"snof\x20qczlncg"
    assert bytes(data) == b"some payload"


def test_the_c_part_is_there():
    assert apply_mask.__module__ != "linksocks.wire.mask", "no C part: uploads are a hundred times slower"
