"""A stay, where its races are: what comes to the hub after the end was said."""

from __future__ import annotations

import pytest

from linksocks import ClosedError, Server
from linksocks.library.deeds import begin

pytestmark = pytest.mark.usefixtures("clean")


def test_a_call_that_comes_to_the_hub_after_the_end_was_said_makes_no_role() -> None:
    server = Server(ws_host="127.0.0.1", ws_port=0)
    stay = server._stay
    home = stay._enter()
    stay._closed = True  # as another thread may, between these two steps of a call
    for run in (stay._do, stay._do_before, stay._do_anew):
        with pytest.raises(ClosedError):
            home.call(run, begin, timeout=10)
    assert stay._role is None
    stay.close(0)
