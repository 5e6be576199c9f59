"""The token table: exact hashes only, no token shown, and what goes with a removed one."""

from __future__ import annotations

import pytest

from linksocks.errors import ConfigError
from linksocks.server.grants import Grant
from linksocks.server.specs import Kind, TokenSpec
from linksocks.server.tokens import TokenTable
from linksocks.wire.auth import token_hash


def forward(token: str) -> TokenSpec:
    return TokenSpec(Kind.FORWARD, token)


@pytest.fixture
def table() -> TokenTable:
    table = TokenTable()
    table.add(forward("secret"), Grant())
    table.add(forward("grün"), Grant())
    return table


def test_the_hash_is_sha256():
    assert token_hash("anonymous") == "2f183a4e64493af3f377f745eda502363cd3e7ef6e4d266d444758de0a85fcc8"


@pytest.mark.parametrize("token", ["secret", "grün"])
def test_known(table, token):
    assert table.find(token_hash(token)).spec.token == token


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
    assert table.find(digest) is None
    assert TokenTable().find(digest) is None


@pytest.mark.parametrize(
    ("token", "reason"), [("", "reserved"), ("anonymous", "reserved"), ("secret", "token already exists")]
)
def test_tokens_that_can_not_be(table, token, reason):
    with pytest.raises(ConfigError, match=reason):
        table.add(forward(token), Grant())
    assert len(list(table)) == 2


def test_children_go_with_their_parent(table):
    parent = table.add(forward("parent"), Grant())
    child = table.add(forward("child"), Grant(), parent.grant)
    table.remove(parent)
    assert table.get(child.spec.fingerprint) is None
    assert len(list(table)) == 2
    table.remove(parent)
    table.remove(child)
    assert len(list(table)) == 2


def test_a_parent_outlives_its_child(table):
    parent = table.add(forward("parent"), Grant())
    table.remove(table.add(forward("child"), Grant(), parent.grant))
    assert table.get(parent.spec.fingerprint) is parent


def test_no_token_is_shown():
    table = TokenTable()
    table.add(forward("hunter2"), Grant())
    assert "hunter2" not in repr(vars(table))


def test_the_keys_of_two_tables_differ():
    one, two = TokenTable(), TokenTable()
    assert one._key("x") != two._key("x")


def test_children_are_counted():
    table = TokenTable()
    parent = table.add(forward("parent"), Grant())
    child = table.add(forward("child"), Grant(), parent.grant)
    assert (table.children(parent.grant), table.children(child.grant)) == (1, 0)
    table.remove(child)
    assert table.children(parent.grant) == 0
