"""gunicorn with threads: flask_app.py in two workers, each with a tunnel that is up before the first request.

::

    LINKSOCKS_URL=ws://SERVER:8765 LINKSOCKS_TOKEN=key gunicorn --config examples/gunicorn_gthread.py

A server that is not there, or refuses the token, ends gunicorn at its start, with the reason in its log. A worker
that waits in post_fork does not hear SIGTERM; one in post_worker_init does, see gunicorn_gevent.py.
"""

from pathlib import Path
from typing import Any

chdir = str(Path(__file__).parent)
wsgi_app = "flask_app:app"
worker_class = "gthread"
workers = 2
threads = 8


def post_fork(server: Any, worker: Any) -> None:
    """In each worker, after the fork: what is started before it, in the master, is of no use there."""
    from flask_app import tunnel

    tunnel.wait_ready(5)
