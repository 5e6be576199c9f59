"""What ends a greenlet by surprise is logged, by `linksocks.hub`; gevent would print it to stderr."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any

from gevent.hub import Hub

log = logging.getLogger("linksocks.hub")


def log_failures(hub: Hub) -> None:
    """From now on, for all greenlets of `hub`, which must be ours alone."""
    # The hub's own seam for subclasses; an instance will do.
    hub.print_exception = _log  # type: ignore[method-assign,assignment]


def _log(
    context: object,
    kind: type[BaseException] | None,
    value: BaseException | str | None,
    trace: TracebackType | None,
) -> None:
    # A greenlet's own text shows the arguments that it was called with: its name does not.
    name: Any = getattr(context, "name", None) or type(context).__name__
    if kind is not None and isinstance(value, BaseException):
        log.error("%s failed", name, exc_info=(kind, value, trace))
    else:
        log.error("%s failed: %s", name, value)
