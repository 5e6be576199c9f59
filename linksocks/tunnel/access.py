"""Access rules: which targets may be reached, as an operator says it (PROTOCOL section 8).

A rule is a set of hosts and a set of ports; `*` or nothing stands for any.

==================================== ===================================================================
a host of a rule                     what it is
==================================== ===================================================================
10.0.0.0/8, 2001:db8::/32            a network
192.168.1.5, [2001:db8::1]           an address
192.168.1.1-255, 10.0.0.1-10.0.1.9   a range of addresses, both ends included
example.org                          that name and no other
*.example.org                        all names below it, and not itself
==================================== ===================================================================

What holds, in whatever order rules were given:

1. A target that a deny rule matches is blocked.
2. So is one that is not on the Internet, where private targets are to be.
3. Where there are allow rules, one of them must match.

Names are judged as they were asked for, without regard to case or a final dot; an alias of a name is another name.
Addresses are judged by whatever name they came. An IPv4 address that is written in IPv6 is that IPv4 address; one
that is inside of an IPv6 address (NAT64, 6to4, Teredo) has it denied and blocked, but not allowed. So has 0.0.0.0 the
address 127.0.0.1, and :: the address ::1: the system goes there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

from linksocks.errors import ConfigError
from linksocks.net.out.judge import AllOf, Judge, Verdict
from linksocks.wire.addresses import IpAddress, forms, is_public, parse_ip, unmapped

_EXPECTED: Final = "expected HOST:PORT such as 10.0.0.0/8:22, [2001:db8::1]:8000-9000 or *.example.org:*"

_LABEL: Final = "[a-z0-9_-]{1,63}"
_PATTERN: Final = re.compile(rf"(?:\*\.)?(?:{_LABEL}\.)*[a-z_][a-z0-9_-]{{0,62}}")
"""The last label begins with a letter: an address fits none, and one with a typing error is none."""

_PLAIN: Final = re.compile(r"[a-z0-9._-]{1,255}")
"""Names that mean the same to every resolver; in others a backslash may hide a character."""

_ADDRESS: Final = re.compile(r"[0-9A-Fa-f.:]{2,45}")  # without the zones that ip_address takes
_NETWORK: Final = re.compile(rf"({_ADDRESS.pattern})/[0-9]{{1,3}}")  # nor the netmasks of ip_network
_PORTS: Final = re.compile(r"([0-9]{1,5})(?: *- *([0-9]{1,5}))?")


class _Span(NamedTuple):
    """Addresses of one version."""

    version: int
    first: int
    last: int


@dataclass(frozen=True)
class Rule:
    """Hosts, as the table above writes them, and ranges of ports. Where there are none, any will do."""

    hosts: tuple[str, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    _spans: tuple[_Span, ...] = field(init=False, repr=False, compare=False)
    _patterns: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        parsed = [_host(text) for text in self.hosts]
        for first, last in self.ports:
            if not 1 <= first <= last <= 65535:
                raise ConfigError(f"{first}-{last} is no range of ports from 1 to 65535, the lower one first")
        object.__setattr__(self, "_spans", tuple(host for host in parsed if isinstance(host, _Span)))
        object.__setattr__(self, "_patterns", tuple(host for host in parsed if isinstance(host, str)))

    def __str__(self) -> str:
        ports = (f"{first}" if first == last else f"{first}-{last}" for first, last in self.ports)
        return f"{','.join(self.hosts) or '*'}:{','.join(ports) or '*'}"

    def matches(self, name: str, port: int, addresses: tuple[IpAddress, ...]) -> bool | None:
        """Whether it has `port`, and `name` or one of `addresses`. None: with none given, that is for them to say."""
        if self.ports and not any(first <= port <= last for first, last in self.ports):
            return False
        if not self.hosts or any(_fits(name, pattern) for pattern in self._patterns):
            return True
        if not addresses:
            return None if self._spans else False
        return any(
            span.version == address.version and span.first <= int(address) <= span.last
            for address in addresses
            for span in self._spans
        )


def parse_rule(text: str) -> Rule:
    """The rule of a text `HOST[,HOST...]:PORT[,PORT...]`. Raises ConfigError that names it."""
    hosts, colon, ports = text.strip().rpartition(":")
    try:
        if not (hosts and colon and ports):
            raise ConfigError(_EXPECTED)
        return Rule(
            () if hosts.strip() == "*" else tuple(host.strip() for host in hosts.split(",")),
            () if ports.strip() == "*" else tuple(_port_range(part.strip()) for part in ports.split(",")),
        )
    except ConfigError as error:
        reason = str(error) if str(error) == _EXPECTED else f"{error}; {_EXPECTED}"
        raise ConfigError(f"access rule {text[:100]!r}: {reason}") from None


@dataclass(frozen=True)
class AccessRules:
    """What may be reached. Without any rules everything may, and it is false."""

    allow: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()
    block_private: bool = False

    def __bool__(self) -> bool:
        return bool(self.allow or self.deny or self.block_private)

    def judge(self, host: str, port: int) -> Verdict:
        """See Judge."""
        address = parse_ip(host)
        if address is not None:
            return self._judge("", port, forms(address))
        name = _plain(host)
        return self._judge(name, port, ()) if name else Verdict.BLOCKED

    def allows(self, host: str, port: int, address: str) -> bool:
        """See Judge."""
        parsed = parse_ip(address.partition("%")[0])  # link-local ones have a zone
        if parsed is None:
            return False
        return self._judge(_plain(host), port, forms(parsed)) is Verdict.ALLOWED

    def _judge(self, name: str, port: int, addresses: tuple[IpAddress, ...]) -> Verdict:
        """`addresses` are the forms of one, or nothing while there is only a name."""
        denied = [rule.matches(name, port, addresses) for rule in self.deny]
        if True in denied or (self.block_private and addresses and not is_public(addresses[0])):
            return Verdict.BLOCKED
        allowed = [rule.matches(name, port, addresses[:1]) for rule in self.allow] or [True]
        if True not in allowed and None not in allowed:
            return Verdict.BLOCKED
        settled = True in allowed and None not in denied and (addresses or not self.block_private)
        return Verdict.ALLOWED if settled else Verdict.BY_ADDRESS


NO_RULES: Final = AccessRules()


def judge_of(*rules: AccessRules) -> Judge | None:
    """Allows what all of `rules` allow; None where that is everything."""
    strict = [each for each in rules if each]
    return AllOf(*strict) if len(strict) > 1 else strict[0] if strict else None


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Rules with white space between them; blanks beside a dash or a comma belong to a rule. Raises ConfigError."""
    return tuple(parse_rule(part) for part in re.sub(r"[ \t]*([-,])[ \t]*", r"\1", text).split())


