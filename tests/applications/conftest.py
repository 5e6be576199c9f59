"""Applications on sockets of one tunnel."""

from __future__ import annotations

from tests.support.library import client, files, leaves_nothing

__all__ = ["client", "files", "leaves_nothing"]
