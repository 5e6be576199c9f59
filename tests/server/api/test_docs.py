"""The curl lines of docs/api.rst, as a reader would type them: each is answered in the shape that stands below it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from tests.support.api import KEY
from tests.support.processes import ran
from tests.support.roles import by_hand

TEXT = (Path(__file__).parents[3] / "docs" / "api.rst").read_text()
EXAMPLES = re.findall(r"^    (curl .*)\n((?:    .+\n)+)", TEXT, re.MULTILINE)


def shape(value: Any) -> Any:
    """Keys and types, without the values."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value)


def typed(line: str) -> str:
    """What curl says, while the hub serves it."""
    argv = ["bash", "-c", line.replace("curl", "curl -sS --noproxy '*' -m 10", 1)]
    env = {"KEY": KEY, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    return str(ran(argv, env=env, text=True, check=True).stdout)


def test_each_is_answered_as_it_says(server: ServerRole) -> None:
    assert len(EXAMPLES) == 6
    token = ""
    for line, expected in EXAMPLES:
        if "/api/clients" in line:
            server.add(TokenSpec(Kind.REVERSE, "p"))
            with by_hand(server, "p", reverse=True):
                said = json.loads(typed(line.replace("8765", str(server.port))))
        else:
            said = json.loads(typed(line.replace("8765", str(server.port)).replace("TOKEN", token)))
        documented = json.loads("".join(each.strip() for each in expected.splitlines()))
        assert shape(said) == shape(documented), line
        token = said["token"] if "port" in said else token
