"""The way out through an upstream proxy: SOCKS5 or HTTP CONNECT.

One deadline covers the look-ups, the connection to the proxy and its handshake. Each error names the proxy, and never
its credentials. Behind the proxy's answer the target may have spoken already: answers are looked at (MSG_PEEK) before
they are taken from the socket, so that those bytes stay in it and the socket needs no wrapper.

Why not python-socks: its SOCKS5 has no UDP ASSOCIATE and no credentials but ASCII, its HTTP takes the first read for
the whole answer and drops what is behind the head.
"""

from __future__ import annotations

import ipaddress
import re
import socket as stdlib_socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeAlias

import gevent
from gevent import socket

from linksocks.errors import Cause, DialError, ProxyError
from linksocks.net.greenlets import until
from linksocks.net.out.dial import dial
from linksocks.net.out.egress import Datagrams, Direct, Egress
from linksocks.net.out.judge import Judge, Verdict
from linksocks.net.out.judged import JudgedDatagrams
from linksocks.net.out.permit import permitted
from linksocks.net.out.proxies import ProxyUrl
from linksocks.net.out.resolve import Resolver
from linksocks.net.out.upstream_datagrams import UpstreamDatagrams
from linksocks.net.sockets import shown
from linksocks.wire.http_connect import HttpConnect
from linksocks.wire.socks5 import Command
from linksocks.wire.socks5_client import Socks5Client

_READ: Final = 16 * 1024

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,255}", re.ASCII)
"""What may stand in a request for a proxy: hosts come from peers, and could hold a request of their own."""

_UNSPECIFIED: Final = "0.0.0.0", 0
"""Who asks for an association does not say where its datagrams will come from (RFC 1928 section 4)."""

_Handshake: TypeAlias = HttpConnect | Socks5Client


def egress(proxy: ProxyUrl | None, resolver: Resolver) -> Egress:
    """The way out through `proxy`, or directly where there is none."""
    return Upstream(proxy, resolver) if proxy else Direct(resolver)