# Hosts


def _plain(host: str) -> str:
    """A name as it is judged; empty for what is none."""
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            return ""
    name = host.lower().rstrip(".")
    return name if _PLAIN.fullmatch(name) else ""


def _fits(name: str, pattern: str) -> bool:
    """Whether `name` is one of those that `pattern` stands for."""
    return name.endswith(pattern[1:]) and len(name) >= len(pattern) if pattern[0] == "*" else name == pattern


def _host(text: str) -> _Span | str:
    """Addresses, or the pattern of names. Raises ConfigError."""
    try:
        return _addresses(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    except ValueError:
        pattern = f"*.{_plain(text[2:])}" if text.startswith("*.") else _plain(text)
        if not _PATTERN.fullmatch(pattern):
            expected = "no network, address, range of addresses or name"
            raise ConfigError(f"{text[:100]!r} is {expected}") from None
        return pattern


def _addresses(text: str) -> _Span:
    """A network, an address or a range. Raises ValueError."""
    if _NETWORK.fullmatch(text):
        network = ip_network(text, strict=False)
        return _span(network[0], network[-1])
    first, dash, last = text.partition("-")
    begin = _address(first.strip())
    return _span(begin, _range_end(begin, last.strip()) if dash else begin)


def _address(text: str) -> IpAddress:
    if not _ADDRESS.fullmatch(text):
        raise ValueError("no address")
    return ip_address(text)


def _range_end(begin: IpAddress, text: str) -> IpAddress:
    """The last address of a range, of which only the last number may be given. Raises ValueError."""
    if isinstance(begin, IPv4Address) and re.fullmatch(r"[0-9]{1,3}", text):
        return ip_address(f"{str(begin).rpartition('.')[0]}.{int(text)}")
    return _address(text)


def _span(first: IpAddress, last: IpAddress) -> _Span:
    """Raises ValueError."""
    if isinstance(first, IPv6Address) and first.ipv4_mapped and unmapped(last).version == 4:
        first, last = unmapped(first), unmapped(last)
    if first.version != last.version or int(first) > int(last):
        raise ValueError("no range")
    return _Span(first.version, int(first), int(last))


def _port_range(text: str) -> tuple[int, int]:
    match = _PORTS.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text[:100]!r} is no port and no range of ports")
    return int(match[1]), int(match[2] or match[1])
