"""Which value wins, and what is said about the bad ones."""

from pathlib import Path
from typing import Any

import pytest

from linksocks.config import Config, resolve
from linksocks.config.effect import Way, no_effect
from linksocks.config.setting import ALL, Setting
from linksocks.config.settings import SETTINGS, command_named, settings_of
from linksocks.errors import ConfigError

SECRET = "Geheim-47110815"


def write(path: Path, text: str) -> str:
    path.write_text(text, "utf-8")
    return str(path)


def problems(command: str, flags: dict[str, str], environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        resolve(command, flags, environ or {})
    assert SECRET not in str(caught.value)
    return str(caught.value).splitlines()


@pytest.fixture
def ini(tmp_path: Path) -> str:
    return str(tmp_path / "test.ini")


class TestPrecedence:
    @pytest.mark.parametrize(
        ("flag", "variable", "key", "port"),
        [
            ("1", "2", "3", 1),
            ("", "2", "3", 2),
            ("", "", "3", 3),
            ("", "", "", 8765),
            ("1", "", "3", 1),
            ("1", "2", "", 1),
            ("", "2", "", 2),
        ],
    )
    def test_flag_environment_file_default(
        self, ini: str, flag: str, variable: str, key: str, port: int
    ) -> None:
        write(Path(ini), f"[server]\nws_port = {key}\n" if key else "[server]\n")
        flags = {"config": ini, "ws-port": flag} if flag else {"config": ini}
        config = resolve("server", flags, {"LINKSOCKS_WEBSOCKET_PORT": variable})
        assert config["ws-port"] == port

    def test_an_empty_variable_does_not_count(self) -> None:
        assert resolve("server", {}, {"LINKSOCKS_GRACE": ""})["grace"] == 10.0

    def test_a_switch_can_be_switched_off_above_a_file(self, ini: str) -> None:
        write(Path(ini), "[client]\nno-reconnect = yes\n")
        assert resolve("client", {"config": ini}, {})["no-reconnect"] is True
        assert resolve("client", {"config": ini}, {"LINKSOCKS_NO_RECONNECT": "off"})["no-reconnect"] is False

    def test_the_file_can_come_from_the_environment(self, ini: str) -> None:
        write(Path(ini), "[server]\ngrace = 1m\n")
        assert resolve("server", {}, {"LINKSOCKS_CONFIG": ini})["grace"] == 60.0

    def test_only_the_own_section_counts(self, ini: str) -> None:
        write(Path(ini), "[client]\ngrace = 1\n[server]\ngrace = 2\n")
        assert resolve("server", {"config": ini}, {})["grace"] == 2.0

    def test_a_variable_of_another_command_does_not_matter(self) -> None:
        resolve("server", {}, {"LINKSOCKS_URL": "nonsense://", "LINKSOCKS_THREADS": "7"})

    def test_a_bad_value_that_loses_does_not_matter(self) -> None:
        assert resolve("server", {"ws-port": "1"}, {"LINKSOCKS_WEBSOCKET_PORT": "x"})["ws-port"] == 1

    @pytest.mark.parametrize("command", ALL)
    def test_every_variable_that_has_an_effect_is_read(self, command: str) -> None:
        way_round = bool(command_named(command).reverse)
        bad = {
            s.variable: "\x07"
            for s in settings_of(command)
            if s.kind.argument not in ("FILE", "ITEM")
            and not no_effect(Way(command=command, reverse=way_round), s.name)
        }
        said = problems(command, {}, bad)
        assert {line.split(":")[0] for line in said} >= set(bad)


class TestFile:
    def test_all_mistakes_at_once_by_line(self, ini: str) -> None:
        write(
            Path(ini),
            f"grace = 1\n[server]\nws_prt = 1\nws-port = 70000\ntoken {SECRET}\n"
            f"token = a\ntoken = {SECRET}\n[clent]\nx = y\n"
            f"[client]\nurl = ftp://me:{SECRET}@h\nsocks_port = x\n",
        )
        said = problems("server", {"config": ini})
        assert [line.removeprefix(ini) for line in said] == [
            ":1: grace: stands above the first section; put it below [server] or [client]",
            ":3: ws_prt: [server] has no such setting; did you mean ws-port?",
            ":4: ws-port: expected a port from 1 to 65535, or 0 to let the system choose, not '70000'",
            ":5: expected [section] or key = value; begin a comment with #",
            ":7: token: is already on line 6; leave one of them out",
            ":8: [clent]: there is no such section; did you mean client?",
            ":11: url: expected a server's URL such as ws://127.0.0.1:8765 or wss://example.org",
            ":12: socks_port: expected a port from 1 to 65535, or 0 to let the system choose, not 'x'",
        ]

    def test_dashes_and_underscores_are_one_key(self, ini: str) -> None:
        write(Path(ini), "[server]\nws_port = 1\nWS-Port = 2\n")
        assert "already on line 2" in problems("server", {"config": ini})[0]

    def test_an_empty_value_is_an_error(self, ini: str) -> None:
        write(Path(ini), "[server]\ntoken =\n")
        assert problems("server", {"config": ini}) == [
            f"{ini}:2: token: is empty; give 1 to 255 bytes without control characters, or leave it out"
        ]

    def test_a_file_can_t_name_another(self, ini: str) -> None:
        write(Path(ini), "[server]\nconfig = x\n")
        assert "has no such setting" in problems("server", {"config": ini})[0]

    @pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "binary"])
    def test_unreadable(self, ini: str, content: bytes | None) -> None:
        if content is not None:
            Path(ini).write_bytes(content)
        assert problems("server", {"config": ini})[0].startswith(f"--config: can't read {ini!r}: ")

    def test_a_byte_order_mark_is_no_part_of_the_section(self, ini: str) -> None:
        write(Path(ini), "\ufeff[server]\r\ngrace = 1\r\n")
        assert resolve("server", {"config": ini}, {})["grace"] == 1.0


