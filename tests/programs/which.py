"""Which package a program gets, by the place of its file; it has all the public names, and the two that are data."""

import linksocks
from linksocks import AccessRule, Client, ReverseTokenResult, Server, __version__, set_log_level

assert __version__ == linksocks.__version__
assert {"AccessRule", "Client", "ReverseTokenResult", "Server", "set_log_level"} <= set(linksocks.__all__)
assert all(map(callable, (Client, Server, set_log_level)))
rule = AccessRule(addrs=["10.0.0.0/8"], ports=[22, (90, 150)])
assert rule == AccessRule(["10.0.0.0/8"], [22, (90, 150)]) != AccessRule(["10.0.0.0/8"])
assert (rule.addrs, rule.ports, AccessRule(["10.0.0.1"]).ports) == (["10.0.0.0/8"], [22, (90, 150)], [])
assert ReverseTokenResult(token="a", port=1) == ReverseTokenResult("a", 1)
print(linksocks.__file__)
