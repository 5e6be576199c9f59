"""The process: its API, its metrics, its log and its end."""

from __future__ import annotations

from typing import Final

import linksocks.config.values as v
from linksocks.config.setting import ALL, RUN, SERVER, Setting

SETTINGS: Final = (
    Setting(
        "api-key",
        SERVER,
        v.SECRETS,
        "serve the API to whom has this key; may be repeated, in the INI file on further lines",
        short="k",
    ),
    Setting("api-key-file", SERVER, v.FILE, "file with such keys, one on each line", holds="api-key"),
    Setting(
        "state-file",
        SERVER,
        v.FILE,
        "SQLite file in which the tokens that the API makes outlive the server, which makes the file",
    ),
    Setting(
        "metrics-address",
        ALL,
        v.ADDRESS,
        "serve /metrics, /healthz and /readyz here, to all who can reach it",
    ),
    Setting(
        "grace",
        ALL + RUN,
        v.DURATION,
        "how long open connections may go on after SIGTERM or Ctrl-C",
        default="10s",
    ),
    Setting("debug", ALL + RUN, v.DEBUG, "log more; -dd logs most", short="d"),
    Setting(
        "log-format", ALL + RUN, v.choice("text", "json"), "how log lines look: text or json", default="text"
    ),
    Setting(
        "config",
        ALL + RUN,
        v.FILE,
        "INI file with a section for each command; SIGHUP reads it again",
        in_file=False,
    ),
)
