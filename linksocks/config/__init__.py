"""What a user can set: the table of settings, and where each one's value comes from."""

from linksocks.config.given import nearest
from linksocks.config.resolve import Config, Settings, resolve, resolve_all

__all__ = ["Config", "Settings", "nearest", "resolve", "resolve_all"]
