"""What a user can set: the table of settings, and where each one's value comes from."""

from linksocks.config.resolve import Config, nearest, resolve

__all__ = ["Config", "nearest", "resolve"]
