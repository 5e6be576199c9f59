"""examples/flask_app.py with headers that tell which worker answered, and what runs in it. For test_gunicorn.py."""

import os
import threading

from flask import Response
from flask_app import app
from gevent import monkey

__all__ = ["app"]


@app.after_request
def sign(response: Response) -> Response:
    response.headers["X-Worker"] = str(os.getpid())
    response.headers["X-Patched"] = str(monkey.is_module_patched("socket"))
    response.headers["X-Native-Threads"] = str(len(os.listdir("/proc/self/task")))
    response.headers["X-Threads"] = ",".join(thread.name for thread in threading.enumerate())
    return response
