"""The pages beside /socket, as a Flask app on the same gevent server."""

from __future__ import annotations

from flask import Flask, Response

from linksocks.version import __version__


def create_app() -> Flask:
    """A banner at `/`; everything else is 404."""
    app = Flask("linksocks", static_folder=None)

    @app.get("/")
    def banner() -> Response:
        return _text(f"LinkSocks {__version__} is running, but API is not enabled.\n")

    @app.errorhandler(404)
    def not_found(_error: Exception) -> tuple[Response, int]:
        return _text("Not Found\n"), 404

    return app


def _text(text: str) -> Response:
    return Response(text, content_type="text/plain; charset=utf-8")
