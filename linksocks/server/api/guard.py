"""Who may use the API: whoever gives one of its keys in the header X-API-Key.

The key is compared, as a hash, with each of ours in constant time. A wrong one is answered late, and the later the
more of them an address has given; meanwhile that address may wait with a few requests only, and any more are refused
unread with 429, the right key too: else guesses could be made side by side. So whoever shares an address with a
guesser, as all do behind a reverse proxy, may get a 429 while the guessing goes on.

Invariants: the table of addresses and the number of requests that wait are bounded, and waiting holds up a greenlet
and nothing else. A request without a key is refused at once: it is no guess.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from flask import Response, request
from gevent import sleep

from linksocks.net.ws.lobby import one_host
from linksocks.server.api.answers import failure

FIRST_DELAY: Final = 0.25
"""Seconds that the first wrong key costs; each further one costs twice as much as the one before."""

MAX_DELAY: Final = 4.0

FORGIVEN: Final = 300.0
"""Seconds after its last wrong key until an address is as good as any other."""

MAX_ADDRESSES: Final = 4096
"""Of how many addresses wrong keys are remembered; the ones that failed longest ago are forgotten first."""

WAITING_OF_ONE: Final = 4
"""Wrong keys of one address that wait for their answer."""

WAITING: Final = 64
"""The same of all together; above it, addresses that have failed before are refused."""

log = logging.getLogger("linksocks.server")


@dataclass(slots=True)
class _Offender:
    failures: int = 0
    last: float = 0.0
    waiting: int = 0


class Guard:
    """Lets in who has one of `keys`."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._hashes = [_hash(key.encode()) for key in keys]
        self._offenders: OrderedDict[str, _Offender] = OrderedDict()  # the latest failure last
        self._waiting = 0

    def check(self) -> Response | None:
        """The answer to whom must not go on; called before each request."""
        if request.blueprint != "api" and not request.path.startswith("/api/"):
            return None
        given = request.headers.get("X-API-Key")
        if given is None:
            return failure(401, "invalid API key")
        address = one_host(request.remote_addr or "")
        if self._too_many(address):
            return _too_many()
        if self._knows(given.encode("latin-1")):  # WSGI's word for bytes
            return None
        log.warning("API: a wrong key from %s", address)
        return self._late(address)

    def _knows(self, key: bytes) -> bool:
        """All are compared, whichever is the right one."""
        given = _hash(key)
        return sum(hmac.compare_digest(given, known) for known in self._hashes) > 0

    def _too_many(self, address: str) -> bool:
        """Whether to refuse without a look at the key."""
        offender = self._offenders.get(address)
        if offender is None:
            return False
        if not offender.waiting and time.monotonic() - offender.last > FORGIVEN:
            del self._offenders[address]
            return False
        return offender.waiting >= WAITING_OF_ONE or self._waiting >= WAITING

    def _late(self, address: str) -> Response:
        """Remembers the failure, and answers when the delay is over."""
        offender = self._offenders.setdefault(address, _Offender())
        self._offenders.move_to_end(address)
        if len(self._offenders) > MAX_ADDRESSES:
            self._offenders.popitem(last=False)
        offender.failures += 1
        offender.last = time.monotonic()
        if self._waiting >= WAITING:
            return _too_many()
        offender.waiting += 1
        self._waiting += 1
        try:
            sleep(min(MAX_DELAY, FIRST_DELAY * 2 ** min(offender.failures - 1, 16)))
        finally:
            offender.waiting -= 1
            self._waiting -= 1
        return failure(401, "invalid API key")


def _too_many() -> Response:
    refusal = failure(429, "too many wrong API keys from this address; wait a little")
    refusal.headers["Retry-After"] = str(int(MAX_DELAY))
    return refusal


def _hash(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
