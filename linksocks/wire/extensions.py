"""What our two ends may do beyond PROTOCOL section 1, agreed in the WebSocket handshake.

The client offers in the header `LinkSocks-Extensions`, the server names those it accepts in the same header of its
answer. A peer that does not know the header gets the plain protocol; nothing is assumed::

    LinkSocks-Extensions: flow/1;window=262144, half-close/1, cause/1, leave/1

flow
    Credit per channel. A side accepts `window` bytes on each new channel and then reports, with Consumed, how many it
    has consumed in all and how many more it accepts beyond those.
half-close
    EndOfStream ends one direction of a channel and leaves the other open.
cause
    A failed ConnectResponse ends with one byte, the SOCKS reply code of the failure.
leave
    Who is about to end says so with Leaving, and gets no new channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HEADER: Final = "LinkSocks-Extensions"

MAX_WINDOW: Final = 1 << 30
"""The largest window that we believe from a peer, in bytes."""


@dataclass(frozen=True, slots=True)
class Extensions:
    """What one side offers, or what both agreed on. `window` is in bytes; 0 is no flow control."""

    window: int = 0
    half_close: bool = False
    cause: bool = False
    leave: bool = False

    def header(self) -> str:
        """The value of the header; empty where there is nothing to offer."""
        offers = {
            f"flow/1;window={self.window}": self.window > 0,
            "half-close/1": self.half_close,
            "cause/1": self.cause,
            "leave/1": self.leave,
        }
        return ", ".join(offer for offer, given in offers.items() if given)

    def agreed(self, peer: Extensions) -> Extensions:
        """What both sides know. The window is the peer's: it bounds what *we* send."""
        return Extensions(
            window=peer.window if self.window else 0,
            half_close=self.half_close and peer.half_close,
            cause=self.cause and peer.cause,
            leave=self.leave and peer.leave,
        )


def parse_extensions(header: str) -> Extensions:
    """Reads the header of either side. Names, versions and parameters that we don't know count as not offered."""
    offers = {}
    for offer in header.split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        offers[name] = dict(parameter.partition("=")[::2] for parameter in parameters)
    window = offers.get("flow/1", {}).get("window", "")
    return Extensions(
        window=min(int(window), MAX_WINDOW)
        if window.isascii() and window.isdigit() and len(window) < 20
        else 0,
        half_close="half-close/1" in offers,
        cause="cause/1" in offers,
        leave="leave/1" in offers,
    )
