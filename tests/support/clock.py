"""A clock for rates that stands still until a test moves it: no test of a rate looks at how long anything takes."""

from __future__ import annotations

import pytest

from linksocks.tunnel.channels import rate


class Clock:
    """Stands in for `time.monotonic` where rates look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(rate, "time", self)

    def monotonic(self) -> float:
        return self.now
