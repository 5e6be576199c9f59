"""Access rules: what a rule says, and what a set of rules decides."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from linksocks.errors import ConfigError
from linksocks.net.out.judge import Verdict
from linksocks.tunnel.access import NO_RULES, AccessRules, Rule, judge_of, parse_rule, parse_rules

BLOCKED, BY_ADDRESS, ALLOWED = Verdict.BLOCKED, Verdict.BY_ADDRESS, Verdict.ALLOWED


def allow(*texts: str, deny: tuple[str, ...] = (), block_private: bool = False) -> AccessRules:
    return AccessRules(tuple(map(parse_rule, texts)), tuple(map(parse_rule, deny)), block_private)


def deny(*texts: str) -> AccessRules:
    return allow(deny=texts)


# Rules as LinkSocks 1.10.3 has them: the cases of its own tests


@pytest.mark.parametrize(
    ("rules", "host", "port", "passes"),
    [
        (["192.168.0.0/16:443", "10.0.0.5:443"], "192.168.1.99", 443, True),
        (["192.168.0.0/16:443", "10.0.0.5:443"], "192.168.2.1", 443, True),
        (["192.168.0.0/16:443", "10.0.0.5:443"], "10.0.0.5", 443, True),
        (["192.168.0.0/16:443", "10.0.0.5:443"], "10.0.0.6", 443, False),
        (["192.168.0.0/16:443", "10.0.0.5:443"], "8.8.8.8", 443, False),
        (["192.168.0.0/16:443", "10.0.0.5:443"], "2001:db8::1", 443, False),
        (["192.168.1.1-255:22"], "192.168.1.1", 22, True),
        (["192.168.1.1-255:22"], "192.168.1.255", 22, True),
        (["192.168.1.1-255:22"], "192.168.1.0", 22, False),
        (["192.168.1.1-255:22"], "192.168.2.1", 22, False),
        (["192.168.1.1-192.168.2.255:22"], "192.168.1.1", 22, True),
        (["192.168.1.1-192.168.2.255:22"], "192.168.2.255", 22, True),
        (["192.168.1.1-192.168.2.255:22"], "192.168.1.0", 22, False),
        (["192.168.1.1-192.168.2.255:22"], "192.168.3.1", 22, False),
        (["192.168.1.0/24:22", "10.0.0.0/8:8000-9000"], "192.168.1.5", 22, True),
        (["192.168.1.0/24:22", "10.0.0.0/8:8000-9000"], "192.168.1.5", 80, False),
        (["192.168.1.0/24:22", "10.0.0.0/8:8000-9000"], "10.1.2.3", 8500, True),
        (["192.168.1.0/24:22", "10.0.0.0/8:8000-9000"], "10.1.2.3", 22, False),
        (["192.168.1.0/24:22", "10.0.0.0/8:8000-9000"], "192.168.1.5", 8500, False),
        (["2001:db8::/32:22"], "2001:db8::1", 22, True),
        (["2001:db8::1:22"], "2001:db8::1", 22, True),
        (["2001:db8::1:22"], "2001:db8::2", 22, False),
        (["192.168.1.77/16:22"], "192.168.200.1", 22, True),
        (["10.0.0.1 - 9:20 - 22"], "10.0.0.9", 20, True),
        (["0.0.0.0/0:443"], "::ffff:8.8.8.8", 443, True),
    ],
)
def test_linksocks_s_cases(rules: list[str], host: str, port: int, passes: bool) -> None:
    assert allow(*rules).judge(host, port) is (ALLOWED if passes else BLOCKED)


def test_no_rules_allow_everything() -> None:
    assert not NO_RULES
    assert AccessRules() == NO_RULES
    assert judge_of(NO_RULES, AccessRules()) is None
    for host in ("10.0.0.1", "example.com", "", "no\\name"):
        assert AccessRules().judge(host, 22) is not BLOCKED or host in ("", "no\\name")


def test_rules_are_values() -> None:
    one, other = allow("10.0.0.0/8:22"), allow("10.0.0.0/8:22")
    assert one == other
    assert len({one, other, allow("10.0.0.0/8:23")}) == 2


# What is ours


@pytest.mark.parametrize(
    ("text", "host", "port", "passes"),
    [
        ("example.org:443", "example.org", 443, True),
        ("example.org:443", "EXAMPLE.org.", 443, True),
        ("example.org:443", "example.org", 80, False),
        ("example.org:443", "www.example.org", 443, False),
        ("example.org:443", "badexample.org", 443, False),
        ("Example.Org.:443", "example.org", 443, True),
        ("*.example.org:*", "www.example.org", 1, True),
        ("*.example.org:*", "a.b.example.org", 65535, True),
        ("*.example.org:*", "example.org", 443, False),
        ("*.example.org:*", ".example.org", 443, False),
        ("*.example.org:*", "badexample.org", 443, False),
        ("*.example.org:*", "example.org.evil.net", 443, False),
        ("*.example.org:*", "10.0.0.1", 443, False),
        ("*.bücher.example:443", "www.BÜCHER.example", 443, True),
        ("bücher.example:443", "xn--bcher-kva.example", 443, True),
        ("*.example.org:443", "www。example。org", 443, True),
        ("*:443", "example.org", 443, True),
        ("*:443", "10.0.0.1", 443, True),
        ("*:443", "example.org", 80, False),
        ("*:*", "example.org", 80, True),
        ("10.0.0.0/8,example.org:22,8000-9000", "example.org", 8500, True),
        ("10.0.0.0/8,example.org:22,8000-9000", "10.0.0.1", 22, True),
        ("10.0.0.0/8,example.org:22,8000-9000", "10.0.0.1", 23, False),
        ("[2001:db8::1]:443", "2001:DB8:0::1", 443, True),
        ("[2001:db8::/32]:443", "2001:db8:1::", 443, True),
        ("::ffff:10.0.0.0/104:443", "10.1.2.3", 443, True),
        ("::/0:443", "2001:db8::1", 443, True),
        ("::/0:443", "10.0.0.1", 443, False),
        ("cafe.de:80", "cafe.de", 80, True),
        ("fe-80.example:80", "fe-80.example", 80, True),
        ("localhost:80", "LOCALHOST.", 80, True),
    ],
)
def test_names_and_any(text: str, host: str, port: int, passes: bool) -> None:
    assert allow(text).judge(host, port) is (ALLOWED if passes else BLOCKED)
    assert deny(text).judge(host, port) is (BLOCKED if passes else ALLOWED)


@pytest.mark.parametrize(
    ("rules", "host", "verdict"),
    [
        (allow("10.0.0.0/8:80"), "example.org", BY_ADDRESS),
        (allow("10.0.0.0/8:81"), "example.org", BLOCKED),
        (allow("10.0.0.0/8:80", "example.org:80"), "example.org", ALLOWED),
        (allow("10.0.0.0/8:80", "example.org:80"), "other.org", BY_ADDRESS),
        (deny("10.0.0.0/8:80"), "example.org", BY_ADDRESS),
        (deny("10.0.0.0/8:81"), "example.org", ALLOWED),
        (deny("10.0.0.0/8:80", "example.org:*"), "example.org", BLOCKED),
        (allow("example.org:80", deny=("10.0.0.0/8:80",)), "example.org", BY_ADDRESS),
        (allow("example.org:80", deny=("10.0.0.0/8:80",)), "other.org", BLOCKED),
        (allow(block_private=True), "example.org", BY_ADDRESS),
        (allow("example.org:80", block_private=True), "example.org", BY_ADDRESS),
        (allow("example.org:80", block_private=True), "other.org", BLOCKED),
    ],
)
def test_whether_a_name_decides(rules: AccessRules, host: str, verdict: Verdict) -> None:
    assert rules.judge(host, 80) is verdict


@pytest.mark.parametrize(
    ("rules", "address", "passes"),
    [
        (allow("10.0.0.0/8:80"), "10.0.0.1", True),
        (allow("10.0.0.0/8:80"), "::ffff:10.0.0.1", True),
        (allow("10.0.0.0/8:80"), "64:ff9b::10.0.0.1", False),
        (allow("10.0.0.0/8:80"), "11.0.0.1", False),
        (deny("10.0.0.0/8:80"), "10.0.0.1", False),
        (deny("10.0.0.0/8:80"), "::ffff:10.0.0.1", False),
        (deny("10.0.0.0/8:80"), "64:ff9b::10.0.0.1", False),
        (deny("10.0.0.0/8:80"), "2002:0a00:0001::1", False),
        (deny("10.0.0.0/8:80"), "11.0.0.1", True),
        (deny("127.0.0.0/8:80"), "0.0.0.0", False),
        (deny("127.0.0.0/8:80"), "::ffff:0.0.0.0", False),
        (deny("127.0.0.0/8:80"), "0.0.0.1", True),
        (deny("[::1]:80"), "::", False),
        (allow("127.0.0.0/8:80"), "0.0.0.0", False),
        (allow("[::1]:80"), "::", False),
        (deny("fe80::/10:80"), "fe80::1%eth0", False),
        (allow("fe80::/10:80"), "fe80::1%eth0", True),
        (allow("example.org:80", block_private=True), "127.0.0.1", False),
        (allow("example.org:80", block_private=True), "1.1.1.1", True),
        (allow("example.org:80", "127.0.0.0/8:80", block_private=True), "127.0.0.1", False),
        (allow("example.org:80"), "127.0.0.1", True),
        (allow("example.org:80", deny=("127.0.0.1:80",)), "127.0.0.1", False),
        (allow("*:*"), "no address", False),
    ],
)
def test_an_address_of_a_name(rules: AccessRules, address: str, passes: bool) -> None:
    assert rules.allows("example.org", 80, address) is passes


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "evi\\108.org",
        "a b",
        "127.0.0.1 ",
        "8.8.8.8%.evil.org",
        "[::1]",
        "fe80::1%lo",
        "a\0b",
        "ü" * 200,
        "x/y",
    ],
)
def test_what_is_neither_a_name_nor_an_address_is_blocked_where_there_are_rules(host: str) -> None:
    assert deny("evil.org:*").judge(host, 80) is BLOCKED
    assert allow("*:*").judge(host, 80) is BLOCKED


def test_all_of_several_must_allow() -> None:
    judge = judge_of(allow("*.example.org:*"), NO_RULES, deny("*:25"), deny("10.0.0.0/8:80"))
    assert judge is not None
    assert judge.judge("www.example.org", 25) is BLOCKED
    assert judge.judge("www.example.org", 443) is ALLOWED
    assert judge.judge("www.example.net", 443) is BLOCKED
    assert judge.judge("www.example.org", 80) is BY_ADDRESS
    assert judge.allows("www.example.org", 80, "11.0.0.1")
    assert not judge.allows("www.example.org", 80, "10.0.0.1")


# Texts


@pytest.mark.parametrize(
    "text",
    [
        "", ":", ":22", "10.0.0.1", "10.0.0.1:", "10.0.0.256:1", "10.0.0.1-300:1", "10.0.0.1-x:1", "010.0.0.1:1",
        "2130706433:1", "0x7f.1:1", "0x7f000001:1", "10.0.0.0/33:1", "10.0.0.0/-1:1", "10.0.0.0/255.0.0.0:1",
        "::/129:1", "fe80::1%lo:1", "10.0.0.5-10.0.0.1:1", "10.0.0.5-4:1", "10.0.0.1-::1:3", "::1-5:3", "a:0",
        "a:65536", "a:70000", "a:-1", "a:5-2", "a:x", "a:1-", "a:1-2-3", "a:*-2", "*x.org:1", "x.*.org:1", "**:1",
        "*.:1", "a..b:1", "-:1", ",:1", "a,:1", "a:,", "[a]:1", "[10.0.0.1:1", "a/8:1", "a b:1", "a\0:1", "²:1",
        "a:²", "x" * 300 + ":1",
    ],
)  # fmt: skip
def test_a_bad_rule_is_one_clear_error(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rule(text)
    message = str(caught.value)
    assert message.startswith(f"access rule {text[:100]!r}: ")
    assert "expected HOST:PORT such as 10.0.0.0/8:22" in message
    assert "\n" not in message


@given(st.text(alphabet="0123456789abc.:-/,*[]% \n", max_size=30) | st.text(max_size=30))
@example("0.0.0.0/0,::/0:*")
def test_garbage_is_a_rule_or_one_error(text: str) -> None:
    try:
        rule = parse_rule(text)
    except ConfigError:
        return
    assert parse_rule(str(rule)) == rule
    allow(text).judge("10.0.0.1", 80)


def networks() -> st.SearchStrategy[str]:
    return st.builds(
        lambda address, cut: f"{address}/{cut % (address.max_prefixlen + 1)}",
        st.ip_addresses(),
        st.integers(0, 128),
    )


def ranges() -> st.SearchStrategy[str]:
    def text(ends: list[object]) -> str:
        return "-".join(map(str, sorted(ends)))  # type: ignore[type-var]

    return st.lists(st.ip_addresses(v=4), min_size=2, max_size=2).map(text) | st.lists(
        st.ip_addresses(v=6), min_size=2, max_size=2
    ).filter(lambda ends: len({end.ipv4_mapped is None for end in ends}) == 1).map(text)


NAMES = st.from_regex(r"(\*\.)?([a-z0-9]{1,9}\.){0,3}[a-z]{2,9}", fullmatch=True)
HOSTS = st.ip_addresses().map(str) | networks() | ranges() | NAMES
PORTS = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(lambda ends: (min(ends), max(ends)))
RULES = st.builds(Rule, st.lists(HOSTS, max_size=3).map(tuple), st.lists(PORTS, max_size=3).map(tuple))


@given(RULES)
def test_a_rule_survives_its_text(rule: Rule) -> None:
    assert parse_rule(str(rule)) == rule


@given(st.lists(RULES, max_size=4))
def test_so_do_several(rules: list[Rule]) -> None:
    assert parse_rules("\n".join(map(str, rules))) == tuple(rules)
    assert parse_rules(" ".join(map(str, rules))) == tuple(rules)


@given(networks(), st.ip_addresses())
def test_networks_hold_what_ipaddress_says(
    text: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> None:
    network = ipaddress.ip_network(text, strict=False)
    if not (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) and "::ffff:" not in text:
        assert (allow(f"{text}:1").judge(str(address), 1) is ALLOWED) == (address in network)
    first = network[0]
    assert allow(f"{text}:1").judge(str(first), 1) is ALLOWED or text.startswith("::")


def test_blanks_beside_a_dash_or_a_comma_belong_to_a_rule() -> None:
    assert parse_rules(" 10.0.0.1 - 9:20 - 22\n\texample.org , ::1:1 ,2 ") == (
        Rule(("10.0.0.1-9",), ((20, 22),)),
        Rule(("example.org", "::1"), ((1, 1), (2, 2))),
    )


@pytest.mark.parametrize(
    ("hosts", "ports"),
    [(("10.0.0.256",), ()), (("*",), ()), ((), ((0, 1),)), ((), ((2, 1),)), ((), ((1, 65536),))],
)
def test_a_rule_that_is_built_is_checked_too(
    hosts: tuple[str, ...], ports: tuple[tuple[int, int], ...]
) -> None:
    with pytest.raises(ConfigError):
        Rule(hosts, ports)
