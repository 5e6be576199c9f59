"""What is done with a role, in its hub: the role comes last, as the rest is bound before."""

from __future__ import annotations

import time
from typing import TypeAlias

import gevent

from linksocks.client.provider import ProviderRole
from linksocks.client.role import ClientRole
from linksocks.errors import Cause, DialError
from linksocks.library.tokens import NO_PORT, ReverseTokenResult
from linksocks.net.carrier import Carrier
from linksocks.net.greenlets import until
from linksocks.net.sockets import shown
from linksocks.server.role import ServerRole
from linksocks.server.specs import Kind, TokenSpec
from linksocks.tunnel.access import AccessRules

AnyClient: TypeAlias = ClientRole | ProviderRole


# Servers


def add(spec: TokenSpec, role: ServerRole) -> str:
    """The token."""
    role.add(spec)
    return spec.token


def add_reverse(spec: TokenSpec, role: ServerRole) -> ReverseTokenResult:
    """The token and its port."""
    return ReverseTokenResult(add(spec, role), role.port_of(spec.token) or NO_PORT)


def add_connector(spec: TokenSpec, role: ServerRole) -> str:
    """The token; that it leads to the same providers already is no error (PROTOCOL section 3.1)."""
    there = role.find(spec)
    return spec.token if there is not None and _means(there.spec) == _means(spec) else add(spec, role)


def _means(spec: TokenSpec) -> tuple[Kind, str, AccessRules]:
    return spec.kind, spec.reverse_fingerprint, spec.rules


def remove(token: str, role: ServerRole) -> bool:
    """Whether there was such a token."""
    return role.remove(token)


def dial_provider(token: str, address: tuple[str, int], limit: float | None, role: ServerRole) -> Carrier:
    """A connection, made in `limit` seconds."""
    return role.dial(token, *address, limit)


# Clients. Those that need a link wait `patience` seconds for it


def port_of(role: AnyClient | None) -> int:
    """That for applications; 0 while it is not known."""
    return role.socks_port if isinstance(role, ClientRole) else 0


def wait_ready(patience: float | None, role: AnyClient) -> None:
    """Until there is a link, and all that belongs to it."""
    role.wait_ready(patience)


def dial(patience: float, address: tuple[str, int], limit: float | None, role: AnyClient) -> Carrier:
    """A connection, made in `limit` seconds."""
    assert isinstance(role, ClientRole)
    if limit is None:
        role.wait_ready(patience)
        return role.dial(*address, None)
    ends = time.monotonic() + limit
    role.wait_ready(min(patience, limit))
    late = DialError(Cause.TIMED_OUT, f"{shown(address)} was not reached in {limit:g} s")
    with gevent.Timeout(until(ends), late):
        return role.dial(*address, limit)


def add_own_connector(token: str, patience: float, role: AnyClient) -> str:
    """The connector token, the server's where it is empty."""
    role.wait_ready(patience)
    assert isinstance(role, ProviderRole)
    return role.connectors.add(token)


def remove_own_connector(token: str, patience: float, role: AnyClient) -> None:
    """It lets nobody in any more."""
    role.wait_ready(patience)
    assert isinstance(role, ProviderRole)
    role.connectors.remove(token)
