"""The help texts are the grammar: docopt reads the table out of them, and mistakes are named in one line."""

import re

import pytest

from linksocks.config.setting import Setting
from linksocks.config.settings import COMMANDS, Command, command_named, settings_of
from linksocks.errors import ConfigError
from linksocks.usage import help_text, overview, parse

SERVER = command_named("server")
EVERY_FLAG = [
    pytest.param(command, setting, id=f"{command.name}-{setting.name}")
    for command in COMMANDS
    for setting in settings_of(command.name)
]


@pytest.mark.parametrize(("command", "setting"), EVERY_FLAG)
def test_every_flag_parses_in_every_form(command: Command, setting: Setting) -> None:
    if not setting.kind.argument:
        forms = [[setting.flag]] + ([[f"-{setting.short}"]] if setting.short else [])
        expected = "1"
    else:
        forms = [[f"{setting.flag}=-x y"], [setting.flag, "-x y"]]
        forms += [[f"-{setting.short}-x y"], [f"-{setting.short}", "-x y"]] if setting.short else []
        expected = "-x y"
    for argv in forms:
        assert parse(command, argv) == {setting.name: expected}


@pytest.mark.parametrize(("command", "setting"), EVERY_FLAG)
def test_the_help_text_tells_flag_variable_and_default(command: Command, setting: Setting) -> None:
    text = re.sub(r"\s+", " ", help_text(command))
    entry = text[text.index(f" {setting.flag}{'=' if setting.kind.argument else ' '}") :]
    entry = entry[: entry.index(setting.variable) + len(setting.variable)]
    assert not setting.short or f"-{setting.short}, {setting.flag}" in text
    assert not setting.default or f"(default: {setting.default})" in entry


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_help_text_is_fit_to_read_and_to_parse(command: Command) -> None:
    text = help_text(command)
    assert max(map(len, text.splitlines())) <= 110
    assert "seen by every user of this machine" in text
    assert "--token-file" in text
    # docopt takes every line that begins with a dash for the declaration of an option.
    declared = re.findall(r"^\s*(?:-\w, +)?--([\w-]+)", text, re.MULTILINE)
    assert sorted(declared) == sorted(["help", *(setting.name for setting in settings_of(command.name))])
    assert len(re.findall(r"^\s*-", text, re.MULTILINE)) == len(declared)
    assert command.name in overview()


@pytest.mark.parametrize("command", ["provider", "connector"])
def test_the_help_text_lists_reverse_where_it_is_refused(command: str) -> None:
    options, _, idle = help_text(command_named(command)).partition(
        f"\nOf no effect on a {command}, and refused:"
    )
    assert "--reverse " in idle
    assert "--reverse " not in options


@pytest.mark.parametrize(("command", "setting"), EVERY_FLAG)
def test_a_flag_that_is_given_twice_is_repeated_or_a_mistake(command: Command, setting: Setting) -> None:
    """docopt would print its usage, or take the later one."""
    value = ["x"] if setting.kind.argument else []
    for first in filter(None, (setting.flag, setting.short and f"-{setting.short}")):
        argv = [first, *value, setting.flag, *value]
        if setting.kind.repeats:
            assert parse(command, argv) == {setting.name: "x\nx"}
        elif setting.name == "debug":
            assert parse(command, argv) == {"debug": "2"}
        else:
            with pytest.raises(ConfigError, match=f"^{setting.flag}: is given too often; "):
                parse(command, argv)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_all_flags_that_may_be_repeated_together(command: Command) -> None:
    repeated = [setting for setting in settings_of(command.name) if setting.kind.repeats]
    argv = [word for setting in repeated * 3 for word in (setting.flag, "x")]
    assert parse(command, [*argv, "-d", "-d"]) == {s.name: "x\nx\nx" for s in repeated} | {"debug": "2"}


@pytest.mark.parametrize(
    ("argv", "flags"),
    [
        ([], {}),
        (["-d"], {"debug": "1"}),
        (["-dd"], {"debug": "2"}),
        (["-d", "--debug"], {"debug": "2"}),
        (["-ddt", "x"], {"debug": "2", "token": "x"}),
        (["--token="], {"token": ""}),
        (["--access-rule=a:1", "--access-rule", "b:2"], {"access-rule": "a:1\nb:2"}),
    ],
)
def test_what_was_given(argv: list[str], flags: dict[str, str]) -> None:
    assert parse(SERVER, argv) == flags


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--tokn=SECRET"], "--tokn: server has no such flag; did you mean --token?"),
        (["--ws-por", "1"], "--ws-por: server has no such flag; did you mean --ws-port?"),
        (["--url=x"], "--url: server has no such flag"),
        (["-Z"], "-Z: server has no such flag"),
        (["-dZSECRET"], "-Z: server has no such flag"),
        (["--ws-port"], "--ws-port: needs a port from 1 to 65535"),
        (["-t", "--"], "-t: needs 1 to 255 bytes"),
        (["--reverse=yes"], "--reverse: takes no value"),
        (["-P", "1", "--ws-port=2"], "--ws-port: is given too often"),
        (["-ddd"], "-d: is given too often"),
        (["-t", "two", "SECRET"], "argument 3 of server belongs to no flag"),
        (["--", "-t", "SECRET"], "argument 1 of server belongs to no flag"),
        (["-"], "argument 1 of server belongs to no flag"),
        ([""], "argument 1 of server belongs to no flag"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_named_in_one_line(argv: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(SERVER, argv)
    line = str(caught.value)
    assert line.startswith(said)
    assert "\n" not in line
    assert "SECRET" not in line
