"""Judges: whether a target may be reached.

A judge is asked about the target as it was named, and where that does not decide, about each address of the name:
see net.permit.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol


class Verdict(IntEnum):
    """What a judge says of a target. The lowest of several counts."""

    BLOCKED = 0
    BY_ADDRESS = 1
    """The name alone does not decide; each of its addresses does."""
    ALLOWED = 2


class Judge(Protocol):
    """Rules for targets."""

    def judge(self, host: str, port: int) -> Verdict:
        """Of a target as it was named; never BY_ADDRESS for an address."""

    def allows(self, host: str, port: int, address: str) -> bool:
        """Whether `address`, one that `host` has, may be reached."""


class AllOf:
    """Allows what all of `judges` allow."""

    def __init__(self, *judges: Judge) -> None:
        self._judges = judges

    def judge(self, host: str, port: int) -> Verdict:
        """See Judge."""
        return min(judge.judge(host, port) for judge in self._judges)

    def allows(self, host: str, port: int, address: str) -> bool:
        """See Judge."""
        return all(judge.allows(host, port, address) for judge in self._judges)