class Upstream:
    """Through `proxy`. `resolver` looks up the proxy, and for socks5:// the targets of streams too."""

    def __init__(self, proxy: ProxyUrl, resolver: Resolver) -> None:
        self._proxy = proxy
        self._resolver = resolver
        self._address = shown((proxy.host, proxy.port))
        self._name = f"upstream proxy {self._address}"

    def dial(self, host: str, port: int, timeout: float, judge: Judge | None = None) -> socket.socket:
        """See Egress."""
        ends = time.monotonic() + timeout
        failures: list[DialError] = []
        for target in self._targets(host, port, timeout, judge):
            try:
                with self._deadline(ends, timeout):
                    return self._connect(
                        self._request(target, port), f"could not reach {shown((target, port))}", timeout
                    )
            except DialError as error:
                failures.append(error)
        raise failures[0]

    def open_datagrams(self, timeout: float, judge: Judge | None = None) -> Datagrams:
        """See Egress: an association of the proxy's own, which looks up names, but for those to be judged."""
        if self._proxy.scheme == "http":
            raise DialError(Cause.NOT_ALLOWED, f"{self._name}: HTTP proxies carry no UDP, SOCKS5 proxies may")
        handshake = Socks5Client(Command.UDP_ASSOCIATE, *_UNSPECIFIED, *self._login)
        with self._deadline(time.monotonic() + timeout, timeout):
            control = self._connect(handshake, "carries no UDP", timeout)
            try:
                relay = self._relay(control, handshake, timeout)
                datagrams = UpstreamDatagrams(control, relay, self._name)
            except BaseException:
                control.close()
                raise
        if judge is None:
            return datagrams
        return JudgedDatagrams(datagrams, judge, self._resolver)

    @property
    def _login(self) -> tuple[str, str]:
        return self._proxy.username, self._proxy.password

    def _targets(self, host: str, port: int, timeout: float, judge: Judge | None) -> list[str]:
        """What the proxy is asked for, one after the other: the name, or an address of each family.

        Where only an address can be judged, the name is looked up here, and the proxy never hears of it.
        """
        if self._proxy.scheme != "socks5" and (judge is None or judge.judge(host, port) is Verdict.ALLOWED):
            return [_presentable(host)]
        addresses = permitted(self._resolver, host, port, timeout, judge)
        # A proxy without IPv6 gets its chance with IPv4, and the other way round.
        first = {address.family: address.sockaddr[0] for address in reversed(addresses)}
        return list(dict.fromkeys(first[address.family] for address in addresses))

    def _request(self, host: str, port: int) -> _Handshake:
        if self._proxy.scheme == "http":
            return HttpConnect(host, port, *self._login)
        return Socks5Client(Command.CONNECT, host, port, *self._login)

    def _connect(self, handshake: _Handshake, failure: str, timeout: float) -> socket.socket:
        """A connection to the proxy, which has said yes. `failure` is what it means when it says no."""
        try:
            sock = dial(self._resolver, self._proxy.host, self._proxy.port, timeout)
        except DialError as error:
            cause = Cause.TIMED_OUT if error.cause is Cause.TIMED_OUT else Cause.NETWORK_UNREACHABLE
            reason = str(error).removeprefix(f"{self._address}: ")
            raise ProxyError(cause, f"can't reach {self._name}: {reason}") from error
        try:
            self._negotiate(sock, handshake, failure)
        except BaseException:
            sock.close()
            raise
        return sock

    def _negotiate(self, sock: socket.socket, handshake: _Handshake, failure: str) -> None:
        """Until the proxy says yes. Raises DialError; takes no byte that is behind its answer."""
        try:
            sock.sendall(handshake.hello)
            while not handshake.done:
                ahead = sock.recv(_READ, stdlib_socket.MSG_PEEK)
                if not ahead:
                    raise ProxyError(Cause.GENERAL, "closed before it answered")
                answer = handshake.feed(ahead)
                sock.recv(len(ahead) - len(handshake.leftover))
                if answer:
                    sock.sendall(answer)
        except ProxyError as error:
            raise ProxyError(error.cause, f"{self._name}: {error}") from error
        except DialError as error:
            raise DialError(error.cause, f"{self._name} {failure}: {error}") from error
        except OSError as error:
            raise ProxyError(Cause.GENERAL, f"{self._name}: {error.strerror or error}") from error

    def _relay(self, control: socket.socket, handshake: Socks5Client, timeout: float) -> tuple[str, int]:
        """Where the proxy takes datagrams, as an address: one that says nothing means the proxy's own."""
        try:
            host, port = handshake.bound()
            with suppress(ValueError):
                if ipaddress.ip_address(host).is_unspecified:
                    host = control.getpeername()[0]
            return self._resolver.resolve(host, port, timeout)[0].sockaddr[0], port
        except DialError as error:
            raise DialError(error.cause, f"{self._name}: {error}") from error

    @contextmanager
    def _deadline(self, ends: float, timeout: float) -> Iterator[None]:
        """DialError when `ends` is past, the end of `timeout` seconds."""
        deadline = gevent.Timeout.start_new(until(ends))
        try:
            yield
        except gevent.Timeout as error:
            if error is not deadline:
                raise
            raise DialError(Cause.TIMED_OUT, f"{self._name}: no answer in {timeout:g} s") from error
        finally:
            deadline.close()


def _presentable(host: str) -> str:
    """An address or an ASCII name. Raises DialError for what is neither."""
    with suppress(ValueError):
        return str(ipaddress.ip_address(host.partition("%")[0]))
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError as error:
        raise DialError(Cause.HOST_UNREACHABLE, f"no such host {host[:255]!r}: {error}") from error
    if not _NAME.fullmatch(name):
        raise DialError(
            Cause.HOST_UNREACHABLE, f"no such host {host[:255]!r}: a proxy would not understand it"
        )
    return name
