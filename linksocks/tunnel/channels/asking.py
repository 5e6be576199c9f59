"""A request to open a channel and its answer: who asks waits for it, the link's reader brings it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import gevent
from gevent.event import AsyncResult

from linksocks.errors import Cause, ChannelError, DialError
from linksocks.tunnel.channels.causes import cause_of
from linksocks.tunnel.channels.terms import Terms
from linksocks.wire.messages import ChannelId, ConnectResponse


class Asking:
    """One request, on its way from the start. `what` it is, for people."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._answer: AsyncResult[ConnectResponse] = AsyncResult()

    @property
    def open(self) -> bool:
        """Nobody has answered yet."""
        return not self._answer.ready()

    def give(self, answer: ConnectResponse) -> None:
        """The answer."""
        self._answer.set(answer)

    def lose(self, reason: str) -> None:
        """There will be none: the channel is broken."""
        self._answer.set_exception(ChannelError(reason))

    def wait(self, timeout: float, give_up: Callable[[str], None]) -> None:
        """Waits `timeout` seconds for a yes. Raises DialError; `give_up` ends the channel if nobody has yet."""
        late = DialError(Cause.TIMED_OUT, f"no answer to the {self._what} in {timeout:g} s")
        try:
            with gevent.Timeout(timeout, late):
                answer = cast(ConnectResponse, self._answer.get())
        except ChannelError as error:
            raise DialError(Cause.GENERAL, str(error)) from error
        except BaseException as error:  # whatever the caller is ended with: a timeout of its own, too
            give_up(
                f"no answer to the {self._what}" if error is late else "the application's side was stopped"
            )
            raise
        if not answer.success:
            raise DialError(answer.cause or cause_of(answer.error), answer.error)


def refusal(channel: ChannelId, error: DialError, terms: Terms) -> ConnectResponse:
    """The answer that a target was not reached, with the cause for a peer that knows it."""
    return ConnectResponse(False, channel, str(error), error.cause if terms.extensions.cause else None)
