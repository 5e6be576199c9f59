"""Sections and entries of the INI file: what each is taken for, and what is said of the bad ones."""

import os
from pathlib import Path

import pytest

from linksocks.config import Settings, resolve_all
from linksocks.errors import ConfigError

SECRET = "Geheim-47110815"


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    return tmp_path / "test.ini"


def settings(ini: Path, text: str, command: str = "run", environ: dict[str, str] | None = None) -> Settings:
    ini.touch(0o600)
    ini.write_text(text)
    return resolve_all(command, {"config": str(ini)}, environ or {})


def problems(ini: Path, text: str, command: str = "run") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings(ini, text, command)
    assert SECRET not in str(caught.value)
    return [line.removeprefix(str(ini)) for line in str(caught.value).splitlines()]


MANY = """
[server]
ws_port = 1
[token:alice]
token = a
[token:bob]
type = reverse
token = b
[client]
socks_port = 1
[client:two]
socks_port = 2
[provider:three]
grace = 3
"""


class TestSections:
    def test_run_takes_them_all(self, ini: Path) -> None:
        found = settings(ini, MANY)
        assert list(found.roles) == ["server", "client", "client:two", "provider:three"]
        assert list(found.tokens) == ["alice", "bob"]
        assert found.roles["client:two"]["socks-port"] == 2
        assert found.tokens["bob"]["type"] == "reverse"

    def test_a_command_takes_its_own_and_a_server_all_tokens(self, ini: Path) -> None:
        found = settings(ini, MANY, "client")
        assert (list(found.roles), list(found.tokens)) == (["client"], [])
        found = settings(ini, MANY, "server")
        assert (list(found.roles), list(found.tokens)) == (["server"], ["alice", "bob"])

    def test_a_command_does_not_leave_named_ones_out_without_a_word(self, ini: Path) -> None:
        (line,) = problems(ini, "[client:two]\n", "client")
        assert line == ":1: [client:two]: client runs [client] only; linksocks run runs this one"

    def test_what_run_is_told_holds_for_all(self, ini: Path) -> None:
        found = settings(ini, MANY, environ={"LINKSOCKS_GRACE": "7", "LINKSOCKS_SOCKS_PORT": "7"})
        assert [config["grace"] for config in found.roles.values()] == [7, 7, 7, 7]
        assert found.roles["client"]["socks-port"] == 1

    @pytest.mark.parametrize(
        ("header", "said"),
        [
            ("token", "needs a name: [token:NAME]"),
            ("token:", "needs a name: [token:NAME]"),
            ("server:x", "takes no name, as there is one only: write [server]"),
            ("client:a b", "a name is 1 to 64 letters"),
            ("client:-a", "a name is 1 to 64 letters"),
            ("client:" + "a" * 65, "a name is 1 to 64 letters"),
            ("clinet:x", "there is no such section; did you mean client?"),
            ("run", "there is no such section"),
            ("client : home", "is already on line 1"),
        ],
    )
    def test_a_bad_header_is_named_once(self, ini: Path, header: str, said: str) -> None:
        (line,) = problems(ini, f"[client:home]\n[{header}]\nnonsense = {SECRET}\n")
        assert line.startswith(f":2: [{header}]: {said}")

    def test_a_section_stands_once(self, ini: Path) -> None:
        (line,) = problems(ini, "[client]\ngrace = 1\n[client]\ngrace = 2\n")
        assert line == ":3: [client]: is already on line 1; put the two together"

    def test_run_needs_something_to_run(self, ini: Path) -> None:
        assert problems(ini, "# nothing\n") == [": has nothing to run; give it a section such as [server]"]
        with pytest.raises(ConfigError, match="run needs --config FILE"):
            resolve_all("run", {}, {})

    def test_tokens_need_a_server(self, ini: Path) -> None:
        (line,) = problems(ini, "[client]\n[token:a]\ntoken = a\n")
        assert line == ":2: [token:a]: there is no [server] that could accept it"


