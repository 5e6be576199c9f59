"""gunicorn with greenlets: flask_app.py in two workers, whose tunnels run in the workers' own hubs.

::

    LINKSOCKS_URL=ws://SERVER:8765 LINKSOCKS_TOKEN=key gunicorn --config examples/gunicorn_gevent.py
"""

from pathlib import Path
from typing import Any

chdir = str(Path(__file__).parent)
wsgi_app = "flask_app:app"
worker_class = "gevent"
workers = 2


def post_worker_init(worker: Any) -> None:
    """In each worker, once gunicorn has patched it; in post_fork the tunnel would get a native thread."""
    from flask_app import tunnel

    tunnel.wait_ready(10)
