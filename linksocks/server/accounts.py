"""What each client may use, by its token's limits and those for all, and where what it does is counted."""

from __future__ import annotations

from collections.abc import Iterable

from linksocks.server.tokens import Token
from linksocks.tunnel.channels.limits import A_SHARE, NO_LIMITS, Account, Limits, rates
from linksocks.tunnel.channels.tally import Tally


class Accounts:
    """`limits` hold where a token's own say nothing, and A_SHARE where these don't."""

    def __init__(self, limits: Limits = NO_LIMITS) -> None:
        self._limits = limits
        self.tallies: dict[str, Tally] = {}
        """By what clients are, see Grant."""

    def open(self, token: Token) -> Account:
        """For a client that has none yet. The clients of one token share its rates."""
        limits = self.limits(token)
        if token.rates is None:
            token.rates = rates(limits)
        return Account(limits, token.rates, self.tallies.setdefault(token.grant.client, Tally()))

    def change(self, token: Token, present: Iterable[Account]) -> None:
        """The token's limits are others now; `present` are the accounts of its clients that are connected."""
        limits = self.limits(token)
        token.rates = rates(limits, token.rates)
        for account in present:
            account.change(limits, token.rates)

    def limits(self, token: Token) -> Limits:
        """What holds for a token. A provider opens nothing: its channels are those of many."""
        said = token.spec.limits.within(self._limits)
        return said if token.grant.reverse else said.within(A_SHARE)
