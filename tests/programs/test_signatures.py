"""Whatever PyPI's linksocks 1.10.3 has by name, ours has: with the same parameters, in their order, and the same
defaults. What is ours alone must be given by keyword, and need not be given."""

from __future__ import annotations

import json
from typing import Final, TypeAlias

import pytest

from tests.programs.test_programs import assert_runs, run

Signatures: TypeAlias = dict[str, dict[str, list[str]]]

GRACE: Final = {"grace": ["POSITIONAL_OR_KEYWORD", "0"]}
TOKEN: Final = {
    "connector_token": ["POSITIONAL_OR_KEYWORD", "None"]
}  # makes one, as the methods of Server do

DIFFERENCES: Final = {
    "Client.close": GRACE,
    "Client.async_close": GRACE,
    "Server.close": GRACE,
    "Server.async_close": GRACE,
    "Client.add_connector": TOKEN,
    "Client.async_add_connector": TOKEN,
}
"""Parameters of ours that are not as theirs: each call that works there works here as well."""


@pytest.fixture(scope="module")
def theirs() -> Signatures:
    return signatures("real")


def signatures(package: str) -> Signatures:
    with run(package, "signatures") as process:
        assert_runs(process)
        found: Signatures = json.loads(process.out[0])
        return found


def test_every_name_and_parameter_is_here(theirs: Signatures) -> None:
    ours = signatures("ours")
    assert theirs.keys() - ours.keys() == set()
    for name, parameters in theirs.items():
        expected = parameters | DIFFERENCES.get(name, {})
        same = [(each, how) for each, how in ours[name].items() if each in expected]
        assert same == list(expected.items()), name
        for each in ours[name].keys() - expected.keys():
            kind, default = ours[name][each]
            assert kind == "KEYWORD_ONLY", f"{name}: {each}"
            assert default != "required", f"{name}: {each}"


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_is_one(theirs: Signatures, name: str) -> None:
    assert theirs[name] | DIFFERENCES[name] != theirs[name]
