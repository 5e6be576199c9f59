"""Why a dial failed, read from the text of a peer that does not send our cause byte.

LinkSocks (Go) passes on the messages of Go's net package, pywssocks those of Python: both name the system's error.
"""

from __future__ import annotations

from typing import Final

from linksocks.errors import Cause

_TEXTS: Final = (
    ("refused", Cause.REFUSED),
    ("[errno 111]", Cause.REFUSED),  # asyncio says no more than "Connect call failed"
    ("access control", Cause.NOT_ALLOWED),
    ("not allowed", Cause.NOT_ALLOWED),
    ("permission denied", Cause.NOT_ALLOWED),
    ("network is unreachable", Cause.NETWORK_UNREACHABLE),
    ("no available reverse client", Cause.NETWORK_UNREACHABLE),
    ("timed out", Cause.TIMED_OUT),
    ("timeout", Cause.TIMED_OUT),
    ("no route to host", Cause.HOST_UNREACHABLE),
    ("no such host", Cause.HOST_UNREACHABLE),
    ("server misbehaving", Cause.HOST_UNREACHABLE),  # of a name server, says Go
    ("'idna' codec", Cause.HOST_UNREACHABLE),
    ("name or service not known", Cause.HOST_UNREACHABLE),
    ("name resolution", Cause.HOST_UNREACHABLE),
    ("no address associated", Cause.HOST_UNREACHABLE),
    ("unreachable", Cause.HOST_UNREACHABLE),
)


def cause_of(text: str) -> Cause:
    """The first entry whose words stand in `text`; GENERAL where none does."""
    lowered = text.lower()
    return next((cause for words, cause in _TEXTS if words in lowered), Cause.GENERAL)
