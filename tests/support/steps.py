"""A signal handler that raises, as Ctrl-C's does, between any two steps of a call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, Final

_SOCKETS: Final = ("socket", "gevent._socket3")


class Interruption(KeyboardInterrupt):
    """What it raises."""


def interruptions(run: Callable[[], object], since: CodeType) -> Iterator[int]:
    """Calls `run` until it ends by itself, interrupted at the first bytecode since `since` began, then the second...

    Steps of the package count, and of the sockets that it makes. Gives the number of each, when the interruption has
    left `run` and nobody holds it any more.
    """
    step = 0
    while _interrupted(run, since, step):
        yield step
        step += 1


def _interrupted(run: Callable[[], object], since: CodeType, left: int) -> bool:
    begun = False

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal begun, left
        if not (_is_ours(frame) or (_module(frame) in _SOCKETS and _is_ours(frame.f_back))):
            return None
        frame.f_trace_opcodes = True
        begun = begun or frame.f_code is since
        if begun and event == "opcode":
            left -= 1
            if left < 0:
                raise Interruption
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    except Interruption:
        pass
    finally:
        sys.settrace(before)
    return left < 0


def _is_ours(frame: FrameType | None) -> bool:
    return _module(frame).startswith("linksocks.")


def _module(frame: FrameType | None) -> str:
    return frame.f_globals.get("__name__", "") if frame else ""
