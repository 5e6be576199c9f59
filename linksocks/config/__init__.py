"""What a user can set: the table of settings, and where each one's value comes from."""

from linksocks.config.given import nearest
from linksocks.config.resolve import resolve, resolve_all
from linksocks.config.result import Config, Settings

__all__ = ["Config", "Settings", "nearest", "resolve", "resolve_all"]
