"""A Flask app whose outbound requests leave through a provider: it shows a site that only another network has.

On a machine that both networks reach, in the other network, and here::

    linksocks server -r -t lent -c key
    linksocks provider -t lent -u ws://SERVER:8765
    LINKSOCKS_URL=ws://SERVER:8765 LINKSOCKS_TOKEN=key flask --app examples/flask_app run

Then http://127.0.0.1:5000/ is http://intranet.example.org/ as the provider sees it; INTRANET names another site.
"""

import os

from flask import Flask, Response

from linksocks import Client
from linksocks.contrib.urllib3 import PoolManager

INTRANET = os.environ.get("INTRANET", "http://intranet.example.org")

# Starts with the first request that needs it, so each worker of a web server has its own.
tunnel = Client(
    os.environ["LINKSOCKS_TOKEN"], ws_url=os.environ["LINKSOCKS_URL"], socks=False, reconnect=True
)
http = PoolManager(tunnel, maxsize=16)
app = Flask(__name__)


@app.get("/")
@app.get("/<path:path>")
def page(path: str = "") -> Response:
    answer = http.request("GET", f"{INTRANET}/{path}", timeout=10)
    return Response(answer.data, answer.status, content_type=answer.headers["Content-Type"])
