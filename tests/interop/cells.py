"""The matrix: in which mode who plays which part with whom, and what the peers themselves can't do.

`CELLS` has every way to hand out the parts of a mode to us and one peer, the peer with itself included (it is the
peer or its driver that fails there, and not us), and mixes of two peers.

`LIMITS` is the only place that knows of a peer's own faults. A limit belongs to the part in which the peer has it:
the *entry* has the SOCKS port, the *exit* dials, the *switch* is the server between the two. Tests expect that what
is limited fails, so that a line that is no longer true fails too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

from tests.interop import checks as c
from tests.interop.peer import OURS, PEERS, Ourselves, Peer

Player = Peer | Ourselves

_GO_1_9, _GO_1_10_1, _GO_1_10_3, _PYWSSOCKS = PEERS
_GO = (_GO_1_9, _GO_1_10_1, _GO_1_10_3)


@dataclass(frozen=True)
class Mode:
    name: str
    parts: tuple[str, ...]
    """The roles of tests.interop.peer, the server first."""
    entry: int
    exit: int
    fast_open: bool = False

    def __str__(self) -> str:
        return self.name + (" with fast open" if self.fast_open else "")

    @property
    def switched(self) -> bool:
        return len(self.parts) == 3

    @property
    def checks(self) -> tuple[c.Check, ...]:
        return c.FAST_OPEN_CHECKS if self.fast_open else c.CHECKS


@dataclass(frozen=True)
class Cell:
    mode: Mode
    players: tuple[Player, ...]
    """Who plays each part of the mode."""

    def __str__(self) -> str:
        played = zip(self.mode.parts, self.players, strict=True)
        parts = "+".join(f"{player}-{part.rpartition('_')[2]}" for part, player in played)
        return f"{str(self.mode).replace(' ', '-')}:{parts}"

    @property
    def entry(self) -> Player:
        return self.players[self.mode.entry]

    @property
    def exit(self) -> Player:
        return self.players[self.mode.exit]

    @property
    def switch(self) -> Player | None:
        return self.players[0] if self.mode.switched else None

    @property
    def inward(self) -> tuple[Player, ...]:
        """The players from the entry to the exit."""
        return (self.entry, self.switch, self.exit) if self.switch else (self.entry, self.exit)

    @property
    def peers(self) -> tuple[Peer, ...]:
        return tuple(peer for peer in PEERS if peer in self.players)

    def limit(self, check: c.Check) -> Limit | None:
        """Why `check` must fail, if so."""
        return next((limit for limit in LIMITS if limit.holds(self, check)), None)


@dataclass(frozen=True)
class Limit:
    """What `peers` can't do where `who` finds them in a cell, in words for whom reads the matrix."""

    peers: tuple[Peer, ...]
    who: Callable[[Cell], Player | None]
    checks: tuple[c.Check, ...]
    reason: str
    sure: bool = True
    """False for a race that the peer sometimes wins."""
    fast_open: bool | None = None
    """Only with it, only without it, or in both."""

    def holds(self, cell: Cell, check: c.Check) -> bool:
        mode_fits = self.fast_open in (None, cell.mode.fast_open)
        return mode_fits and check in self.checks and self.who(cell) in self.peers


def _entry(cell: Cell) -> Player | None:
    return cell.entry


def _exit(cell: Cell) -> Player | None:
    return cell.exit


def _switch(cell: Cell) -> Player | None:
    return cell.switch


def _entry_beside_a_peer(cell: Cell) -> Player | None:
    return cell.entry if OURS not in cell.inward[:2] else None


def _first_behind_our_entry(cell: Cell) -> Player | None:
    peers = (player for player in cell.inward if player is not OURS)
    return next(peers, None) if cell.entry is OURS else None


def _client_of_a_newer_server(cell: Cell) -> Player | None:
    return cell.players[1] if cell.players[0] in (_GO_1_10_1, _GO_1_10_3) else None


_DIRECT = (
    Mode("forward", ("server", "client"), entry=1, exit=0),
    Mode("reverse", ("reverse_server", "provider"), entry=0, exit=1),
)
_SWITCHED = (
    Mode("agent", ("agent_server", "provider", "connector"), entry=2, exit=1),
    Mode("autonomy", ("autonomy_server", "provider", "connector"), entry=2, exit=1),
)


def _fast_open(mode: Mode) -> Mode:
    return Mode(mode.name, mode.parts, mode.entry, mode.exit, fast_open=True)


def _cells() -> Iterator[Cell]:
    for mode in (*_DIRECT, *_SWITCHED):
        for peer in PEERS:
            for players in product(_either(peer), repeat=len(mode.parts)):
                if set(players) != {OURS}:
                    yield Cell(mode, players)
        if mode.switched:
            for far, near in ((_GO_1_10_3, _PYWSSOCKS), (_PYWSSOCKS, _GO_1_10_3)):
                yield Cell(mode, (OURS, far, near))
        else:
            yield Cell(mode, (_GO_1_10_3, _PYWSSOCKS))


def _either(peer: Peer) -> tuple[Player, Player]:
    return OURS, peer


def _fast_open_cells() -> Iterator[Cell]:
    """One end ours, the other the peer's; the server between the ends is ours."""
    for mode in map(_fast_open, (*_DIRECT, _SWITCHED[0])):
        for peer in PEERS:
            for ends in ((OURS, peer), (peer, OURS)):
                yield Cell(mode, (OURS, *ends) if mode.switched else ends)


CELLS: Final = (*_cells(), *_fast_open_cells())

LIMITS: Final = (
    Limit(
        (_PYWSSOCKS,),
        _client_of_a_newer_server,
        c.CHECKS,
        "pywssocks knows protocol 0x01 only, and LinkSocks 1.10 speaks 0x02 to everyone.",
    ),
    Limit((_PYWSSOCKS,), _entry, c.FAST_OPEN_CHECKS, "pywssocks has no fast open.", fast_open=True),
    Limit((_PYWSSOCKS,), _entry, (c.udp_to_ipv6,), "pywssocks takes no datagrams to IPv6 addresses."),
    Limit((_PYWSSOCKS,), _exit, (c.udp_to_ipv6,), "pywssocks sends datagrams over IPv4 only."),
    Limit(
        (_PYWSSOCKS,),
        _switch,
        (c.close_reaches_application,),
        "The server of pywssocks does not tell a connector that the target closed.",
    ),
    Limit(
        _GO,
        _switch,
        (c.close_reaches_target, c.abort_reaches_target),
        "The server of LinkSocks does not tell a provider that the application closed.",
    ),
    Limit(
        _GO,
        _exit,
        (c.close_reaches_target, c.abort_reaches_target),
        "LinkSocks keeps a target's connection for 5 s or more after the application closed.",
    ),
    Limit(
        _GO,
        _entry,
        (c.close_reaches_application,),
        "LinkSocks keeps an application's connection for 5 s or more after the target closed.",
    ),
    Limit(
        PEERS,
        _first_behind_our_entry,
        (c.close_reaches_target,),
        "The peer knows no half of a connection: our end keeps the application's close back for an answer that may "
        "still come, 10 s at most. It passes on a reset at once.",
    ),
    Limit(
        PEERS,
        _entry_beside_a_peer,
        (c.greeting,),
        "The peer may lose what a target says first, or refuse the connection: its neighbour, of the same make, "
        "sends that right behind the answer to the connect. Ours makes a pause.",
        sure=False,
    ),
    Limit(
        PEERS,
        _entry,
        (c.half_close,),
        "The peer ends the whole connection when the application ends its half, and loses the answer.",
        sure=False,
    ),
)
