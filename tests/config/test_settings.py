"""The table of settings: consistent in itself, and complete by PROTOCOL section 6.1."""

import pytest

from linksocks.config.setting import ALL, Setting
from linksocks.config.settings import COMMANDS, SECTIONS, SETTINGS, settings_of

# Flag, short form and variable of PROTOCOL section 6.1, as it prints them.
CLIENT_FLAGS = """
--token -t LINKSOCKS_TOKEN
--url -u LINKSOCKS_URL
--reverse -r
--connector-token -c LINKSOCKS_CONNECTOR_TOKEN
--socks-host -s LINKSOCKS_SOCKS_HOST
--socks-port -p LINKSOCKS_SOCKS_PORT
--socks-username -n LINKSOCKS_SOCKS_USERNAME
--socks-password -w LINKSOCKS_SOCKS_PASSWORD
--socks-no-wait -i
--no-reconnect -R
--transport-grace
--retry-auth LINKSOCKS_RETRY_AUTH
--debug -d
--threads -T
--upstream-proxy -x LINKSOCKS_UPSTREAM_PROXY
--fast-open -f LINKSOCKS_FASTOPEN
--no-env-proxy -E
--direct-mode
--direct-discovery
--direct-host-candidates
--stun-server
--direct-only-action
--direct-upnp
--direct-upnp-lease
--direct-upnp-keep
--direct-upnp-external-port
--access-rule
"""
SERVER_FLAGS = """
--ws-host -H LINKSOCKS_WEBSOCKET_HOST
--ws-port -P LINKSOCKS_WEBSOCKET_PORT
--token -t
--connector-token -c
--connector-autonomy -a LINKSOCKS_CONNECTOR_AUTONOMY
--buffer-size -b
--transport-grace
--reverse -r
--socks-host -s
--socks-port -p
--socks-username -n
--socks-password -w
--socks-nowait -i
--debug -d
--api-key -k LINKSOCKS_API_KEY
--upstream-proxy -x
--fast-open -f
--connector-wait-provider
--direct-enable
--direct-rendezvous-udp
--direct-rendezvous-host
--direct-rendezvous-port
--access-rule
"""
KNOWN_BY_GO = [
    (command, *line.split())
    for command in ALL
    for line in (SERVER_FLAGS if command == "server" else CLIENT_FLAGS).strip().splitlines()
]


@pytest.mark.parametrize("known", KNOWN_BY_GO, ids=lambda known: " ".join(known[:2]))
def test_every_flag_of_section_6_1_is_known(known: tuple[str, ...]) -> None:
    command, flag, *rest = known
    setting = next(setting for setting in settings_of(command) if setting.flag == flag)
    for word in rest:
        assert word == (setting.variable if word.startswith("LINKSOCKS_") else f"-{setting.short}")


@pytest.mark.parametrize("command", [*ALL, "run", "token"])
def test_names_are_unique_within_a_command(command: str) -> None:
    settings = settings_of(command)
    for names in (
        [setting.name for setting in settings],
        [setting.short for setting in settings if setting.short],
        [setting.variable for setting in settings],
    ):
        assert len(names) == len(set(names))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_setting_is_consistent(setting: Setting) -> None:
    settings = {other.name: other for command in setting.commands for other in settings_of(command)}
    assert set(setting.commands) <= {known.name for known in (*COMMANDS, *SECTIONS)}
    assert set(setting.later) <= set(setting.commands)
    assert not setting.needs or setting.needs in settings
    assert not setting.holds or settings[setting.holds].kind.secret
    assert setting.name == setting.name.lower()
    assert setting.help
    _ = setting.default_value  # a default is text that the kind parses


@pytest.mark.parametrize("command", [*ALL, "token"])
def test_every_secret_that_works_can_come_from_a_file(command: str) -> None:
    works = [setting for setting in settings_of(command) if command not in setting.later]
    held = {setting.holds for setting in works}
    assert {setting.name for setting in works if setting.kind.secret} <= held