class TestEntries:
    @pytest.mark.parametrize("value", [f'"{SECRET}"', f"'{SECRET}'", "''"])
    def test_quotes_are_a_mistake(self, ini: Path, value: str) -> None:
        (line,) = problems(ini, f"[client]\ntoken = {value}\n")
        assert line == (
            ":2: token: the quotes would be part of the value; leave them out; if they belong to it, use token-file"
        )

    @pytest.mark.parametrize("value", [f"{SECRET} ; mine", f"{SECRET} # mine", f"{SECRET} #"])
    def test_a_comment_behind_a_value_is_a_mistake(self, ini: Path, value: str) -> None:
        (line,) = problems(ini, f"[client]\ntoken = {value}\n")
        assert line.startswith(":2: token: a comment needs a line of its own")

    @pytest.mark.parametrize("value", ['a"b', "a#b", "a;b", "it's", "#a", '"a', "Cookie: a=b; c=d"])
    def test_what_only_looks_like_it_is_none(self, ini: Path, value: str) -> None:
        assert settings(ini, f"[client]\nuser_agent = {value}\n").roles["client"]["user-agent"] == value


TOKENS = "[server]\n[token:r]\ntype = reverse\ntoken = r\nport = 1001\n[token:f]\ntoken = f\n[token:x]\n"


class TestTokens:
    @pytest.mark.parametrize(
        ("section", "said"),
        [
            ("port = 1", ":9: port: has no effect with type forward; it is for reverse"),
            ("type = autonomy\nusername = me", ":10: username: has no effect with type autonomy"),
            ("reverse_token = r", ":9: reverse_token: has no effect with type forward; it is for connector"),
            ("type = connector", ":8: [token:x]: needs reverse_token, the name of"),
            ("type = connector\nreverse_token = rr", ":10: reverse_token: there is no section [token:rr]"),
            (
                "type = connector\nreverse_token = f",
                ":10: reverse_token: [token:f] is of type forward; expected",
            ),
            ("type = revers", ":9: type: expected forward or reverse or autonomy or connector, not 'revers'"),
            ("type = reverse\nusername = me", ":10: username: has no effect without password; give both"),
            ("type = reverse\nport = 1001", ":10: port: is the same port as "),
            ("url = x", ":9: url: [token:x] has no such setting"),
        ],
    )
    def test_what_does_not_fit(self, ini: Path, section: str, said: str) -> None:
        (line,) = problems(ini, f"{TOKENS}{section}\ntoken = x\n")
        assert line.startswith(said)

    def test_one_is_needed(self, ini: Path) -> None:
        assert problems(ini, TOKENS) == [":8: [token:x]: needs token or token_file"]

    def test_two_that_are_the_same_are_named_by_where_they_stand(self, ini: Path) -> None:
        (line,) = problems(ini, f"{TOKENS}token = f\n")
        assert line == f":9: token: is the same token as {ini}:7: token; each token needs its own"
        (line,) = problems(ini, TOKENS.replace("[server]", "[server]\ntoken = r") + "token = x\n")
        assert line == f":5: token: is the same token as {ini}:2: token; each token needs its own"

    def test_with_tokens_of_any_kind_a_server_s_settings_for_either_have_an_effect(self, ini: Path) -> None:
        found = settings(ini, f"{TOKENS}token = x\n".replace("[server]", "[server]\nport_pool = 2000-2001"))
        assert found.roles["server"]["port-pool"] == (2000, 2001)


class TestWarnings:
    @pytest.mark.parametrize(
        ("mode", "who"), [(0o640, "its group"), (0o604, "everybody"), (0o644, "its group and everybody")]
    )
    def test_a_file_with_secrets_that_others_can_read(self, ini: Path, mode: int, who: str) -> None:
        ini.touch()
        os.chmod(ini, mode)
        text = "[server]\ntoken = a\n[token:b]\ntoken = b\n"
        assert settings(ini, text).warnings == (
            f"{ini} holds secrets, and {who} can read it: chmod go-rwx {ini}",
        )

    def test_a_file_without_secrets_may_be_read(self, ini: Path) -> None:
        ini.touch()
        os.chmod(ini, 0o644)
        assert settings(ini, "[server]\nws_port = 1\n").warnings == ()

    def test_a_file_with_a_token_gets_one_warning(self, ini: Path, tmp_path: Path) -> None:
        (tmp_path / "word").write_text("word")
        os.chmod(tmp_path / "word", 0o644)
        text = "[client]\ntoken_file = word\n[client:two]\ntoken_file = word\n"
        (warning,) = settings(ini, text).warnings
        assert warning.startswith(f"{tmp_path / 'word'} holds secrets")

    def test_a_variable_that_nobody_knows(self) -> None:
        environ = {"LINKSOCKS_TOKN": "x", "LINKSOCKS_URL": "x", "LINKSOCKS_MODE": "server", "LINKSOCKS_X": ""}
        assert resolve_all("server", {}, environ).warnings == (
            "LINKSOCKS_TOKN: there is no such variable; did you mean LINKSOCKS_TOKEN?",
        )
