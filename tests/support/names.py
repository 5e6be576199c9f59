"""A resolver that the test answers for, and the time that the system's own needs."""

from __future__ import annotations

from collections import deque

from linksocks.errors import Cause, DialError
from linksocks.net.out.resolve import Address, Resolver, literal

LOOK_UP = 15.0
"""Seconds for a name that is asked of the system's name server: a question that is lost is asked again after 5 s."""


class FickleResolver(Resolver):
    """Each name has a list of answers, one for each time that it is looked up; the last one stays.

    Nothing is kept, as if every answer had a time to live of zero: what an attacker's name server does.
    """

    def __init__(self, **names: list[list[str]]) -> None:
        super().__init__()
        self._answers = {name.replace("_", "."): deque(answers) for name, answers in names.items()}
        self.asked: list[str] = []

    def resolve(self, host: str, port: int, timeout: float) -> list[Address]:
        if literal(host) is not None:
            return super().resolve(host, port, timeout)
        self.asked.append(host)
        answers = self._answers.get(host.lower().rstrip("."))
        if not answers:
            raise DialError(Cause.HOST_UNREACHABLE, f"no such host {host}")
        answer = answers.popleft() if len(answers) > 1 else answers[0]
        return [
            address for text in answer for address in super(FickleResolver, self).resolve(text, port, timeout)
        ]
