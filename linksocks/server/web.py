"""The pages beside /socket, as a Flask app on the same gevent server."""

from __future__ import annotations

from functools import partial

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException

from linksocks.metrics import Pages
from linksocks.metrics.pages import Page
from linksocks.server.api.answers import failure
from linksocks.version import __version__


def create_app(api: Blueprint | None = None, pages: Pages | None = None) -> Flask:
    """A banner at `/`, and `api` where there is one; everything else is 404.

    Of `pages` anyone may see whether the server is there and ready, but what it does only who may use the API.
    """
    app = Flask("linksocks", static_folder=None)
    app.url_map.merge_slashes = False  # a token may have two of them
    said = "API is not enabled." if api is None else "API endpoints available at /api/*"
    link = ", but " if api is None else ". "

    @app.get("/")
    def banner() -> Response:
        return _text(f"LinkSocks v{__version__} is running{link}{said}\n")

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        status = error.code or 500
        if api is not None and request.path.startswith("/api/"):
            refusal = failure(
                status, error.description if status == 400 and error.description else error.name.lower()
            )
        else:
            refusal = _text(f"{error.name}\n", status)
        refusal.headers.update({name: value for name, value in error.get_headers() if name == "Allow"})
        return refusal

    if pages is not None:
        app.add_url_rule("/healthz", "health", partial(_shown, pages.health))
        app.add_url_rule("/readyz", "readiness", partial(_shown, pages.readiness))
    if api is not None and pages is not None:
        api.add_url_rule("/metrics", "metrics", partial(_shown, pages.metrics))
    if api is not None:
        app.register_blueprint(api)
    return app


def _shown(page: Page) -> Response:
    status, kind, body = page()
    return Response(body, status, content_type=kind)


def _text(text: str, status: int = 200) -> Response:
    return Response(text, status, content_type="text/plain; charset=utf-8")
