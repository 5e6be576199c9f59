"""Who is at the other side of the server: a connector hears of providers, and they of connectors."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from linksocks.tunnel.link import Handler
from linksocks.wire import messages as m

log = logging.getLogger("linksocks.client")


class Partners:
    """How many there are, by the server's last word; `noun` is what one of them is called."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self.count = 0
        """Never below 0; 0 without a link."""

    @property
    def handlers(self) -> Mapping[int, Handler]:
        """For the links."""
        return {m.Partners.type: self._on_partners}

    def forget(self) -> None:
        """There is no link to a server any more."""
        self.count = 0

    def _on_partners(self, message: m.Partners) -> None:
        count = max(0, message.count)
        if count == self.count:
            return
        self.count = count
        if count == 1:
            log.info("1 %s is there", self._noun)
        else:
            log.info("%s %ss are there", count or "no", self._noun)
