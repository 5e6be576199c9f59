"""A secret does not show itself, and a URL does not show its credentials."""

import copy
import pickle
import traceback

import pytest

from linksocks.config.secret import Secret, redact_url

TOKEN = "3f9c-not-to-be-seen"


def test_only_reveal_shows_it() -> None:
    secret = Secret(TOKEN)
    assert secret.reveal() == TOKEN
    shown = f"{secret} {secret!r} {[secret]}"
    assert TOKEN not in shown


def test_a_traceback_does_not_show_it() -> None:
    try:
        raise ValueError("refused", Secret(TOKEN))
    except ValueError:
        assert TOKEN not in traceback.format_exc()


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.deepcopy], ids=["pickle", "deepcopy"])
def test_it_is_not_serialised(duplicate: object) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        duplicate(Secret(TOKEN))  # type: ignore[operator]


def test_an_empty_one_is_false() -> None:
    assert not Secret("")
    assert Secret("x")


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("ws://h/socket?token=abc&reverse=false", "ws://h/socket?token=***&reverse=false"),
        ("ws://h/socket?instance=1&token=abc", "ws://h/socket?instance=1&token=***"),
        ("ws://h/socket?TOKEN=abc#end", "ws://h/socket?TOKEN=***#end"),
        ('"GET /socket?token=abc HTTP/1.1" 101', '"GET /socket?token=*** HTTP/1.1" 101'),
        ("wss://user:word@h:1/x and ws://a@b", "wss://***@h:1/x and ws://***@b"),
        ("wss://us@er:wo@rd@h/", "wss://***@h/"),
        ("socks5://h:1080 /x?api_key=k&api-key=k", "socks5://h:1080 /x?api_key=***&api-key=***"),
        ("http://h/?notoken=1 at you@example.org", "http://h/?notoken=1 at you@example.org"),
    ],
)
def test_redact_url(text: str, redacted: str) -> None:
    assert redact_url(text) == redacted
