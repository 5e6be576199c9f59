"""The pages beside /socket, as a Flask app on the same gevent server."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException

from linksocks.server.api.answers import failure
from linksocks.version import __version__


def create_app(api: Blueprint | None = None) -> Flask:
    """A banner at `/`, and `api` where there is one; everything else is 404."""
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

    if api is not None:
        app.register_blueprint(api)
    return app


def _text(text: str, status: int = 200) -> Response:
    return Response(text, status, content_type="text/plain; charset=utf-8")
