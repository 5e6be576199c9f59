"""The message classes: what they show, and that each type has exactly one."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from linksocks.wire import messages as m

CHANNEL = bytes(range(16))
CLASSES = [cls for cls in get_args(m.Message) if cls is not m.Unknown]


@pytest.mark.parametrize(
    "message",
    [
        m.Auth("hidden", False, CHANNEL),
        m.AuthResponse(True, token="hidden"),
        m.Connector(CHANNEL, "hidden", m.Operation.ADD),
        m.ConnectorResponse(CHANNEL, True, token="hidden"),
        m.Data(CHANNEL, b"hidden"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_secrets_never_show(message: m.Message) -> None:
    assert "hidden" not in repr(message)


def test_types_are_those_of_the_protocol() -> None:
    assert sorted(cls.type for cls in CLASSES) == [*range(0x01, 0x12), *range(0x41, 0x44)]


@pytest.mark.parametrize("cls", [*CLASSES, m.Unknown, m.Candidate, m.Metrics], ids=lambda cls: cls.__name__)
def test_frozen_and_without_a_dict(cls: type) -> None:
    field = next((field.name for field in dataclasses.fields(cls)), "new")
    message = cls(*[None] * sum(f.default is dataclasses.MISSING for f in dataclasses.fields(cls)))
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        setattr(message, field, None)
    assert not hasattr(message, "__dict__")
