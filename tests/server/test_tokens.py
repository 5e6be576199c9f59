"""The token table: exact hashes only, and no token kept."""

from __future__ import annotations

import pytest

from linksocks.server.tokens import TokenTable
from linksocks.wire.auth import token_hash


@pytest.fixture
def table() -> TokenTable:
    table = TokenTable()
    table.add_forward("secret")
    table.add_forward("grün")
    return table


def test_the_hash_is_sha256():
    assert token_hash("anonymous") == "2f183a4e64493af3f377f745eda502363cd3e7ef6e4d266d444758de0a85fcc8"


@pytest.mark.parametrize("token", ["secret", "grün"])
def test_known(table, token):
    assert table.is_forward(token_hash(token))


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "secret",
        token_hash("other"),
        token_hash("secret").upper(),
        token_hash("secret")[:-1],
        token_hash("secret") + " ",
        "é" * 64,
        "\0" * 64,
    ],
)
def test_unknown(table, digest):
    assert not table.is_forward(digest)
    assert not TokenTable().is_forward(digest)


@pytest.mark.parametrize("token", ["", "anonymous"])
def test_tokens_that_can_not_be(table, token):
    with pytest.raises(ValueError, match="reserved"):
        table.add_forward(token)
    assert not table.is_forward(token_hash(token))


def test_no_token_is_kept():
    table = TokenTable()
    table.add_forward("hunter2")
    assert "hunter2" not in repr(vars(table))


def test_the_keys_of_two_tables_differ():
    one, two = TokenTable(), TokenTable()
    assert one._key("x") != two._key("x")