class TestSecrets:
    def token(self, config: Config) -> str:
        token: str = config["token"].reveal()
        return token

    @pytest.mark.parametrize("content", [f"{SECRET}\n", SECRET, f"{SECRET}\r\nsecond line\n"])
    def test_first_line_of_a_file(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "token").write_bytes(content.encode())
        assert self.token(resolve("client", {"token-file": str(tmp_path / "token")}, {})) == SECRET

    def test_a_file_in_the_ini_file_stands_beside_it(self, ini: str, tmp_path: Path) -> None:
        write(tmp_path / "word", SECRET)
        write(Path(ini), "[client]\nsocks-username = me\nsocks_password_file = word\n")
        assert resolve("client", {"config": ini}, {})["socks-password"].reveal() == SECRET

    def test_any_file_in_the_ini_file_stands_beside_it(self, ini: str, tmp_path: Path) -> None:
        write(Path(ini), "[client]\nca_file = own.pem\n")
        assert resolve("client", {"config": ini}, {})["ca-file"] == str(tmp_path / "own.pem")
        assert resolve("client", {"config": ini, "ca-file": "own.pem"}, {})["ca-file"] == "own.pem"

    def test_the_higher_level_wins_either_way(self, ini: str, tmp_path: Path) -> None:
        file = write(tmp_path / "token", "from-file")
        assert self.token(resolve("client", {"token": "flag"}, {"LINKSOCKS_TOKEN_FILE": file})) == "flag"
        assert (
            self.token(resolve("client", {"token-file": file}, {"LINKSOCKS_TOKEN": "variable"}))
            == "from-file"
        )
        write(Path(ini), "[client]\ntoken = ini\n")
        assert self.token(resolve("client", {"config": ini}, {"LINKSOCKS_TOKEN_FILE": file})) == "from-file"

    def test_both_at_one_level_is_an_error(self, tmp_path: Path) -> None:
        file = write(tmp_path / "token", SECRET)
        assert problems("client", {"token": SECRET, "token-file": file}) == [
            "--token-file: is given together with --token; leave one of them out"
        ]

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (None, "can't read"),
            (b"", "is empty; give"),
            (b"\n" + SECRET.encode(), "is empty; give"),
            (b"\xff" + SECRET.encode(), "it is not UTF-8 text"),
            (SECRET.encode() * 20, "expected 1 to 255 bytes"),
        ],
        ids=["missing", "empty", "empty line", "binary", "long"],
    )
    def test_a_bad_file(self, tmp_path: Path, content: bytes | None, said: str) -> None:
        file = tmp_path / "token"
        if content is not None:
            file.write_bytes(content)
        (line,) = problems("server", {"token-file": str(file)})
        assert line.startswith("--token-file: ")
        assert said in line
        assert str(file) in line

    def test_a_bad_secret_is_not_shown(self) -> None:
        assert problems("client", {"token": SECRET + "\x07"}) == [
            "--token: expected 1 to 255 bytes without control characters"
        ]

    @pytest.mark.parametrize("alone", ["socks-username", "socks-password"])
    def test_half_a_login_is_an_error(self, alone: str) -> None:
        (line,) = problems("client", {alone: "x"})
        assert line.startswith(f"--{alone}: has no effect without --socks-")


