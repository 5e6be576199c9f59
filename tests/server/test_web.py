"""The pages beside /socket, as Flask's own test client sees them."""

from __future__ import annotations

import pytest

from linksocks.server.web import create_app
from linksocks.version import __version__


@pytest.fixture
def client():
    return create_app().test_client()


def test_the_banner(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.text == f"LinkSocks v{__version__} is running, but API is not enabled.\n"
    assert answer.content_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["/x", "/static/x", "/%00", "/api/tokens"])
def test_all_else_is_404(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (404, "Not Found\n")
