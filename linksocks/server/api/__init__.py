"""The API: an operator's programs make and remove tokens, see who is connected, and disconnect them.

========== ==========================================================================================
module     its pages
========== ==========================================================================================
linksocks  /api/status, /api/token: those of LinkSocks 1.10.3 (PROTOCOL section 5)
rusocks    /api/tokens, /api/connectors: those of rusocks
clients    /api/clients
access     /api/config/access
process    /api/reload, /api/openapi.json
========== ==========================================================================================

Below them: `guard` lets in whom, `bodies` and `tokens` read what is asked for, `answers` says what came of it.
`document` describes all pages (OpenAPI 3.1); a test holds it against the application.
"""

from __future__ import annotations

from collections.abc import Iterable

from flask import Blueprint
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from linksocks.server.api import access, clients, linksocks, process, rusocks
from linksocks.server.api.controls import Controls
from linksocks.server.api.guard import Guard


def create_api(controls: Controls, keys: Iterable[str]) -> Blueprint:
    """All pages, for whom has one of `keys`."""
    api = Blueprint("api", __name__)
    api.record(_add_converters)  # first: rules of pages speak of them
    # Of the whole application: who has no key does not learn which pages there are.
    api.before_app_request(Guard(keys).check)
    for module in (linksocks, rusocks, clients, access, process):
        module.add_pages(api, controls)
    return api


class _TokenConverter(BaseConverter):
    """The rest of a path, whatever it is: a token may begin with a slash, as nothing of `path` may."""

    regex = "(?s:.+)"
    part_isolating = False


def _add_converters(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["token"] = _TokenConverter