def later_cases() -> list[Any]:
    return [
        pytest.param(command, setting, id=f"{command}-{setting.name}")
        for setting in SETTINGS
        for command in setting.later
    ]


def other_than_default(setting: Setting) -> str:
    """Some good text that is not the default."""
    for text in ("1", "2", "7s", "yes", "auto", "always", "refuse", "somewhere"):
        try:
            if setting.kind.parse(text) != setting.default_value:
                return text
        except ValueError:
            continue
    raise AssertionError(f"no value for {setting.name}")


class TestNotAvailableYet:
    @pytest.mark.parametrize(("command", "setting"), later_cases())
    @pytest.mark.parametrize("level", ["flag", "variable", "key"])
    def test_is_refused_wherever_it_is_given(
        self, ini: str, command: str, setting: Setting, level: str
    ) -> None:
        text = other_than_default(setting)
        write(Path(ini), f"[{command}]\n{setting.name} = {text}\n" if level == "key" else "")
        flags = {"config": ini} | ({setting.name: text} if level == "flag" else {})
        said = problems(command, flags, {setting.variable: text} if level == "variable" else {})
        where = {"flag": setting.flag, "variable": setting.variable, "key": f"{ini}:2: {setting.name}"}[level]
        assert any(line.startswith(f"{where}: is not available yet") for line in said)

    @pytest.mark.parametrize(("command", "setting"), later_cases())
    def test_the_default_asks_for_nothing(self, command: str, setting: Setting) -> None:
        if setting.default:
            resolve(command, {setting.name: setting.default}, {})


