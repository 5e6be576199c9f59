"""The error tree: what `except` finds, and what is left of an error that goes to another process."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from functools import partial

import pytest

from linksocks import errors
from linksocks.errors import (
    Cause,
    DialError,
    FrameError,
    LinkClosed,
    LinkSocksError,
    RequestError,
    TargetError,
)

TREE = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, LinkSocksError) and kind is not TargetError
]


def one_of(kind: type[LinkSocksError]) -> LinkSocksError:
    if issubclass(kind, DialError):
        return kind(Cause.HOST_UNREACHABLE, "a reason")
    if issubclass(kind, (FrameError, LinkClosed)):
        return kind(1002, "a reason")
    if issubclass(kind, RequestError):
        return kind("a reason", b"\x05\xff")
    return kind("a reason")


ALL = [*map(one_of, TREE), *(TargetError(cause, "a reason") for cause in Cause)]


def pickled(error: LinkSocksError, protocol: int) -> LinkSocksError:
    again: LinkSocksError = pickle.loads(pickle.dumps(error, protocol))
    return again


WAYS: list[Callable[[LinkSocksError], LinkSocksError]] = [
    copy.copy,
    copy.deepcopy,
    *(partial(pickled, protocol=protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", ALL, ids=repr)
def test_it_survives_with_all_that_it_has(
    error: LinkSocksError, way: Callable[[LinkSocksError], LinkSocksError]
) -> None:
    error.__dict__["task"] = "a word of the program"
    again = way(error)
    assert again is not error
    assert type(again) is type(error)
    assert (str(again), repr(again)) == (str(error), repr(error))
    assert (again.args, again.__dict__) == (error.args, error.__dict__)
    if isinstance(error, OSError) and isinstance(again, OSError):
        assert (again.errno, again.strerror) == (error.errno, error.strerror)


@pytest.mark.parametrize("error", ALL, ids=repr)
def test_its_text_is_the_reason(error: LinkSocksError) -> None:
    assert str(error).endswith("a reason")


@pytest.mark.parametrize("cause", Cause)
def test_a_target_that_was_not_reached_is_what_python_makes_of_its_errno(cause: Cause) -> None:
    error = TargetError(cause, "a reason")
    assert isinstance(error, type(OSError(error.errno, "")))
    assert type(error).__name__ == "TargetError"
