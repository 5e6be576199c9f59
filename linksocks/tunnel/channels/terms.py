"""What holds for all channels of a link, and the sizes that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from linksocks.wire.extensions import Extensions
from linksocks.wire.receiver import MAX_MESSAGE

CHUNK: Final = 512 * 1024
"""Bytes read from a socket at once. The link takes them in one message, or in turns when others wait. Each chunk
costs a few system calls and cold caches: a GiB took 1.3 s of CPU time in chunks of 512 KiB, 1.6 of 128, 2.2 of 64."""

FIRST_WINDOW: Final = 256 * 1024
"""Bytes that a new channel accepts; the window doubles from here while the sink keeps up."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all channels of a link: `version` of the messages that we send, what both ends agreed on (its
    window bounds what we send), and the most bytes that we hold for one channel."""

    version: int
    extensions: Extensions
    max_window: int

    @property
    def hasty_data_is_lost(self) -> bool:
        """pywssocks drops Data that it reads together with the ConnectResponse: 13 of 40 SSH banners were lost. A
        LinkSocks (Go) 1.10 server takes it for the answer, and refused 10 of 57 connections."""
        return self.extensions == Extensions()

    @property
    def early_data_is_lost(self) -> bool:
        """LinkSocks (Go) drops what is behind a thousand messages while it dials: 2,000 of 3,000 were lost. With flow
        control, nothing is sent that the peer does not hold."""
        return not self.extensions.window

    @property
    def max_message(self) -> int:
        """The longest message that the peer has use for, in bytes."""
        return 2 * max(self.max_window, CHUNK) if self.extensions.window else MAX_MESSAGE

    @property
    def first_window(self) -> int:
        """What we grant a new channel; the handshake told the peer."""
        return first_window(self.max_window)


def first_window(max_window: int) -> int:
    """The window of a new channel, in bytes, where `max_window` is the setting."""
    return min(FIRST_WINDOW, max_window)


def offered(max_window: int) -> Extensions:
    """What a side of ours offers or accepts, where `max_window` is the setting."""
    return Extensions(window=first_window(max_window), half_close=True, cause=True, leave=True)
