"""Who is at the other side of the server: a connector hears of providers, and they of connectors."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Final

from linksocks.tunnel.channels.link import Handler
from linksocks.tunnel.events import Observers, PartnersChanged
from linksocks.wire import messages as m

_LINES: Final = 20
"""Changes that are logged in each SPAN, the rest only for who debugs: a server must not fill our disk."""

_SPAN: Final = 60.0
"""Seconds."""

log = logging.getLogger("linksocks.client")


class Partners:
    """How many there are, by the server's last word; `noun` is what one of them is called."""

    def __init__(self, noun: str, observers: Observers) -> None:
        self._noun = noun
        self._observers = observers
        self.count = 0
        """Never below 0; 0 without a link."""
        self._lines = 0  # logged since _since
        self._since = time.monotonic()

    @property
    def handlers(self) -> Mapping[int, Handler]:
        """For the links."""
        return {m.Partners.type: self._on_partners}

    def forget(self) -> None:
        """There is no link to a server any more."""
        self._change(0)

    def _on_partners(self, message: m.Partners) -> None:
        count = max(0, message.count)
        if self._change(count):
            words = f"1 {self._noun} is there" if count == 1 else f"{count or 'no'} {self._noun}s are there"
            log.log(self._level(), "%s", words)

    def _change(self, count: int) -> bool:
        """Whether it is another one."""
        if count == self.count:
            return False
        self.count = count
        self._observers.tell(PartnersChanged(count))
        return True

    def _level(self) -> int:
        now = time.monotonic()
        if now - self._since >= _SPAN:
            self._since, self._lines = now, 0
        self._lines += 1
        return logging.INFO if self._lines <= _LINES else logging.DEBUG
