"""What every peer driver does: a driver is a program that plays one role of a real peer by its Python API.

It runs on the Python of the peer's own venv, so it knows the standard library and the peer, and nothing of
this repository. Its command line is ``drive_PEER.py ROLE OPTIONS``, OPTIONS a JSON object with the role's
keyword arguments. It says one JSON line on stdout: ``{"ready": true}`` when the peer is up and, for a client,
logged in, or ``{"error": TEXT}`` and exit code 1. Once ready it stays until its stdin closes. Peers log to
stderr.

A role is a context manager: entering it starts the peer and waits until it is ready. Ports are handed in,
because no peer tells which port it got for port 0.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

# A login on loopback takes milliseconds; this is for a busy machine.
READY_SECONDS = 15


def main(roles: Mapping[str, Callable[..., AbstractContextManager[None]]]) -> None:
    """Play the role that the command line names, to its end."""
    logging.basicConfig(stream=sys.stderr, level=os.environ.get("PEER_LOG", "INFO"))
    role, options = sys.argv[1], json.loads(sys.argv[2])
    try:
        with roles[role](**options):
            _say(ready=True)
            sys.stdin.read()
            # A Go library with open channels takes its time to close: what is tested is over by now.
            os._exit(0)
    except Exception as error:  # noqa: BLE001 - whatever it is, the test is told
        _say(error=f"{type(error).__name__}: {error}")
        os._exit(1)


def _say(**line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
