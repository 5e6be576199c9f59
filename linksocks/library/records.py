"""Log records: all in the tree `linksocks` of the standard library, those of one tunnel also where its program says.

A tunnel with a logger of its own runs in a context (`contextvars`) that names it, and all that it spawns inherits
that. A handler on the tree's root gives each record of such a context to the handlers of that logger and of those
above it, under the logger's name, but not to handlers that get it from the tree anyway: nobody sees one twice.

Records begin in the tree, so its level decides which there are. Where nobody has set it, a logger that lets more
through lowers it: a program that gives a logger wants to see something there.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Final, TypeVar

from linksocks.errors import ConfigError
from linksocks.logs import ROOT, TRACE

_T = TypeVar("_T")

TREE: Final = logging.getLogger(ROOT)

_logger: ContextVar[logging.Logger | None] = ContextVar("the logger of a tunnel", default=None)

_LEVELS: Final = logging.getLevelNamesMapping() | {"TRACE": TRACE}


def set_log_level(level: int | str) -> None:
    """Sets from which level on there are records of linksocks: a number, or a name such as "debug" or "WARNING".

    "trace", which is 5, shows what happens to every connection. Raises ConfigError for a level that there is not.
    """
    if isinstance(level, str):
        try:
            TREE.setLevel(_LEVELS[level.upper()])
        except KeyError:
            raise ConfigError(f"level: expected one of {', '.join(_LEVELS)}, got {level[:50]!r}") from None
    elif isinstance(level, int) and not isinstance(level, bool) and 0 <= level <= 1000:
        TREE.setLevel(level)
    else:
        raise ConfigError(f"level: expected the name or the number of a level, got {str(level)[:50]!r}")


def share_with(logger: logging.Logger | None) -> None:
    """In this context, and in those that inherit it, records are for `logger` too."""
    _logger.set(logger)
    if logger is not None:
        TREE.addHandler(_SHARE)  # once, and again where a configuration has removed it
        _lower(logger.getEffectiveLevel())


class _Share(logging.Handler):
    """See the top of this module."""

    _lowered: int | None = None
    """The level of the tree, where it was set here."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the lock of a Handler: there is nothing to protect, and the other handlers have theirs."""
        logger = _logger.get()
        if logger is None or logger.disabled or record.levelno < logger.level:
            return True
        renamed = copy.copy(record)
        renamed.name = logger.name
        if self._try(logger.filter, renamed):
            seen = list(_handlers(logging.getLogger(record.name)))
            for handler in _handlers(logger):
                if handler not in seen and record.levelno >= handler.level:
                    self._try(handler.handle, renamed)
        return True

    def _try(self, take: Callable[[logging.LogRecord], _T], record: logging.LogRecord) -> _T | None:
        """A filter or handler of the program that fails must not break the tunnel."""
        try:
            return take(record)
        except Exception:  # noqa: BLE001 - logging's own way to say it
            self.handleError(record)
            return None


_SHARE: Final = _Share()


def _handlers(logger: logging.Logger | None) -> Iterator[logging.Handler]:
    """Those that get the records of `logger`."""
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


def _lower(level: int) -> None:
    if TREE.level in (logging.NOTSET, _Share._lowered) and level < TREE.getEffectiveLevel():
        TREE.setLevel(level)
        _Share._lowered = level