class TestNoEffect:
    """What would do nothing the way round that a command runs."""

    IDLE = [
        ("server", {}, "socks-port", "without --reverse"),
        ("server", {}, "connector-autonomy", "without --reverse"),
        ("server", {}, "fast-open", "without --reverse"),
        ("client", {}, "connector-token", "without --reverse"),
        ("client", {"reverse": "1"}, "socks-port", "with --reverse"),
        ("client", {"reverse": "1"}, "socks-no-wait", "with --reverse"),
        ("provider", {}, "socks-host", "on a provider"),
        ("provider", {}, "socks-password-file", "on a provider"),
        ("provider", {}, "fast-open", "on a provider"),
        ("connector", {}, "connector-token", "on a connector"),
        ("connector", {}, "connector-token-file", "on a connector"),
        ("connector", {}, "reverse", "on a connector"),
        ("provider", {}, "reverse", "on a provider"),
        ("server", {"reverse": "1"}, "connector-wait-provider", "without --connector-token or"),
        *(
            ("server", {"reverse": "1", "connector-autonomy": "1"}, name, "with --connector-autonomy")
            for name in (
                "socks-host",
                "socks-port",
                "socks-username",
                "socks-nowait",
                "port-pool",
                "fast-open",
            )
        ),
    ]

    @pytest.mark.parametrize(("command", "flags", "name", "why"), IDLE)
    def test_a_flag_and_a_key_are_mistakes(
        self, ini: str, command: str, flags: dict[str, str], name: str, why: str
    ) -> None:
        (line,) = problems(command, {**flags, name: "1"})
        assert line.startswith(f"--{name}: has no effect {why}")
        write(Path(ini), f"[{command}]\n{name} = 1\n")
        (line,) = problems(command, {**flags, "config": ini})
        assert line.startswith(f"{ini}:2: {name}: has no effect {why}")

    @pytest.mark.parametrize(("command", "flags", "name", "why"), IDLE)
    def test_a_variable_may_be_meant_for_another_command(
        self, command: str, flags: dict[str, str], name: str, why: str
    ) -> None:
        setting = next(setting for setting in settings_of(command) if setting.name == name)
        config = resolve(command, flags, {setting.variable: "\x07"})
        assert config[name] == resolve(command, flags, {})[name]

    def test_with_its_switch_it_has_one(self) -> None:
        assert resolve("server", {"socks-port": "1080", "reverse": "1"}, {})["socks-port"] == 1080
        assert resolve("client", {"connector-token": "x", "reverse": "1"}, {})["connector-token"]
        assert resolve("client", {"connector-token": "x"}, {"LINKSOCKS_REVERSE": "1"})["connector-token"]

    @pytest.mark.parametrize(
        ("command", "way_round"),
        [("server", False), ("client", False), ("provider", True), ("connector", False)],
    )
    def test_which_way_round_a_command_runs(self, ini: str, command: str, way_round: bool) -> None:
        assert resolve(command, {}, {})["reverse"] is way_round
        if command in ("provider", "connector"):
            assert resolve(command, {}, {"LINKSOCKS_REVERSE": str(not way_round)})["reverse"] is way_round
        else:
            assert resolve(command, {"reverse": "1"}, {})["reverse"] is True

    @pytest.mark.parametrize("switch", ["connector-autonomy", "connector-token", "connector-token-file"])
    def test_where_connectors_come_they_may_wait(self, tmp_path: Path, switch: str) -> None:
        given = write(tmp_path / "token", "x") if switch.endswith("file") else "1"
        flags = {"reverse": "1", switch: given, "connector-wait-provider": "3s"}
        assert resolve("server", flags, {})["connector-wait-provider"] == 3.0

    def test_autonomy_that_is_switched_off_has_a_port(self) -> None:
        flags = {"reverse": "1", "connector-autonomy": "no", "socks-port": "1080"}
        assert resolve("server", flags, {})["socks-port"] == 1080

    def test_with_tokens_of_any_kind_there_may_be_ports_and_connectors(self) -> None:
        flags = {"reverse": "1", "connector-autonomy": "1", "token": "x", "api-key": "k", "port-pool": "5-6"}
        assert resolve("server", flags, {})["port-pool"] == (5, 6)
        assert resolve("server", {"api-key": "k", "connector-wait-provider": "3s"}, {})


def test_anonymous_is_no_connector_token() -> None:
    (line,) = problems("provider", {"connector-token": "anonymous"})
    assert line.startswith("--connector-token: expected 1 to 255 bytes")
    assert "`anonymous`" in line
    assert resolve("client", {"token": "anonymous"}, {})["token"]


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("socks_port", "9870", "1080"),
        ("fast_open", "no", "yes"),
        ("port_pool", "1024-10240", "2000-3000"),
        ("connector_wait_provider", "5s", "6s"),
    ],
)
def test_a_key_may_say_the_default_where_it_has_no_effect(
    tmp_path: Path, key: str, good: str, bad: str
) -> None:
    """As in conf/linksocks.ini, uncommented."""
    file = tmp_path / "x.ini"
    file.write_text(f"[server]\ntoken = x\n{key} = {good}\n")
    resolve("server", {"config": str(file)}, {})
    file.write_text(f"[server]\ntoken = x\n{key} = {bad}\n")
    with pytest.raises(ConfigError, match="has no effect"):
        resolve("server", {"config": str(file)}, {})
